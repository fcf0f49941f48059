"""The paper's tables on the small world, and what beats the paper's recipe there."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from comfy_host.in_process import use_pack

use_pack()
