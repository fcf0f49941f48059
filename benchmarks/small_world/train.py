"""Trains the small text-to-image model on the encoded drawings: seeded, resumable.

python -m small_world.train FOLDER --comfyui COMFYUI   (FOLDER holds latents.npy and text_state.pt; resumes)
With a GPU: --device cuda --workers 1, and more steps for better images.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from .comfyui import start_log, use_comfyui
from .dataset import scene_at
from .drawing import cells_of_things
from .files import load_state, save_state
from .grammar import describe
from .parallel import average_gradients, launch
from .scenes import Scene, departures
from .tokens import LENGTH

if TYPE_CHECKING:
    from .model import SmallModel
    from .tokens import Tokens

EMA = 0.998  # kept of the averaged weights per step
EMA_EVERY = 5
# Exponents below one: more samples where noise is strong, which is where captions decide; most at first.
NOISY_FIRST, NOISY_LAST = 0.6, 0.85
# The cells of things count so much more, up to the first of these steps of the schedule; from the second on, where
# the noise still hides where things are, weights would teach that they are everywhere.
THINGS_WEIGHT, SEEN_UNTIL, HIDDEN_FROM = 3.0, 400, 700
PLAINER = 2.5  # at first every departure from a plain thing is that many times e rarer than it was drawn
SHORT = 32  # positions of a caption at first; the attention over the rest of 77 is learned at the end
TEXT_SHARE = 0.15  # of the rate, for the text encoders: they can read already
EVERY = 250  # steps between saved states
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How long and how fast. The rate stays up and falls to zero over the last part of the steps."""

    steps: int = 14500
    batch: int = 32
    rate: float = 6e-4
    warm_up: int = 300
    decay_from: float = 0.6
    # Where five things have a colour, a colour word says little about any: plain things on any background first.
    plain_until: float = 0.3
    whole_from: float = 0.88  # from here on captions have all their 77 positions
    workers: int = 2

    def rate_at(self, step: int) -> float:
        left = (self.steps - step) / (self.steps * (1 - self.decay_from))
        return self.rate * min(1.0, (step + 1) / self.warm_up, max(0.0, left))

    def plainness_at(self, step: int) -> float:
        """One at first, zero from `plain_until` on."""
        return max(0.0, 1 - step / (self.plain_until * self.steps))

    def positions_at(self, step: int) -> int:
        return SHORT if step < self.whole_from * self.steps else LENGTH


def _groups(model: SmallModel) -> list[dict[str, Any]]:
    """Parameters by weight decay and by share of the rate."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decayed = parameter.ndim > 1 and "embed" not in name and "rows" not in name
        share = TEXT_SHARE if name.startswith("clip_") else 1.0
        groups.setdefault((0.01 if decayed else 0.0, share), []).append(parameter)
    return [{"params": found, "weight_decay": decay, "share": share} for (decay, share), found in groups.items()]


class Trainer:
    """Model, optimizer and averaged weights; a step depends on its number alone, so resuming changes nothing."""

    def __init__(
        self,
        model: SmallModel,
        tokens: Tokens,
        latents: npt.NDArray[Any],
        scenes: Sequence[Scene],
        plan: Plan,
        rank: int = 0,
        device: str = "cpu",
    ) -> None:
        self.model, self.tokens, self.latents, self.scenes = model.to(device), tokens, latents, scenes
        self.plan, self.rank, self.device = plan, rank, torch.device(device)
        self.optimizer = torch.optim.AdamW(_groups(model), lr=plan.rate, betas=(0.9, 0.99), fused=True)
        self.average = {name: value.detach().clone() for name, value in model.named_parameters()}
        self.departures = np.asarray([departures(scenes[index]) for index in range(len(scenes))])
        self.number = 0
        self.seconds = 0.0

    def batch_loss(self, number: int) -> torch.Tensor:
        """The loss of step `number`; images, captions, noise and times depend on number and worker alone."""
        rng = np.random.default_rng((3, number, self.rank))
        count = self.plan.batch // self.plan.workers
        plainness = self.plan.plainness_at(number)
        chances = np.exp(-PLAINER * plainness * self.departures)
        picked = rng.choice(len(self.latents), count, p=chances / chances.sum())
        latents = torch.from_numpy(np.asarray(self.latents[picked], np.float32))
        texts = [describe(self.scenes[index], rng).text for index in picked]
        indices, lengths = self.tokens.batch(texts, self.plan.positions_at(number))
        # One time from each equal part of the schedule: the loss of a step is less of a lottery.
        parts = (rng.permutation(count) + rng.random(count)) / count
        exponent = NOISY_LAST - plainness * (NOISY_LAST - NOISY_FIRST)
        steps = torch.from_numpy(parts**exponent * 1000).long().clamp(max=999)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
        to = self.device
        context, y = self.model.conditioning({key: rows.to(to) for key, rows in indices.items()}, lengths)
        errors = self.model.errors(latents.to(to), noise.to(to), steps.to(to), context, y)
        weights = self._cell_weights(picked, steps).to(to)
        return (errors * weights).sum() / weights.sum()

    def _cell_weights(self, picked: npt.NDArray[Any], steps: torch.Tensor) -> torch.Tensor:
        """What each latent cell counts [n, 16, 16]."""
        things = torch.from_numpy(np.stack([cells_of_things(self.scenes[index]) for index in picked]))
        seen = ((HIDDEN_FROM - steps) / (HIDDEN_FROM - SEEN_UNTIL)).clamp(0, 1)[:, None, None]
        return 1 + (THINGS_WEIGHT - 1) * seen * things

    def step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.plan.rate_at(self.number)
        loss = self.batch_loss(self.number)
        self.optimizer.zero_grad()
        loss.backward()
        average_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.keep_norms()
        if self.number % EMA_EVERY == 0:
            keep = min(EMA, (1 + self.number) / (10 + self.number)) ** EMA_EVERY
            with torch.no_grad():
                for name, value in self.model.named_parameters():
                    self.average[name].lerp_(value, 1 - keep)
        self.number += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict(),
            "step": self.number, "seconds": self.seconds,
        }  # fmt: skip

    def hear(self, encoders: dict[str, torch.Tensor]) -> None:
        """Starts with text encoders that have been taught what captions say (train_text)."""
        for key in ("l", "g"):
            own = {name.removeprefix(f"{key}."): x for name, x in encoders.items() if name.startswith(f"{key}.")}
            getattr(self.model, f"clip_{key}").load_state_dict(own)
        self.average = {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if "optimizer" in state:  # not in a state restored from the compact file
            self.optimizer.load_state_dict(state["optimizer"])
        self.average = {name: value.to(self.device, copy=True) for name, value in state["average"].items()}
        self.number, self.seconds = state["step"], state["seconds"]


class Scenes(Sequence["Scene"]):
    """The drawn scenes, made when asked for and remembered."""

    def __init__(self, count: int) -> None:
        self._known: dict[int, Scene] = {}
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if index not in self._known:
            self._known[index] = scene_at(int(index))
        return self._known[index]


def train(rank: int, workers: int, folder: Path, plan: Plan, device: str, comfyui: Path | None) -> None:
    """One worker of the training; the first one writes the log and the state."""
    use_comfyui(comfyui)
    from .model import SmallModel
    from .tokens import host_tokens

    start_log(quiet=rank > 0)
    latents, state_file = np.load(folder / "latents.npy"), folder / "model_state.pt"
    torch.manual_seed(0)
    tokens = host_tokens()
    trainer = Trainer(SmallModel(tokens.used), tokens, latents, Scenes(len(latents)), plan, rank, device)
    if state_file.is_file():
        trainer.resume(load_state(state_file))
        log.info("Going on at step %d.", trainer.number)
    else:
        trainer.hear(load_state(folder / "text_state.pt")["encoders"])
    losses: list[float] = []
    begun, before = time.monotonic(), trainer.seconds
    while trainer.number < plan.steps:
        losses = [*losses[-24:], trainer.step()]
        trainer.seconds = before + time.monotonic() - begun
        if trainer.number % 25 == 0:
            log.info("step %d loss %.4f, %.0f s", trainer.number, np.mean(losses), trainer.seconds)
        if rank == 0 and (trainer.number % EVERY == 0 or trainer.number == plan.steps):
            save_state(state_file, trainer.state())
    log.info("Trained %d steps in %.0f minutes.", trainer.number, trainer.seconds / 60)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the small model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--batch", type=int, default=Plan.batch)
    parser.add_argument("--workers", type=int, default=Plan.workers)
    parser.add_argument("--device", default="cpu", help="cuda with one worker")
    options = parser.parse_args()
    if options.device != "cpu" and options.workers != 1:
        parser.error(f"--workers is {options.workers}; on {options.device} there can be 1")
    plan = Plan(steps=options.steps, batch=options.batch, workers=options.workers)
    launch(train, plan.workers, options.folder, plan, options.device, options.comfyui)


if __name__ == "__main__":
    main()
