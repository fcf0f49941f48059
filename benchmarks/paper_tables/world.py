"""The small world in this process: its model through the host's modules, its pictures, its judge."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from dti_pack.dti_core.embedding import ConceptEmbedding
from dti_pack.dti_core.training.backend import Denoiser, TextEncoder
from dti_pack.dti_core.training.data import TrainingImage
from small_world.judge import Judge
from small_world.sample import Painter, Sampling
from small_world.scenes import SIZE
from small_world.subjects import Style, Subject, pictures_of
from torch import Tensor

from .calibration import trusted
from .captions import captions_with_surroundings, plain_captions
from .prompts import fill

log = logging.getLogger(__name__)
Pictures = npt.NDArray[np.uint8]


class World:
    """A loaded checkpoint of the small world, and the judge of its pictures. ComfyUI must be importable.

    trust: the attributes that the judge may judge; `calibration` is the file that remembers how well it reads them.
    """

    def __init__(self, checkpoint: Path, judge: Path, calibration: Path) -> None:
        import folder_paths

        # What a prompt calls by name lies in a file meanwhile; none of it shall stay.
        self._scratch = tempfile.TemporaryDirectory(prefix="paper_tables_")
        folder_paths.set_temp_directory(self._scratch.name)
        self.painter = Painter(checkpoint)
        self.judge = Judge.load(judge)
        self.trust = trusted(self.judge, calibration)

    def images(self, concept: Subject | Style, surroundings: bool) -> list[TrainingImage]:
        """The concept's four pictures as the host's VAE sees them, with captions."""
        captions = captions_with_surroundings(concept) if surroundings else plain_captions(concept)
        return self.encoded(pictures_of(concept), captions)

    def encoded(self, pictures: Pictures, captions: Sequence[tuple[str, ...]]) -> list[TrainingImage]:
        """Pictures `[n, 128, 128, 3]` as the host's VAE sees them, with captions."""
        from dti_pack.nodes.host.training.vae import encode_images

        floats = [torch.from_numpy(picture.astype(np.float32) / 255) for picture in pictures]
        with torch.inference_mode():
            return encode_images(self.painter.vae, floats, SIZE, captions)

    @contextmanager
    def session(self) -> Iterator[tuple[TextEncoder, Denoiser]]:
        """The model, ready for training."""
        from dti_pack.nodes.host.training.session import training_session

        with training_session(self.painter.model, self.painter.clip) as (text_encoder, denoiser):
            yield text_encoder, denoiser

    def contextual(self, word: str) -> dict[str, Tensor]:
        """CrossInit's start, `[n_vectors, dim]` by encoder key."""
        from dti_pack.nodes.host.encoder_probe import EncoderProbe

        return EncoderProbe(self.painter.clip).last_hidden_states(word)

    def lengths(self) -> dict[str, float]:
        """The vocabulary's mean norm by encoder key."""
        return {key: table.mean for key, table in self._text_encoder().vocabularies.items()}

    def word_vectors(self, word: str) -> dict[str, Tensor]:
        """The vocabulary's rows of a word, `[n_vectors, dim]` by encoder key."""
        encoder = self._text_encoder()
        ids = encoder.token_ids(word)
        return {key: table.rows(ids[key]).cpu() for key, table in encoder.vocabularies.items()}

    def _text_encoder(self) -> Any:
        from dti_pack.nodes.host.training.text_encoder import HostTextEncoder

        return HostTextEncoder(self.painter.clip, self.painter.clip.cond_stage_model)

    def paint_vectors(
        self, texts: Sequence[str], vectors: Mapping[str, Tensor], seeds: Sequence[int], how: Sampling
    ) -> Pictures:
        """As `paint`, with `vectors` as the word; they reach the prompt as an embedding file does."""
        from dti_pack.nodes.host.prompt.clip import clip_with_embedding

        clip, word = clip_with_embedding(self.painter.clip, ConceptEmbedding("concept", dict(vectors)))
        return self._paint(clip, [text.replace("{}", word) for text in texts], seeds, how)

    def paint_word(self, texts: Sequence[str], word: str, seeds: Sequence[int], how: Sampling) -> Pictures:
        """One picture per text (`{}` for the word) and seed, uint8 [texts * seeds, 128, 128, 3], texts outermost."""
        return self._paint(self.painter.clip, [fill(text, word) for text in texts], seeds, how)

    @torch.inference_mode()
    def _paint(self, clip: Any, prompts: Sequence[str], seeds: Sequence[int], how: Sampling) -> Pictures:
        encoded = {text: clip.encode_from_tokens_scheduled(clip.tokenize(text))[0] for text in ("", *prompts)}
        jobs = [(prompt, _noise(seed, number)) for number, prompt in enumerate(prompts) for seed in seeds]
        noise = torch.stack([drawn for _, drawn in jobs])
        return self.painter.denoise([encoded[prompt] for prompt, _ in jobs], encoded[""], noise, how)


def _noise(seed: int, number: int) -> Tensor:
    """The same for every method: it depends on the sampling seed and the prompt's number alone."""
    generator = torch.Generator().manual_seed(1000 * seed + number)
    return torch.randn((4, SIZE // 8, SIZE // 8), generator=generator)
