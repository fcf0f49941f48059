"""What to do where matplotlib, the pack's one requirement, is missing: known before it is drawn with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def drawing_needed(node: str) -> Iterator[None]:
    """Around the import of what draws. Raises RuntimeError with the cure, for the node of that name."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"{node} draws with matplotlib, and the Python package {error.name!r} is missing. Install the pack's "
            "requirement into ComfyUI's own Python: python -m pip install matplotlib."
        ) from error
