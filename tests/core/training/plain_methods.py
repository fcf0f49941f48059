"""Every training method once more, written out plainly: the oracle of the tests that hold vectors bit for bit.

Bits differ between processors, so no numbers are recorded; both sides are computed in one process. The functions
take the operations in the order in which they were first written, and know nothing of `dti_core.training`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dti_core.sphere import egrad2rgrad, projx, retr

Rows = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """What a method is told. method: "dti", "ti", "cross_init" or "adamw_sphere"."""

    method: str = "dti"
    steps: int = 400
    batch_size: int = 4
    learning_rate: float = 0.04
    kappa: float = 1e-4
    statistic: str = "mean"
    factor: float = 1.0
    kappa_share: float = 0.0
    decay: str = "none"
    decay_floor: float = 0.0
    average: int = 0
    stratified: bool = False
    microbatch_size: int = 0


def plain_vectors(text_encoder, denoiser, images, recipe: Recipe, seed: int, word: str, states: Rows, draw) -> Rows:
    """What `recipe` finds from `word`; `states` are CrossInit's start, `draw` is `draw_batch` of the package in use."""
    ids, tables = text_encoder.token_ids(word), text_encoder.vocabularies
    rows = {key: table.rows(ids[key]) for key, table in tables.items()}
    magnitude = {
        key: torch.as_tensor(table.magnitude(recipe.statistic, ids[key]), dtype=torch.float32)
        .expand(len(ids[key])).reshape(-1, 1) * recipe.factor
        for key, table in tables.items()
    }  # fmt: skip
    if recipe.method == "dti":
        mover = _Rsgd(rows, magnitude, recipe)
    else:
        coordinate = {key: table.mean / math.sqrt(table.table.shape[1]) for key, table in tables.items()}
        mover = _AdamW(rows, magnitude, recipe, states, coordinate)
    generator = torch.Generator().manual_seed(seed)
    for step in range(1, recipe.steps + 1):
        batch = draw(images, recipe.batch_size, generator)
        u = (torch.arange(recipe.batch_size) + batch.u) / recipe.batch_size if recipe.stratified else batch.u
        parameters = list(mover.parameters.values())
        loss = _loss(text_encoder, denoiser, batch, u, mover.vectors(), recipe.microbatch_size)
        mover.move(dict(zip(mover.parameters, torch.autograd.grad(loss, parameters), strict=True)), step)
    return mover.found()


class _Rsgd:
    """Algorithm 1, with what was tried beside it."""

    def __init__(self, rows: Rows, magnitude: Rows, recipe: Recipe) -> None:
        self.recipe, self.magnitude = recipe, magnitude
        self.mu = {key: projx(value) for key, value in rows.items()}
        self.parameters = {key: mu.clone().requires_grad_() for key, mu in self.mu.items()}
        self.sum = {key: torch.zeros_like(mu) for key, mu in self.mu.items()}
        self.running: dict[str, float] = {}

    def vectors(self) -> Rows:
        return {key: self.magnitude[key] * v for key, v in self.parameters.items()}

    @torch.no_grad()
    def move(self, gradients: Rows, step: int) -> None:
        recipe, share = self.recipe, _share(self.recipe, step)
        for key, v in self.parameters.items():
            kappa, norm = recipe.kappa, float(gradients[key].norm(dim=-1).mean())
            if recipe.kappa_share:
                self.running[key] = 0.9 * self.running.get(key, norm) + (1 - 0.9) * norm
                kappa = recipe.kappa_share * self.running[key]
            g = gradients[key] - kappa * self.mu[key]
            g = egrad2rgrad(v, egrad2rgrad(v, g))
            v.copy_(retr(v, -(recipe.learning_rate * share) * (g / g.norm(dim=-1, keepdim=True))))
            if step > recipe.steps - recipe.average:
                self.sum[key] += v

    def found(self) -> Rows:
        last = {key: v.detach().clone() for key, v in self.parameters.items()}
        return {
            key: self.magnitude[key] * (projx(self.sum[key]) if self.sum[key].any() else v) for key, v in last.items()
        }


class _AdamW:
    """Textual Inversion, and with one thing more each, CrossInit and the projected one."""

    def __init__(
        self, rows: Rows, magnitude: Rows, recipe: Recipe, states: Rows, coordinate: Mapping[str, float]
    ) -> None:
        self.recipe, self.magnitude = recipe, magnitude
        starts = {
            "ti": rows,
            "cross_init": states,
            "adamw_sphere": {key: magnitude[key] * projx(value) for key, value in rows.items()},
        }
        self.anchor = starts[recipe.method]
        self.parameters = {key: value.clone().requires_grad_() for key, value in self.anchor.items()}
        self.rates = {key: recipe.learning_rate * size for key, size in coordinate.items()}
        decays = {key: 1e-2 * (0.387 / math.sqrt(768)) / size for key, size in coordinate.items()}
        self.adamw = {
            key: torch.optim.AdamW([rows], betas=(0.9, 0.999), eps=1e-8, weight_decay=decays[key])
            for key, rows in self.parameters.items()
        }

    def vectors(self) -> Rows:
        return dict(self.parameters)

    @torch.no_grad()
    def move(self, gradients: Rows, step: int) -> None:
        for key, rows in self.parameters.items():
            pull = 2 * 1e-5 * (rows - self.anchor[key]) / rows.numel() if self.recipe.method == "cross_init" else 0
            rows.grad = gradients[key] + pull
            self.adamw[key].param_groups[0]["lr"] = self.rates[key] * _share(self.recipe, step)
            self.adamw[key].step()
        if self.recipe.method == "adamw_sphere":
            for key, rows in self.parameters.items():
                rows.copy_(self.magnitude[key] * projx(rows))

    def found(self) -> Rows:
        return {key: rows.detach().clone() for key, rows in self.parameters.items()}


def _share(recipe: Recipe, step: int) -> float:
    done = (step - 1) / recipe.steps
    left = {"none": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[recipe.decay]
    return recipe.decay_floor + (1 - recipe.decay_floor) * left


def _loss(text_encoder, denoiser, batch, u: Tensor, vectors: Mapping[str, Tensor], part: int = 0) -> Tensor:
    """The batch's mean loss, `part` images at a time (0: all)."""
    captions = list(dict.fromkeys(batch.captions))
    index = torch.tensor([captions.index(caption) for caption in batch.captions])
    conditioning, sigma = text_encoder.encode(captions, vectors), denoiser.sigmas(u)
    total, count = torch.zeros(()), len(batch.captions)
    latents, noise = torch.stack(batch.latents), torch.stack(batch.noise)
    for first in range(0, count, part or count):
        rows = slice(first, first + (part or count))
        losses = denoiser.loss(
            latents[rows], conditioning.select(index[rows]), sigma[rows], noise[rows], batch.framing[rows]
        )
        total = total + losses.sum() / count
    return total
