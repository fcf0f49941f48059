"""What the tests of SANA train, and how."""

from __future__ import annotations

import torch

from dti_core.backends.diffusers_sana import pipeline_session
from dti_core.backends.pipeline_training import train_on_pipeline
from dti_core.training import TrainingConfig
from tests.backends.small_sana import WIDTH

KEY = "gemma2_2b"
CONFIG = TrainingConfig("dog", steps=3, batch_size=2)
# In letters the pipeline's own is 1300 tokens long.
INSTRUCTION = ["Say more", "of: "]
CAPTIONS = (("a photo of a {} in the rain", "A {}, b"), ("{}", "the {} c"))


def session(pipe):
    return pipeline_session(pipe, INSTRUCTION)


def trained(pipe, images, config=CONFIG, **settings):
    return train_on_pipeline(pipe, images, config, "dog", CAPTIONS, resolution=64, session=session, **settings)


def vectors(n: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {KEY: 0.5 * torch.nn.functional.normalize(torch.randn((n, WIDTH), generator=generator))}
