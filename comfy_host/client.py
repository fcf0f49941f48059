"""Speaks to a running ComfyUI: queue a prompt, follow it, fetch what came out."""

import io
import json
import time
import urllib.error
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import websocket
from numpy.typing import NDArray
from PIL import Image

from comfy_host.process import Host

# {"type": "progress", "data": {"value": 3, "max": 20, "node": "5", ...}}, and for an image while a node is at work
# {"type": "preview", "data": {"image": the bytes of a JPEG or PNG}}.
Event = dict[str, Any]
Prompt = Mapping[str, Mapping[str, Any]]  # API format: node id -> {"class_type": ..., "inputs": {...}}

PREVIEW_IMAGE = 1  # the host's number for it, in four bytes; four more say which format


class HostError(Exception):
    """The host refused a prompt, failed in a node, was interrupted or went away."""

    def __init__(self, message: str, node_id: str | None = None, exception_type: str | None = None) -> None:
        where = f"node {node_id}: " if node_id else ""
        kind = f"{exception_type}: " if exception_type else ""
        super().__init__(where + kind + message)
        self.message = message
        self.node_id = node_id
        self.exception_type = exception_type


class InterruptedPromptError(HostError):
    """The prompt was stopped by /interrupt."""


@dataclass(frozen=True)
class Run:
    """One finished prompt."""

    prompt_id: str
    outputs: dict[str, dict[str, Any]]  # as in /history: node id -> {"images": [...], "text": [...], ...}
    events: list[Event]


class Client:
    """One websocket session with a host; use it as a context manager."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.id = uuid.uuid4().hex
        address = f"{host.url.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        # A host that works on a prompt may take its time to answer.
        self._socket = websocket.create_connection(address, timeout=60, http_no_proxy=["127.0.0.1"])
        self._socket.settimeout(1)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def get(self, path: str, **query: str) -> Any:
        """The JSON answer to a GET, e.g. get("/object_info/KSampler")."""
        return json.loads(self.host.open(f"{path}?{urlencode(query)}" if query else path))

    def post(self, path: str, data: Any) -> Any:
        """The JSON answer to a POST, None where the host answers nothing."""
        return json.loads(self.host.open(path, json.dumps(data).encode()) or b"null")

    def run(self, prompt: Prompt, on_event: Callable[[Event], None] | None = None, timeout: float = 600) -> Run:
        """Queue the prompt, wait for its end, return its outputs; what the host says goes to on_event."""
        return self.wait(self.submit(prompt), on_event, timeout)

    def submit(self, prompt: Prompt) -> str:
        """Queue the prompt and return its id."""
        try:
            answer = self.post("/prompt", {"prompt": prompt, "client_id": self.id})
        except urllib.error.HTTPError as error:
            answer = json.loads(error.read())
        # The host also accepts a prompt of which only some outputs are valid; that hides mistakes.
        for node_id, report in answer.get("node_errors", {}).items():
            problems = "; ".join(dict.fromkeys(map(_said, report["errors"])))
            raise HostError(problems, node_id, report["errors"][0]["type"])
        if "error" in answer:
            raise HostError(f"{answer['error']['message']}: {answer['error']['details']}")
        prompt_id: str = answer["prompt_id"]
        return prompt_id

    def wait(self, prompt_id: str, on_event: Callable[[Event], None] | None = None, timeout: float = 600) -> Run:
        """Follow a queued prompt to its end."""
        events: list[Event] = []
        for event in self._events(prompt_id, timeout):
            events.append(event)
            if on_event is not None:
                on_event(event)
        for event in events:
            data = event["data"]
            if event["type"] == "execution_error":
                raise HostError(data["exception_message"].strip(), data["node_id"], data["exception_type"])
            if event["type"] == "execution_interrupted":
                raise InterruptedPromptError("interrupted", data["node_id"])
        history = self.get(f"/history/{prompt_id}")[prompt_id]
        return Run(prompt_id, history["outputs"], events)

    def interrupt(self) -> None:
        """Stop the running prompt, as the button does."""
        self.post("/interrupt", {})

    def files(self, run: Run, node_id: str | None = None) -> list[bytes]:
        """The image files that the prompt, or one node of it, left, as they lie on the disk."""
        nodes = [node_id] if node_id else list(run.outputs)
        images = [image for node in nodes for image in run.outputs.get(node, {}).get("images", [])]
        return [self.host.open(f"/view?{urlencode(image)}") for image in images]

    def images(self, run: Run, node_id: str | None = None) -> list[NDArray[np.uint8]]:
        """The same images as arrays [height, width, channels]."""
        return [np.asarray(Image.open(io.BytesIO(file))) for file in self.files(run, node_id)]

    def add_input(self, name: str, file: bytes) -> None:
        """Put a file into the host's input folder; the name may begin with a subfolder ("cup/1.png")."""
        target = self.host.base / "input" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file)

    def _events(self, prompt_id: str, timeout: float) -> Iterator[Event]:
        deadline = time.monotonic() + timeout
        while True:
            if time.monotonic() > deadline:
                raise HostError(f"The prompt took longer than {timeout:.0f} s")
            try:
                message = self._socket.recv()
            except websocket.WebSocketTimeoutException:
                continue
            except (websocket.WebSocketConnectionClosedException, ConnectionError) as error:
                raise HostError(f"The host went away. The end of its log:\n{self.host.log_tail()}") from error
            if isinstance(message, bytes):
                if int.from_bytes(message[:4], "big") == PREVIEW_IMAGE:
                    yield {"type": "preview", "data": {"image": message[8:]}}
                continue
            event = json.loads(message)
            data = event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            yield event
            if event["type"] == "executing" and data["node"] is None:
                return


def _said(error: Mapping[str, str]) -> str:
    """What is wrong with an input. A sentence of the node itself the host repeats for each input that the node sees."""
    own = error["type"] == "custom_validation_failed"
    return f"{error['message']}: {error['details'].partition(' - ')[2] if own else error['details']}"
