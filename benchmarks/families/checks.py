"""What is checked of a family in a running ComfyUI: a training, and everything that is done with its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from benchmarks.families.parts import in_parts
from comfy_host.client import Client, HostError
from comfy_host.graphs import Graph, node, paint, train

FOLDER = "families"
SIZE = 128
QUICK = {"steps": 2, "batch_size": 2, "resolution": SIZE, "save_every": 1, "if_exists": "replace", "resume": "never"}
SAMPLING = {"steps": 1, "seed": 5}

COLUMNS = ("loads", "trains", "gradient", "saves", "prompt", "our loader", "inspector", "slerp", "in parts")


@dataclass(frozen=True)
class Concept:
    """The training of one small family: its checkpoint's name, and that of the embedding; images in pixels.

    parts: what loads it in parts. is_apart: whether that is what loads it here.
    """

    checkpoint: str
    name: str
    initializer: str = "dog"
    size: int = SIZE
    parts: Graph | None = None
    is_apart: bool = False

    def loaded(self, graph: Graph) -> Graph:
        """A graph on its checkpoint, as it is loaded here."""
        return in_parts(graph, self.parts) if self.is_apart and self.parts else graph


@dataclass(frozen=True)
class Cell:
    """What a check has found. said: why not, in the words of the node that refused."""

    works: bool
    said: str = ""


def add_images(client: Client) -> None:
    """Two images of noise in the host's input folder, which `train_graph` reads."""
    from io import BytesIO

    from PIL import Image

    generator = np.random.default_rng(0)
    for number in (1, 2):
        file = BytesIO()
        Image.fromarray(generator.integers(0, 255, (SIZE, SIZE + 32, 3), dtype=np.uint8)).save(file, "PNG")
        client.add_input(f"{FOLDER}/{number}.png", file.getvalue())


def train_graph(concept: Concept, **settings: Any) -> Graph:
    """A short training, whose report is the text of "said" and its trigger that of "trigger"."""
    own = {"name": concept.name, "initializer": concept.initializer, "resolution": concept.size}
    graph = train(concept.checkpoint, FOLDER, **{**QUICK, **own, **settings})
    graph["said"] = node("PreviewAny", source=["train", 3])
    return concept.loaded(graph)


def embedding_file(client: Client, name: str) -> Path:
    """Where the host keeps it."""
    return client.host.base / "models" / "embeddings" / f"{name}.safetensors"


def keys_and_widths(file: Path) -> dict[str, int]:
    """Tensors of an embedding file."""
    with safe_open(file, "pt") as opened:
        return {key: opened.get_slice(key).get_shape()[-1] for key in opened.keys()}


def pictures(client: Client, graph: Graph, *tags: str) -> list[NDArray[np.uint8]]:
    """What "picture" and the tag has saved, for each tag."""
    run = client.run(graph)
    return [client.images(run, f"picture{tag}")[0] for tag in tags]


def checkpoint_node(concept: Concept) -> Graph:
    """The stock loader."""
    return {"checkpoint": node("CheckpointLoaderSimple", ckpt_name=concept.checkpoint)}


def load_node(concept: Concept, step: int | None = None) -> dict[str, Any]:
    """Our loader, with the family's clip."""
    file = concept.name if step is None else f"{concept.name}-step{step}"
    return node("DTI_LoadEmbedding", embedding=f"{file}.safetensors", clip=["checkpoint", 1])


def prompt_graph(concept: Concept) -> Graph:
    """Three images of one seed: without the embedding, typed into a stock prompt, and by way of our loader."""
    graph = {
        **checkpoint_node(concept),
        **paint("a photo of a now", tag="_without", size=concept.size, **SAMPLING),
        **paint(f"a photo of a embedding:{concept.name} now", tag="_typed", size=concept.size, **SAMPLING),
        **paint(["prompt", 0], tag="_loaded", size=concept.size, **SAMPLING),
        "load": load_node(concept),
        "prompt": node("StringReplace", string="a photo of a{}now", find="{}", replace=["load", 2]),
    }
    graph["positive_loaded"]["inputs"]["clip"] = ["load", 1]
    return concept.loaded(graph)


def slerp_graph(concept: Concept) -> Graph:
    """An image half way between the first step and the last, and one without."""
    graph = {
        **checkpoint_node(concept),
        **paint("a photo of a now", tag="_without", size=concept.size, **SAMPLING),
        **paint(["prompt", 0], size=concept.size, **SAMPLING),
        "first": load_node(concept, step=1),
        "last": load_node(concept),
        "slerp": node("DTI_Slerp", embedding_a=["first", 0], embedding_b=["last", 0], t=0.5, method="slerp"),
        "prompt": node("StringReplace", string="a photo of a{}now", find="{}", replace=["slerp", 2]),
    }
    graph["slerp"]["inputs"]["clip"] = ["checkpoint", 1]
    graph["positive"]["inputs"]["clip"] = ["slerp", 1]
    return concept.loaded(graph)


def inspector_graph(concept: Concept) -> Graph:
    """Norm Inspector on the trained embedding; its report is the text of "said"."""
    graph = {
        **checkpoint_node(concept),
        "load": load_node(concept),
        "inspect": node("DTI_NormInspector", embedding=["load", 0], clip=["checkpoint", 1], prompt="a photo of a {}"),
        "said": node("PreviewAny", source=["inspect", 1]),
    }
    return concept.loaded(graph)


def run_checks(client: Client, concept: Concept, encoders: Sequence[str]) -> Iterator[tuple[str, Cell]]:
    """Each column but the gradient; ends where the family does not train.

    encoders: keys of the text encoders that its files are for.
    """
    try:
        client.run(train_graph(concept))
    except HostError as error:
        if not concept.is_apart:
            yield "loads", Cell(error.node_id != "checkpoint", error.message)
        yield "trains", Cell(False, error.message)
        return
    if not concept.is_apart:
        yield "loads", Cell(True)
    yield "trains", Cell(True)
    yield "saves", _checked(lambda: _saved(client, concept, encoders))
    found: list[NDArray[np.uint8]] = []
    read = _checked(lambda: found.extend(pictures(client, prompt_graph(concept), "_without", "_typed", "_loaded")))
    yield "prompt", read if not found else _heard_alike(*found)
    yield "our loader", read if not found else Cell(bool((found[2] != found[0]).any()))
    yield "inspector", _checked(lambda: client.run(inspector_graph(concept)))
    yield "slerp", _checked(lambda: _differ(*pictures(client, slerp_graph(concept), "", "_without")))
    if concept.is_apart:
        yield "in parts", Cell(True)
    elif concept.parts:
        reads_files = bool(found) and _heard_alike(*found).works
        yield "in parts", _checked(lambda: _trains_apart(client, concept, reads_files))


def _trains_apart(client: Client, concept: Concept, reads_files: bool) -> None:
    """Loaded in parts it trains to the same vectors, and a prompt hears them."""
    apart = replace(concept, name=f"{concept.name}_parts", is_apart=True)
    client.run(train_graph(apart))
    whole, own = (load_file(embedding_file(client, name)) for name in (concept.name, apart.name))
    if whole.keys() != own.keys() or any((whole[key] != own[key]).any() for key in whole):
        raise AssertionError("it trains to other vectors than the checkpoint")
    without, typed, loaded = pictures(client, prompt_graph(apart), "_without", "_typed", "_loaded")
    _differ(loaded, without)
    if reads_files:
        _differ(typed, without)


def _saved(client: Client, concept: Concept, encoders: Sequence[str]) -> None:
    keys = keys_and_widths(embedding_file(client, concept.name))
    if set(keys) != ({"emb_params"} if len(encoders) == 1 else set(encoders)):
        raise AssertionError(f"the file has {', '.join(sorted(keys))}")


def _heard_alike(without: NDArray[np.uint8], typed: NDArray[np.uint8], loaded: NDArray[np.uint8]) -> Cell:
    """Whether the typed name means what our loader gives; as words it would change the image too."""
    works = bool((typed != without).any()) and bool((typed == loaded).all())
    return Cell(works, "" if works else "its tokenizer looks for no embedding files, and reads the name as words")


def _differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    if (one == other).all():
        raise AssertionError("the prompt does not hear it")


def _checked(check: Callable[[], object]) -> Cell:
    try:
        check()
    except (HostError, AssertionError) as error:
        return Cell(False, str(error))
    return Cell(True)
