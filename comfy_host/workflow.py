"""A workflow file as the page saves it, turned into what POST /prompt takes: what one of its nodes needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfy_host.graphs import Graph, node

# Beside these the page shows one more widget, which the host does not know.
SEEDS = ("seed", "noise_seed")
ACTIVE = 0  # of a node's modes; others are muted and bypassed

Saved = Mapping[str, Any]


def needed_graph(workflow: Path, node_type: str, known: Mapping[str, Any]) -> Graph:
    """The one node of that type and all that it is fed by, in API format.

    workflow: a file of the page, or what its "Export (API)" gives. known: what the host answers to /object_info.

    Raises ValueError for what only the page itself can turn into API format.
    """
    content = json.loads(workflow.read_text(encoding="utf-8"))
    try:
        in_page = "nodes" in content
        nodes: dict[str, Saved] = {str(one["id"]): one for one in content["nodes"]} if in_page else content
        left = [number for number, one in nodes.items() if one["type" if in_page else "class_type"] == node_type]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{workflow} is not a workflow of ComfyUI.") from error
    if len(left) != 1:
        raise ValueError(f"{workflow} has {len(left)} nodes {node_type}; it must have one.")
    needed: Graph = {}
    while left:
        number = left.pop()
        if number not in nodes:
            raise ValueError(f"{workflow} is not whole: it has no node {number}, by which another is fed.")
        saved = nodes[number]
        if in_page:
            if saved["type"] not in known or saved.get("mode", ACTIVE) != ACTIVE:
                raise _unreadable(workflow, saved, "it is muted, bypassed, a subgraph or unknown to this ComfyUI")
            sources = {link[0]: [str(link[1]), link[2]] for link in content["links"]}
            try:
                needed[number] = node(saved["type"], **_inputs(saved, sources, fields(known[saved["type"]])))
            except (LookupError, StopIteration) as error:
                raise _unreadable(workflow, saved, "its values are not those of its inputs") from error
        else:
            needed[number] = node(saved["class_type"], **saved["inputs"])
        links = [value[0] for value in needed[number]["inputs"].values() if _is_link(value)]
        left += [source for source in links if source not in needed]
    return needed


def fields(known: Mapping[str, Any]) -> dict[str, Any]:
    """What a node asks for, by name, of what the host answers to /object_info of it."""
    return {**known["input"].get("required", {}), **known["input"].get("optional", {})}


def _unreadable(workflow: Path, saved: Saved, why: str) -> ValueError:
    return ValueError(
        f"Node {saved['id']} ({saved['type']}) of {workflow}: {why}. Save the workflow with Export (API) and name that."
    )


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _inputs(saved: Saved, sources: Mapping[int, list[Any]], known: Mapping[str, Any]) -> dict[str, Any]:
    """By name, values of widgets and links; a link wins, as its widget keeps the value that it had before."""
    values, inputs = iter(saved.get("widgets_values") or ()), {}
    for slot in saved["inputs"]:
        name = slot["name"]
        if slot.get("widget"):
            inputs[name] = next(values)
            options = known[name][1] if len(known[name]) > 1 else {}
            if options.get("control_after_generate", name in SEEDS):
                next(values)
        if slot.get("link") is not None:
            inputs[name] = sources[slot["link"]]
    if list(values):
        raise LookupError("values without an input")
    return inputs
