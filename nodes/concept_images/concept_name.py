"""What the name of a concept's folder says, as other trainers have them: `10_rex dog`."""

from __future__ import annotations

from ..prompt_name import cleaned
from .concept_folder import REPEATS


def named_by_folder(folder: str) -> tuple[str, str]:
    """Name and initializer: the first word, and what follows it, which may be nothing.

    A number of repeats, as kohya's trainer reads it, is passed over.
    """
    repeats = REPEATS.match(folder)
    words = (folder[repeats.end() :] if repeats else folder).split() or folder.split()
    return (cleaned(words[0]), " ".join(words[1:])) if words else ("", "")
