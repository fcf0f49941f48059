"""The evaluator of images: does each attribute that a prompt names hold, and is it the same thing?

A small convolutional network trained on drawings alone, apart from the model it judges. An attribute that it
tells on fewer than 97 % of held-out drawings is not judged at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from . import scenes
from .scenes import Scene
from .shapes import SHAPES

FILE = Path(__file__).with_name("judge.safetensors")
TRUST = 0.97
EMBEDDING = 64
VALUES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": scenes.NAMES,
    "texture": scenes.TEXTURES,
    "second": scenes.NAMES,
    "marking": scenes.MARKINGS,
    "extra": scenes.NAMES,
    "size": tuple(scenes.SIZES),
    "place": scenes.PLACES,
    "background": (*scenes.NAMES, *scenes.VIEWS),
    "companion": ("none", *scenes.COMPANIONS),
    "companions": ("0", "1", "2"),
    "companion_colour": scenes.NAMES,
    "companion_side": ("left", "right", "above", "below"),
    "medium": scenes.MEDIA,
    "tint": scenes.TINTS,
    "framed": ("no", "yes"),
}
# Stripes and checks show two colours alike: which of them was named first cannot be seen.
_EVEN = ("striped", "checkered")
_COLOURED = ("colour", "second", "extra", "companion_colour")


def truth(scene: Scene) -> dict[str, str]:
    """The attributes that an image of this scene shows; a gray image shows no colours, for one."""
    thing, look = scene.thing, scene.look
    out = {
        "shape": thing.shape, "colour": thing.colour, "texture": thing.texture, "second": thing.second,
        "marking": thing.marking, "extra": thing.extra, "size": scene.size, "place": scene.place,
        "background": scene.background, "companion": scene.companion, "medium": look.medium,
        "companions": "0" if scene.companion == "none" else "2" if scene.twice else "1",
        "companion_colour": scene.companion_colour, "companion_side": scene.companion_side,
        "tint": look.tint, "framed": "yes" if look.framed else "no",
    }  # fmt: skip
    if thing.texture in _EVEN:
        out["colour"], out["second"] = sorted((thing.colour, thing.second))
    hidden: set[str] = set()
    if thing.texture == "plain":
        hidden.add("second")
    if thing.marking == "none":
        hidden.add("extra")
    if scene.companion == "none":
        hidden.update(("companion_colour", "companion_side"))
    if scene.twice:
        hidden.add("companion_side")
    if look.tint != "none":
        hidden.update(_COLOURED)
    if look.tint != "none" or look.medium == "neon":
        hidden.add("background")
    return {name: value for name, value in out.items() if name not in hidden}


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Network(nn.Module):
    """Images [n, 3, 128, 128] in 0..1 to logits per attribute and a unit vector [n, 64] per thing."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(3, 24, 2), _conv(24, 48, 2), _conv(48, 48), _conv(48, 80, 2), _conv(80, 80),
            _conv(80, 112, 2), _conv(112, 112),
        )  # fmt: skip
        self.grid = _conv(112, 48, 2)  # what is where
        self.mix = nn.Sequential(nn.Linear(48 * 16 + 2 * 112, 256), nn.BatchNorm1d(256), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(256, len(values)) for name, values in VALUES.items()})
        self.thing = nn.Linear(256, EMBEDDING)

    def forward(self, pixels: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        maps = self.trunk(pixels * 2 - 1)
        pooled = [self.grid(maps).flatten(1), maps.amax((2, 3)), maps.mean((2, 3))]
        features = self.mix(torch.cat(pooled, dim=1))
        logits = {name: head(features) for name, head in self.heads.items()}
        return logits, functional.normalize(self.thing(features), dim=1)


def holds(seen: Mapping[str, str], name: str, value: str) -> bool:
    """Whether what was seen of an image is the wanted value of an attribute."""
    if name in ("colour", "second") and seen["texture"] in _EVEN:
        return value in (seen["colour"], seen["second"])
    return seen[name] == value


class Judge:
    """The trained network with its accuracies."""

    def __init__(self, network: Network, accuracy: dict[str, float]) -> None:
        self.network = network.eval()
        self.accuracy = accuracy
        self.trusted = frozenset(name for name, share in accuracy.items() if share >= TRUST)

    @classmethod
    def load(cls, path: Path = FILE) -> Judge:
        with safe_open(path, framework="pt") as stream:
            accuracy = json.loads(stream.metadata()["accuracy"])
            tensors = {name: stream.get_tensor(name).float() for name in stream.keys()}
        network = Network()
        network.load_state_dict(tensors, strict=False)  # batch counters are not kept
        return cls(network, accuracy)

    @torch.no_grad()
    def _run(self, pictures: npt.NDArray[np.uint8]) -> tuple[dict[str, Tensor], Tensor]:
        pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        return self.network(pixels)

    def read(self, pictures: npt.NDArray[np.uint8]) -> list[dict[str, str]]:
        """What the evaluator sees in uint8 images [n, 128, 128, 3]: a value for every attribute."""
        logits, _ = self._run(pictures)
        best = {name: values.argmax(1).tolist() for name, values in logits.items()}
        return [{name: VALUES[name][best[name][row]] for name in VALUES} for row in range(len(pictures))]

    def holds(self, pictures: npt.NDArray[np.uint8], wanted: dict[str, str]) -> npt.NDArray[np.float32]:
        """Share of the wanted attributes that hold, per image [n]; only trusted attributes count."""
        asked = {name: value for name, value in wanted.items() if name in self.trusted}
        if not asked:
            raise ValueError(f"none of {sorted(wanted)} can be judged; trusted: {sorted(self.trusted)}")
        seen = self.read(pictures)
        return np.asarray([np.mean([holds(row, n, v) for n, v in asked.items()]) for row in seen], np.float32)

    def embed(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Unit vectors [n, 64] that are near for the same thing, whatever surrounds it."""
        return np.asarray(self._run(pictures)[1].numpy())

    def likeness(self, pictures: npt.NDArray[np.uint8], references: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Mean cosine of each image [n] with the references."""
        return np.asarray((self.embed(pictures) @ self.embed(references).T).mean(1), np.float32)
