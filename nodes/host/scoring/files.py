"""Tables and pictures of a scoring, as files of the output folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ....dti_core.files.atomic_write import write_together
from ...prompt_name import cleaned
from .candidates import STEP
from .samples import scores_folder

log = logging.getLogger(__name__)


def write_files(name: str, contents: Mapping[str, bytes]) -> list[str]:
    """Write contents, by the ending of the file, under a free number; where they are, or why they are not there.

    name: of an embedding; of a step's, that of its run is taken.
    """
    folder, stem = scores_folder(), cleaned(STEP.sub("", name)).replace("/", "_")
    taken = {file.name.casefold() for file in folder.glob("*")} if folder.is_dir() else set()
    number = next(
        n for n in range(1, len(taken) + 2) if not any(_file(stem, n, e).casefold() in taken for e in contents)
    )
    try:
        write_together({folder / _file(stem, number, ending): content for ending, content in contents.items()}, False)
    except OSError as error:
        log.exception("DTI: the scores were not written")
        return [f"The table was not written: {error}"]
    return [f"Written to {folder / _file(stem, number, '.csv')} and beside it."]


def _file(stem: str, number: int, ending: str) -> str:
    return f"{stem}_{number:05d}{ending}"
