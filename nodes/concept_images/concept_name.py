"""What the name of a concept's folder says, as other trainers have them: `10_rex dog`."""

from __future__ import annotations

import re

from ..prompt_name import cleaned


def named_by_folder(folder: str) -> tuple[str, str]:
    """Name and initializer: the first word, and what follows it, which may be nothing.

    A number of repeats, as kohya's trainer reads it, is passed over.
    """
    words = re.sub(r"^[0-9]+_(?=.)", "", folder).split()
    return (cleaned(words[0]), " ".join(words[1:])) if words else ("", "")
