# ruff: noqa: T201
"""Checks the types of the repository, and of the pack under a name that a package can have.

ComfyUI loads the pack from a folder with any name; mypy resolves relative imports only beneath a name that Python could
import, and most clones have none. So it is given a copy.
"""

import subprocess
import sys

from comfy_host.environment import REPO, host_dir
from comfy_host.process import copy_pack

PACKAGE = "dti_pack"


def main() -> int:
    """Run mypy twice; its messages name files from the repository's root, those of the pack below PACKAGE."""
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(REPO / "pyproject.toml")]
    folder = host_dir() / "types"
    copy_pack(folder / PACKAGE)
    print(f"The nodes ({PACKAGE} stands for this folder):", flush=True)
    nodes = subprocess.run([*mypy, "--package", PACKAGE], cwd=folder).returncode
    print("All else:", flush=True)
    return subprocess.run(mypy, cwd=REPO).returncode or nodes


if __name__ == "__main__":
    sys.exit(main())
