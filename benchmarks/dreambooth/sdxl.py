"""An SDXL checkpoint in this process: trained on by the pack's own session and loop, sampled by the host's sampler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.sd
import numpy as np
import small_sdxl  # noqa: F401  (teaches the loader the small sizes, for trials without a GPU)
import torch
from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.methods import METHODS
from dti_pack.dti_core.methods.adjust import rescale
from dti_pack.dti_core.training import StepReport, TrainingConfig, start_method, train
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from dti_pack.nodes.host.encoder_probe import EncoderProbe
from dti_pack.nodes.host.prompt.clip import clip_with_embedding
from dti_pack.nodes.host.training.checks import check_concept
from dti_pack.nodes.host.training.memory import plan_memory
from dti_pack.nodes.host.training.run_metadata import run_metadata, text_notes
from dti_pack.nodes.host.training.session import training_session
from dti_pack.nodes.host.training.text_encoder import HostTextEncoder
from dti_pack.nodes.host.training.vae import encode_images
from PIL import Image
from torch import Tensor

from benchmarks.dreambooth.protocol import Protocol
from benchmarks.dreambooth.subjects import Subject

log = logging.getLogger(__name__)
LOG_EVERY = 50  # steps


class SDXL:
    """MODEL, CLIP and VAE of a checkpoint. Use it in inference mode, as nodes are."""

    def __init__(self, checkpoint: Path) -> None:
        self._model, self._clip, self._vae, _ = comfy.sd.load_checkpoint_guess_config(str(checkpoint))

    def check(self, words: Sequence[str]) -> None:
        """Raise ValueError for a class word that the vocabulary does not carry."""
        for word in words:
            check_concept(self._clip, word, 0)

    def train(self, subject: Subject, method: str, protocol: Protocol) -> ConceptEmbedding:
        """The subject's embedding by that method, at the method's own rate."""
        config = TrainingConfig(
            initializer=subject.word,
            steps=protocol.steps,
            batch_size=protocol.batch_size,
            learning_rate=METHODS[method].learning_rate,
            seed=protocol.training_seed,
            method=method,
        )
        captions = [OBJECT_TEMPLATES] * len(subject.pictures)
        memory = plan_memory(
            self._model,
            self._clip,
            edge=protocol.resolution,
            batch_size=config.batch_size,
            microbatch_size=0,
            captions=OBJECT_TEMPLATES,
        )
        log.info("%s", memory)
        images = encode_images(self._vae, subject.pixels(), protocol.resolution, captions)
        states = None
        if method == "CrossInit":
            states = EncoderProbe(self._clip).last_hidden_states(subject.word)
        with training_session(self._model, self._clip, memory) as (text_encoder, denoiser):
            denoiser.check_latents(images[0])
            denoiser.check_sampling(images[0], text_encoder)
            notes = text_notes(captions, {"object": OBJECT_TEMPLATES})
            metadata = run_metadata(subject.name, config, text_encoder, denoiser, protocol.resolution, notes)
            start = start_method(config, text_encoder, states)
            # After the notes: how many images pass at a time is a matter of the card, not of the recipe.
            config = replace(config, microbatch_size=memory.plan.microbatch_size)
            vectors = train(text_encoder, denoiser, images, config, _progress, memory.step_down, start)
        return ConceptEmbedding(subject.name, vectors, metadata)

    def rescaled(self, embedding: ConceptEmbedding) -> ConceptEmbedding:
        """Every vector brought to the mean norm of its encoder's vocabulary."""
        tables = HostTextEncoder(self._clip, self._clip.cond_stage_model).vocabularies
        return rescale(embedding, {key: table.mean for key, table in tables.items()}, embedding.name)

    def prompter(self, subject: Subject, embedding: ConceptEmbedding | None) -> Callable[[str], list[Any]]:
        """Encodes a prompt with the embedding in the place of `{}`, or with the class word where there is none."""
        clip, name = self._clip, subject.word
        if embedding is not None:
            clip, name = clip_with_embedding(self._clip, embedding)
        return lambda prompt: clip.encode_from_tokens_scheduled(clip.tokenize(prompt.replace("{}", name)))

    def sample(
        self, conditioning: list[Any], seeds: Sequence[int], protocol: Protocol, together: int
    ) -> Iterator[Image.Image]:
        """An image for each seed, `together` of them denoised at a time; a seed's noise is the same for all prompts."""
        edge, nothing = protocol.size // 8, [_zeroed(*entry) for entry in conditioning]
        for first in range(0, len(seeds), together):
            some = seeds[first : first + together]
            latents = torch.zeros(len(some), 4, edge, edge)
            noise = torch.cat([comfy.sample.prepare_noise(latents[:1], seed) for seed in some])
            samples = comfy.sample.sample(
                self._model, noise, protocol.sampling_steps, protocol.guidance, protocol.sampler, protocol.scheduler,
                conditioning, nothing, latents, disable_pbar=True,
            )  # fmt: skip
            pixels = (self._vae.decode(samples) * 255).round().clamp(0, 255).to(torch.uint8)
            yield from (Image.fromarray(np.asarray(picture.cpu())) for picture in pixels)


def device() -> torch.device:
    """Where the host computes."""
    return torch.device(comfy.model_management.get_torch_device())


def device_name() -> str:
    where = device()
    return torch.cuda.get_device_name(where) if where.type == "cuda" else str(where)


def make_room() -> None:
    """Give the device to what comes after SDXL."""
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()


def _zeroed(context: Tensor, options: dict[str, Any]) -> list[Any]:
    """What diffusers has for SDXL where the negative prompt is empty; ComfyUI would encode an empty text."""
    return [torch.zeros_like(context), {**options, "pooled_output": torch.zeros_like(options["pooled_output"])}]


def _progress(report: StepReport) -> None:
    if report.step % LOG_EVERY == 0:
        log.info("step %d, loss %.4f", report.step, report.loss)
