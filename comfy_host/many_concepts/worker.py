"""A worker: a ComfyUI without a page, on the GPU that Ray gave it, which trains one concept after the other."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from websocket import WebSocketException

from comfy_host.client import Client, HostError, Run
from comfy_host.graphs import Graph, node
from comfy_host.many_concepts.manifest import Concept
from comfy_host.process import running_host
from comfy_host.ray_workers import WorkerLostError
from comfy_host.workflow import fields, needed_graph

TRAIN, IMAGES, PICTURE = "DTI_Train", "DTI_LoadConceptImages", "run_picture"
LONGEST = 7 * 86400.0


@dataclass(frozen=True)
class Place:
    """What all workers share, on paths that each of their machines has: ComfyUI, the interpreter, its base folder.

    workflow: the template. options: of ComfyUI's command line.
    """

    comfyui: Path
    python: Path
    base: Path
    workflow: Path
    options: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """report: what DTI Train says. embedding, picture: the files. problem: why there are none; "" where there are."""

    report: str = ""
    embedding: bytes = b""
    picture: bytes = b""
    seconds: float = 0.0
    problem: str = ""


class ConceptWorker:
    """Made an actor by `train_all`."""

    def __init__(self, place: Place) -> None:
        self._place, self._open = place, ExitStack()

    def start(self) -> None:
        """Start ComfyUI. What is shared are models, images, states and results; the rest is this one's own."""
        own = self._own = self._place.base / "workers" / f"{socket.gethostname()}-{os.getpid()}"
        own.mkdir(parents=True, exist_ok=True)
        os.environ["DTI_WORKER_PROCESS"] = str(os.getpid())  # for ends_with_worker
        options = ["--user-directory", str(own), "--temp-directory", str(own)]
        options += ["--database-url", f"sqlite:///{(own / 'comfyui.db').as_posix()}", *self._place.options]
        place = self._place
        host = running_host(place.comfyui, place.python, place.base, options, own / "host.log")
        self._host = self._open.enter_context(host)

    def do(self, concept: Concept) -> Trained:
        """Train, or go on from the last state that an earlier attempt has kept.

        What ComfyUI or a node refuses is the concept's own problem; all else may not be there for another worker.
        """
        begun = time.monotonic()
        try:
            (self._own / "concept.txt").write_text(concept.name, encoding="utf-8")  # for who looks on
            # An older one must not pass for this one's result.
            self._file(concept).unlink(missing_ok=True)
            with Client(self._host) as client:
                try:
                    prompt_id = client.submit(self._graph(concept, client))
                except HostError as error:
                    return Trained(problem=error.message)
                except ValueError as error:
                    return Trained(problem=str(error))
                run = client.wait(prompt_id, timeout=LONGEST)
                return self._trained(concept, client, run, time.monotonic() - begun)
        except HostError as error:
            if error.exception_type == "ValueError":
                return Trained(problem=error.message)
            raise WorkerLostError(str(error)) from None
        except (OSError, HTTPException, WebSocketException) as error:
            raise WorkerLostError(f"{error}. The end of {self._host.log}:\n{self._host.log_tail()}") from None

    def _graph(self, concept: Concept, client: Client) -> Graph:
        """The template for this concept. Raises ValueError for a setting that it has no place for."""
        known = client.get("/object_info")
        graph = needed_graph(self._place.workflow, TRAIN, known)
        settings = {kind: dict(inputs) for kind, inputs in concept.settings.items()}
        # A second attempt takes the place of the first.
        settings.setdefault(TRAIN, {}).update(name=concept.name, initializer=concept.initializer, if_exists="replace")
        settings.setdefault(IMAGES, {})["folder"] = concept.name
        for kind, inputs in settings.items():
            fitting = [one for one in graph.values() if one["class_type"] == kind]
            if not fitting:
                kinds = ", ".join(sorted({one["class_type"] for one in graph.values()}))
                raise ValueError(f"The workflow has no node {kind} that {TRAIN} needs; it has {kinds}.")
            if kind not in known:
                raise ValueError(f"This ComfyUI has no node {kind}. Name the pack that has it with --pack.")
            # ComfyUI passes over what it does not know. Parts of an input have its name, a dot and their own.
            asked = fields(known[kind])
            if unknown := sorted(name for name in inputs if name.partition(".")[0] not in asked):
                raise ValueError(f"{kind} has no input {', '.join(unknown)}; it has {', '.join(asked)}.")
            for one in fitting:
                one["inputs"].update(inputs)
        (train,) = (number for number, one in graph.items() if one["class_type"] == TRAIN)
        graph[PICTURE] = node("SaveImage", images=[train, 4], filename_prefix=f"runs/{concept.name}")
        return graph

    def _trained(self, concept: Concept, client: Client, run: Run, seconds: float) -> Trained:
        texts = [text for output in run.outputs.values() for text in output.get("text", ())]
        return Trained("\n".join(texts), self._file(concept).read_bytes(), client.files(run, PICTURE)[-1], seconds)

    def _file(self, concept: Concept) -> Path:
        return self._place.base / "models" / "embeddings" / f"{concept.name}.safetensors"
