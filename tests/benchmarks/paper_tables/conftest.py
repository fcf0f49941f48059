"""The experiment is a package beside the pack, run from the folder benchmarks."""

import sys

from benchmarks.small_checkpoints import BENCHMARKS

sys.path.append(str(BENCHMARKS))

import paper_tables  # noqa: F401  (makes dti_pack importable)
