"""Inputs of a node that takes lists, where one value is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def single_values(node: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The one value of each input. Raises ValueError where there are none or several that differ."""
    return {name: _single(node, name, values) for name, values in inputs.items()}


def _single(node: str, name: str, values: Sequence[Any]) -> Any:
    if not values:
        raise ValueError(f"{node} got an empty list for {name}; connect something that gives one.")
    first = values[0]
    # What is no plain value, such as a model, is the same only where it is one object.
    plain = isinstance(first, (str, int, float))
    if any(value is not first and not (plain and value == first) for value in values):
        raise ValueError(
            f"{node} got a list of {len(values)} for {name} and takes one: it would drop the rest. Connect one, or "
            "use a node for each."
        )
    return first
