"""Runs on the toy host whose every step depends on images, captions, noise levels and noise."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from dti_core.methods import Method, Options
from dti_core.training import TrainingConfig, start_method, train
from dti_core.training.data import TrainingImage
from dti_core.training.fingerprints import fingerprints
from dti_core.training.state_folder import StateWriter, resumption
from tests.core.training.test_loop import WIDTHS, ToyDenoiser, ToyTextEncoder

STEPS = 12


class NoisyDenoiser(ToyDenoiser):
    """The toy's target, and a pull in the direction of what was drawn."""

    def loss(self, latents, conditioning, sigma, noise, framing, weights=None):
        row = conditioning.context[:, 0]
        drawn = (latents + noise).flatten(1)[:, : row.shape[1]]
        return super().loss(latents, conditioning, sigma, noise, framing) + sigma * (row * drawn).sum(dim=-1)


def images(seed: int = 0) -> list[TrainingImage]:
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn((3, 4, 4, 6), generator=generator)
    return [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for mean in means]


def config_of(method: str, **settings) -> TrainingConfig:
    if method == "DTI":
        settings = {"kappa": 0.02, "options": Options(kappa_share=0.05, average=4), **settings}
    return TrainingConfig("dog", **{"steps": STEPS, "method": method, "microbatch_size": 3, **settings})


def started(config: TrainingConfig, text_encoder: ToyTextEncoder) -> Method:
    return start_method(config, text_encoder, {key: torch.ones(1, width) for key, width in WIDTHS.items()})


def run(config: TrainingConfig, on_step=lambda report: None, resume=None, change=lambda denoiser: None):
    text_encoder = ToyTextEncoder()
    denoiser = NoisyDenoiser(text_encoder)
    change(denoiser)
    return train(text_encoder, denoiser, images(), config, on_step, method=started(config, text_encoder), resume=resume)


def run_in_folder(config: TrainingConfig, folder: Path, on_step=lambda report: None, resume: str = "auto"):
    """With its state on disk after each step; on_step comes after that."""
    now = fingerprints(config, images(), ToyTextEncoder().vocabularies, {})
    found = resumption(folder, now, config, resume)
    writer = StateWriter(folder, found.fingerprints, found.run)

    def each_step(report):
        writer.write(report.state)
        on_step(report)

    return run(config, each_step, found.state)


def main(folder: Path, *methods: str) -> None:
    for method in methods:
        vectors = run_in_folder(
            config_of(method),
            folder / method,
            lambda report, method=method: print(method, report.step, flush=True),  # noqa: T201
        )
        torch.save(vectors, folder / f"{method}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
