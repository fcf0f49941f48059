"""A graph that loads a small family in parts, with the stock loader for each, where another loads a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_host.graphs import Graph, node

# The nodes in the place of the checkpoint's outputs.
NODES = ("network", "encoders", "vae")
CLIP_LOADERS = {1: "CLIPLoader", 2: "DualCLIPLoader", 3: "TripleCLIPLoader"}


def loaders(name: str, family: Mapping[str, Any]) -> Graph:
    """Loaders of a family's parts. family: what `family_checkpoints` says of it."""
    names = family["clip_names"]
    by_number = {f"clip_name{number}": file for number, file in enumerate(names, 1)}
    files = {"clip_name": names[0]} if len(names) == 1 else by_number
    kind = {} if len(names) == 3 else {"type": family["clip_type"]}  # three are SD3's
    return {
        "network": node("UNETLoader", unet_name=f"{name}.safetensors", weight_dtype="default"),
        "encoders": node(CLIP_LOADERS[len(names)], **files, **kind),
        "vae": node("VAELoader", vae_name=family["vae_name"]),
    }


def in_parts(graph: Graph, parts: Graph) -> Graph:
    """`graph` on these loaders, without its node "checkpoint"."""
    wired = {
        name: {**one, "inputs": {key: _link(value) for key, value in one["inputs"].items()}}
        for name, one in graph.items()
        if name != "checkpoint"
    }
    return {**wired, **parts}


def _link(value: Any) -> Any:
    return [NODES[value[1]], 0] if isinstance(value, list) and value[0] == "checkpoint" else value
