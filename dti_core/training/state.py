"""The state of a training run, in memory and as a file: enough to go on as if the run had not stopped."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..files.atomic_write import write_whole
from ..methods import Method, Movement
from .loss_scale import LossScale
from .validation import Chosen, Measured, Validation, ValidationState, ValidationTogether

VERSION = 1
NOTE = "dti.state"
HASH_NOTE = "dti.state_sha256"
# As `_packed` has an empty mapping.
NOTHING: Mapping[str, Any] = {"pairs": []}


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A run between two steps. A step that was cut off is done again from its start: it draws the same batch.

    step: the last that is done, 0 for none. steps: of the whole run, as it was planned.
    method: `Method.state_dict`, which no later step changes.
    generator: what batches are drawn with, uint8 as `torch.Generator.get_state` gives it.
    loss_scale, microbatch_size: as they are by now.
    losses: of the steps that are done.
    fingerprints: of what the run is made of (`fingerprints.py`).
    delivered: whether the run is over and its result safe; a run that was killed just before is not.
    angles: by encoder key, of the last steps; states of earlier versions of the pack have none.
    validation: None where nothing is held out.
    """

    step: int
    steps: int
    method: Mapping[str, Any]
    generator: Tensor
    loss_scale: float
    microbatch_size: int
    losses: tuple[float, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    delivered: bool = False
    angles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    validation: Measured | None = None

    def put_into(self, method: Method) -> None:
        """Bring a method to this state. Raises ValueError where it is another one, or has other shapes."""
        try:
            method.load_state_dict(copy.deepcopy(dict(self.method)))
        except KeyError as error:
            raise ValueError(
                f"The state is of another method: it has no {error}. Resume with the method it came from."
            ) from error


class Run:
    """What changes from step to step, and is made to change by the loop.

    losses: one for each step that is done. angles: as `Movement` has them, by encoder key.
    """

    def __init__(
        self,
        method: Method,
        generator: torch.Generator,
        scale: LossScale,
        microbatch_size: int,
        validation: Validation | ValidationTogether | None = None,
    ) -> None:
        self.method, self.generator, self.scale, self.microbatch_size = method, generator, scale, microbatch_size
        self.validation = validation
        self.losses: list[float] = []
        self.angles: dict[str, list[float]] = {}

    def took_step(self, loss: float, movement: Movement) -> None:
        """Take note of a step that the method has made."""
        self.losses.append(loss)
        for key, angle in movement.angle.items():
            self.angles.setdefault(key, []).append(angle)

    def state(self, steps: int) -> TrainingState:
        """As things are between two steps; nothing in it changes with the next one. steps: of the whole run."""
        return TrainingState(
            step=len(self.losses),
            steps=steps,
            method=copy.deepcopy(self.method.state_dict()),
            generator=self.generator.get_state(),
            loss_scale=self.scale.value,
            microbatch_size=self.microbatch_size,
            losses=tuple(self.losses),
            angles={key: tuple(values) for key, values in self.angles.items()},
            validation=None if self.validation is None else self.validation.state(),
        )

    def go_on_from(self, state: TrainingState) -> None:
        """Raises ValueError where the state's method is another or has other shapes."""
        state.put_into(self.method)
        self.generator.set_state(state.generator.clone())
        self.scale.go_on_at(state.loss_scale)
        # Fewer where there is less memory than before.
        self.microbatch_size = min(self.microbatch_size, state.microbatch_size)
        self.losses = list(state.losses)
        self.angles = {key: list(values) for key, values in state.angles.items()}
        if self.validation is not None:
            self.validation.go_on_from(state.validation)


def save_state(state: TrainingState, path: Path) -> None:
    """Write a safetensors file, whole or not at all, in the place of an older one. Raises OSError with what to do."""
    tensors: dict[str, Tensor] = {"generator": state.generator, "losses": torch.tensor(state.losses)}
    header = {
        "version": VERSION,
        "step": state.step,
        "steps": state.steps,
        "loss_scale": state.loss_scale,
        "microbatch_size": state.microbatch_size,
        "fingerprints": dict(state.fingerprints),
        "delivered": state.delivered,
        "method": _packed(state.method, "method", tensors),
        "angles": _packed({key: torch.tensor(v) for key, v in state.angles.items()}, "angles", tensors),
        "validation": _packed(_plain(state.validation), "validation", tensors),
    }
    # Copies, as the format knows no tensors on shared memory.
    tensors = {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    text = json.dumps(header)
    metadata = {NOTE: text, HASH_NOTE: _digest(text, tensors)}
    write_whole(safetensors.torch.save(tensors, metadata), path, overwrite=True)


def load_state(path: Path) -> TrainingState:
    """Read what `save_state` wrote.

    Raises OSError, and ValueError where the file is damaged, something else, or of a newer version.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no training state: {error}. Resume from an earlier one.") from error
    text = metadata.get(NOTE)
    if text is None:
        raise ValueError(f"{path} is no training state; choose a file that a training run has left.")
    if metadata.get(HASH_NOTE) != _digest(text, tensors):
        raise ValueError(f"{path} is damaged: it does not have the checksum it gives. Resume from an earlier one.")
    header = json.loads(text)
    if header["version"] > VERSION:
        raise ValueError(
            f"{path} is a training state of version {header['version']}, and this version of the pack reads up to "
            f"{VERSION}. Update the pack, or train from the start."
        )
    return TrainingState(
        step=header["step"],
        steps=header["steps"],
        method=_unpacked(header["method"], tensors),
        generator=tensors["generator"],
        loss_scale=header["loss_scale"],
        microbatch_size=header["microbatch_size"],
        losses=tuple(tensors["losses"].tolist()),
        fingerprints=header["fingerprints"],
        delivered=header["delivered"],
        angles={key: tuple(v.tolist()) for key, v in _unpacked(header.get("angles", NOTHING), tensors).items()},
        validation=_validation(_unpacked(header.get("validation", NOTHING), tensors)),
    )


def _plain(validation: Measured | None) -> dict[str, Any]:
    if validation is None:
        return {}
    if isinstance(validation, Mapping):
        return {"concepts": {name: _plain(one) for name, one in validation.items()}}
    best = {} if validation.best is None else vars(validation.best)
    return {
        "steps": torch.tensor(validation.steps),
        "losses": torch.tensor(validation.losses, dtype=torch.float64),
        "best": best,
    }


def _validation(plain: Mapping[str, Any]) -> Measured | None:
    if not plain:
        return None
    if "concepts" in plain:
        return {name: _validation_state(one) for name, one in plain["concepts"].items()}
    return _validation_state(plain)


def _validation_state(plain: Mapping[str, Any]) -> ValidationState:
    best = Chosen(**plain["best"]) if plain["best"] else None
    return ValidationState(tuple(plain["steps"].tolist()), tuple(plain["losses"].tolist()), best)


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON. Its tensors go into `tensors`, named by where they stand."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        # Pairs, since the keys of an optimizer's state are numbers.
        return {"pairs": [[key, _packed(item, f"{name}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(item, f"{name}.{number}", tensors) for number, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{name} is {type(value).__name__}; a method's state has tensors, numbers, text and containers.")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict) and "tensor" in value:
        return tensors[value["tensor"]]
    if isinstance(value, dict):
        return {key: _unpacked(item, tensors) for key, item in value["pairs"]}
    return [_unpacked(item, tensors) for item in value] if isinstance(value, list) else value


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
