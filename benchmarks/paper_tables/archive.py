"""What has been trained and scored, in one file of the repository, so that every clone goes on where it ends.

python -m paper_tables.archive OUT   packs what paper_tables.run left in OUT; that command unpacks it again by itself
"""

from __future__ import annotations

import argparse
import logging
import zipfile
from pathlib import Path

from small_world.files import write_whole

FILE = Path(__file__).with_name("results.zip")
KEPT = (
    "world_*/trainings/*.safetensors",
    "world_*/judge_*/scores/*.json",
    "world_*/judge_*/calibration.json",
    "world_*/judge_*/choose_*_losses.json",
)
_DATE = (1980, 1, 1, 0, 0, 0)  # equal results make equal files
log = logging.getLogger(__name__)


def pack(out: Path, file: Path = FILE) -> None:
    """Everything in OUT that took time to make; raises ValueError where there is nothing."""
    paths = sorted(path for pattern in KEPT for path in out.glob(pattern))
    if not paths:
        raise ValueError(f"{out} holds no results; make some with: python -m paper_tables.run {out}")

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                entry = zipfile.ZipInfo(path.relative_to(out).as_posix(), _DATE)
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)

    write_whole(file, write)
    log.info("Packed %d results into %s, %.1f MB.", len(paths), file, file.stat().st_size / 1e6)


def unpack(out: Path, file: Path = FILE) -> int:
    """Brings results that OUT does not have yet; returns their number, 0 where there is no archive."""
    if not file.is_file():
        return 0
    with zipfile.ZipFile(file) as archive:
        missing = [name for name in archive.namelist() if not (out / name).exists()]
        archive.extractall(out, missing)
    return len(missing)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the results of the paper's tables.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        pack(options.out, options.file)
    except ValueError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
