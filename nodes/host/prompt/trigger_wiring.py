"""Whether prompts that get a node's trigger also get its clip; without it an embedding in memory is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from comfy_execution.graph_utils import is_link
from comfy_execution.utils import get_executing_context
from server import PromptServer

import nodes

# Of every node that hands on an embedding from memory.
CLIP_OUTPUT, TRIGGER_OUTPUT = 1, 2
# What may carry the trigger on; a node that matches types or takes any may be a switch.
TEXT_TYPES = ("STRING", "*", "COMFY_MATCHTYPE_V3")

Output = tuple[str, int]
Graph = dict[str, dict[str, Any]]


def prompts_that_miss_it() -> list[str]:
    """The nodes that get the trigger of the running node but no clip that comes through it, for a person to read.

    As a fingerprint it lets the node run again when that changes: the host asks for it before every prompt.
    """
    graph, node_id = _running_graph()
    own = (node_id, CLIP_OUTPUT)
    return [
        f"{graph[reader].get('_meta', {}).get('title', graph[reader]['class_type'])} (#{reader})"
        for reader in _readers(graph, (node_id, TRIGGER_OUTPUT))
        if (clips := [source for source in _sources(graph, reader) if _type(graph, source) == "CLIP"])
        and not any(_comes_through(graph, clip, own) for clip in clips)
    ]


def _running_graph() -> tuple[Graph, str]:
    """The graph that runs, as posted, and the node; without a host's queue neither is known."""
    context = get_executing_context()
    if context is not None:
        running, _ = PromptServer.instance.prompt_queue.get_current_queue_volatile()
        for _, prompt_id, graph, *_ in running:
            if prompt_id == context.prompt_id:
                return graph, context.node_id
    return {}, ""


def _readers(graph: Graph, trigger: Output) -> Iterator[str]:
    """Nodes that the text reaches, straight or through nodes that make another text of it."""
    texts = [trigger]
    seen = set()
    while texts:
        text = texts.pop()
        for reader in graph:
            if reader not in seen and text in _sources(graph, reader):
                seen.add(reader)
                texts += [(reader, i) for i, kind in enumerate(_types(graph, reader)) if kind in TEXT_TYPES]
                yield reader


def _comes_through(graph: Graph, output: Output, wanted: Output) -> bool:
    todo, seen = [output], {output}
    while todo:
        current = todo.pop()
        if current == wanted:
            return True
        new = set(_sources(graph, current[0])) - seen
        seen |= new
        todo += new
    return False


def _sources(graph: Graph, node_id: str) -> list[Output]:
    inputs = graph[node_id]["inputs"].values() if node_id in graph else ()
    return [(value[0], int(value[1])) for value in inputs if is_link(value)]


def _type(graph: Graph, output: Output) -> str:
    types = _types(graph, output[0])
    return types[output[1]] if output[1] < len(types) else ""


def _types(graph: Graph, node_id: str) -> list[str]:
    kind = nodes.NODE_CLASS_MAPPINGS.get(graph[node_id]["class_type"]) if node_id in graph else None
    return [str(t) for t in getattr(kind, "RETURN_TYPES", ())]
