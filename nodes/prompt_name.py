"""Which names a prompt can carry as `embedding:name`, after the host's tokenizer (comfy/sd1_clip.py)."""

from __future__ import annotations

import string
import unicodedata

# With a folder and the extension this stays clear of the 260 characters of a Windows path.
MAX_LENGTH = 100
# Linux allows 255 bytes in a file name, and "-step400.safetensors" is to fit in too.
MAX_BYTES = 200

ASCII = frozenset(string.ascii_letters + string.digits + "_.-")
EXTENSIONS = (".safetensors", ".pt", ".bin")
WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)


def check_embedding_name(name: str) -> None:
    """Raise ValueError unless `name` works in a prompt and as a file name on every system.

    Allowed are letters and digits of any script, `_`, `-` and `.`, and `/` for subfolders.
    """
    reason = _objection(name)
    if reason is not None:
        raise ValueError(
            f"the name {name!r} cannot be used: {reason}. Use letters and digits of any script, '_', '-' and '.', "
            "with '/' for a subfolder, as in 'my_dog' or 'pets/my_dog'."
        )


def trigger(name: str) -> str:
    """The text that puts the embedding into a prompt: ` embedding:name `.

    The spaces are part of it: the host sees `embedding:` only after a space, and takes what follows without a
    space for a part of the name. Raises ValueError for a name a prompt cannot carry.
    """
    check_embedding_name(name)
    return f" embedding:{name} "


def cleaned(name: str) -> str:
    """`name` with '_' for every character that no name can have, accents one with their letters."""
    return "".join(c if c == "/" or _is_allowed(c) else "_" for c in unicodedata.normalize("NFC", name))


def _objection(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name)} characters and at most {MAX_LENGTH} are allowed"
    if not unicodedata.is_normalized("NFC", name):
        return "its accents stand apart from their letters, as macOS writes file names; type it instead of pasting it"
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
    if strange := sorted({c for c in part if not _is_allowed(c)}):
        return f"it has characters that end a name in a prompt or a file system: {' '.join(map(repr, strange))}"
    if len(part.encode()) > MAX_BYTES:
        return f"{part!r} takes {len(part.encode())} bytes, and a file system has room for {MAX_BYTES}"
    if part.startswith(".") or part.endswith("."):
        return f"{part!r} starts or ends with a full stop"
    if part.split(".")[0].lower() in WINDOWS_DEVICES:
        return f"{part!r} is the name of a device on Windows"
    return None


def _is_allowed(character: str) -> bool:
    # The host's tokenizer ends a name at white space of any kind, and knows no signs but those of ASCII.
    return character in ASCII or not (character.isascii() or not character.isprintable())


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
