"""Which files nodes have left, so that a node whose file is gone runs again instead of being taken for done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comfy_execution.utils import get_executing_context


@dataclass
class _Owned:
    prompt_id: str
    files: list[Path]
    losses: int


class OwnedFiles:
    """What one kind of node has written, by node and name; it lives as long as the host's cache that it goes with.

    The host compares a node's fingerprint before it runs. It must be the same before a file is written and after,
    and another when the file is gone: so it counts how often that was found.
    """

    def __init__(self) -> None:
        self._owned: dict[tuple[str, str | None], _Owned] = {}

    def wrote(self, name: str, files: Sequence[Path]) -> None:
        """Take note in a node's `execute` of what it wrote for its input `name`."""
        prompt_id, node_id = _running()
        # A fingerprint does not see a name that comes through a link.
        for key in ((node_id, name), (node_id, None)):
            owned = self._owned.setdefault(key, _Owned(prompt_id, [], 0))
            if owned.prompt_id != prompt_id:
                owned.prompt_id, owned.files = prompt_id, []
            # A node that gets a list runs several times within one prompt.
            owned.files += files

    def failed(self, name: str) -> None:
        """Take note that a node is to run again although nothing has changed."""
        _, node_id = _running()
        for key in ((node_id, name), (node_id, None)):
            self._owned.setdefault(key, _Owned("", [], 0)).losses += 1

    def fingerprint(self, name: str | None) -> int:
        """What a node's `fingerprint_inputs` returns."""
        _, node_id = _running()
        owned = self._owned.get((node_id, name))
        if owned is None:
            return 0
        if not all(file.exists() for file in owned.files):
            owned.files = []
            owned.losses += 1
        return owned.losses


def _running() -> tuple[str, str]:
    context = get_executing_context()
    return ("", "") if context is None else (context.prompt_id, context.node_id)
