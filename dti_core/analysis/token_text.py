"""Tokens of a byte-level vocabulary (CLIP's) as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence

# How CLIP's tokenizer marks the last piece of a word.
WORD_END = "</w>"

# Byte-level vocabularies (GPT-2's, which CLIP takes over) write bytes that print as themselves, others from U+0100 on.
_PRINTED = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = tuple(byte for byte in range(256) if byte not in _PRINTED)
_BYTE_OF = {chr(byte): byte for byte in _PRINTED} | {chr(0x100 + i): byte for i, byte in enumerate(_OTHERS)}


def token_text(token: str) -> str:
    """`token` without the mark of a word's end, its bytes as text, and what does not print as U+2069.

    Pieces that end within a character are shown as bytes, tokens of other vocabularies as they are.
    """
    body = token.removesuffix(WORD_END)
    try:
        data = bytes(_BYTE_OF[character] for character in body)
    except KeyError:
        return _printed(body)
    try:
        return _printed(data.decode())
    except UnicodeDecodeError:
        return f"bytes {data.hex(' ').upper()}"


def pieces_text(tokens: Sequence[str]) -> list[str]:
    """The text of the pieces of a word; those that end within a character together with what completes it."""
    texts: list[str] = []
    open_piece = ""
    for token in tokens:
        open_piece += token.removesuffix(WORD_END)
        if not token_text(open_piece).startswith("bytes "):
            texts.append(token_text(open_piece))
            open_piece = ""
    return [*texts, token_text(open_piece)] if open_piece else texts


def check_known(text: str, pieces: Sequence[str]) -> None:
    """Raise ValueError where an initializer falls into `pieces` of words.

    CLIP's tokenizer marks the last piece of a word; a word of several pieces is one it does not know.
    """
    if any(piece.endswith(WORD_END) for piece in pieces) and not all(p.endswith(WORD_END) for p in pieces):
        shown = " + ".join(pieces_text(pieces))
        raise ValueError(
            f"The initializer {text!r} is not in the text encoder's vocabulary: it would fall into {len(pieces)} "
            f"pieces, {shown}. "
            "Use plain words for what the pictures show, such as 'dog', 'teapot' or 'stuffed animal'."
        )


def _printed(text: str) -> str:
    return "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)
