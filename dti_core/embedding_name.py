"""Which names a prompt can carry as `embedding:name`, after the host's tokenizer (comfy/sd1_clip.py)."""

from __future__ import annotations

import re

# With a folder and the extension this stays clear of the 260 characters of a Windows path.
MAX_LENGTH = 100

PART = re.compile(r"[A-Za-z0-9_.-]+")
EXTENSIONS = (".safetensors", ".pt", ".bin")
WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)


def check_embedding_name(name: str) -> None:
    """Raise ValueError unless `name` works in a prompt and as a file name on every system.

    Allowed are letters, digits, `_`, `-` and `.`, and `/` for subfolders.
    """
    reason = _objection(name)
    if reason is not None:
        raise ValueError(
            f"the name {name!r} cannot be used: {reason}. Use letters, digits, '_', '-' and '.', "
            "with '/' for a subfolder, as in 'my_dog' or 'pets/my_dog'."
        )


def trigger(name: str) -> str:
    """The text that puts the embedding into a prompt: ` embedding:name `.

    The spaces are part of it: the host sees `embedding:` only after a space, and takes what follows without a
    space for a part of the name. Raises ValueError for a name a prompt cannot carry.
    """
    check_embedding_name(name)
    return f" embedding:{name} "


def _objection(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name)} characters and at most {MAX_LENGTH} are allowed"
    if "\\" in name:
        return "it has a backslash; subfolders are written with '/'"
    if name.lower().endswith(EXTENSIONS):
        return "it ends in a file extension; leave that out, it is added for you"
    if _is_number(name):
        return "a prompt would read it as a weight; add a letter or put it into a subfolder"
    for part in name.split("/"):
        reason = _part_objection(part)
        if reason is not None:
            return reason
    return None


def _part_objection(part: str) -> str | None:
    if not part:
        return "it has an empty folder or file name ('/' at an end, or twice in a row)"
    if not PART.fullmatch(part):
        strange = sorted(set(PART.sub("", part)))
        return (
            f"it has characters that end a name in a prompt or a file system: {' '.join(map(repr, strange))}"
        )
    if part.startswith(".") or part.endswith("."):
        return f"{part!r} starts or ends with a full stop"
    if part.split(".")[0].lower() in WINDOWS_DEVICES:
        return f"{part!r} is the name of a device on Windows"
    return None


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
