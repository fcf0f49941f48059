"""From prompts to features: samples of each embedding and of the class word, decoded and seen by the scorers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ....dti_core.training.pixels import resize
from ..node_text import notify, show_on_node
from .samples import Prompt, Sampler, Sampling, decoded

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher
    from comfy.sd import CLIP, VAE

Scorer = Callable[[Sequence[Tensor]], Tensor]
# Images held at a time, at 1024 pixels 200 MB: the VAE and the scorers take turns on a small card.
CHUNK = 16
THUMBNAIL = 192
# What decoding and scoring an image counts in the progress, in steps of the sampler.
SEEN = 2


@dataclass(frozen=True, eq=False)
class Entry:
    """What stands in the place of {}: an embedding by its trigger, or the class word. clip: understands it."""

    label: str
    clip: CLIP
    call: str

    def prompts(self, texts: Sequence[str], seeds: Sequence[int]) -> list[Prompt]:
        """Of each text the seeds, one after the other."""
        filled = [text.replace("{}", self.call) for text in texts]
        return [Prompt(self.clip, text, seed) for text in filled for seed in seeds]


@dataclass(frozen=True, eq=False)
class Seen:
    """Of an entry's images, `[prompts * seeds, ...]`, what each scorer sees; thumbnails `[h, w, 3]`."""

    image: Tensor | None
    text: Tensor | None
    thumbnails: Sequence[Tensor]


class Measuring:
    """Makes and sees all images, entry by entry; what was made before, by a run that was stopped, is found again.

    image_scorer, text_scorer: what they see of images `[H, W, 3]`, a row for each; either may be None. node_id: where
        the progress is told.
    """

    def __init__(
        self,
        model: ModelPatcher,
        clip: CLIP,
        vae: VAE,
        sampling: Sampling,
        image_scorer: Scorer | None,
        text_scorer: Scorer | None,
        node_id: str,
    ) -> None:
        self._sampler = Sampler(model, clip, sampling)
        self._steps, self._vae, self._node_id = sampling.steps, vae, node_id
        self._scorers = (image_scorer, text_scorer)
        self._done = self._kept = 0

    @property
    def problem(self) -> str:
        """Why samples could not be kept; "" where they are."""
        return self._sampler.problem

    def see(self, entries: Sequence[Entry], texts: Sequence[str], seeds: Sequence[int]) -> list[Seen]:
        """What the scorers see of every entry. Raises the host's interrupt at Stop; what is made until then is kept."""
        prompts = [entry.prompts(texts, seeds) for entry in entries]
        missing = [[one for one in each if not self._sampler.file(one).is_file()] for each in prompts]
        total = sum(map(len, prompts))
        self._done, self._kept = 0, total - sum(map(len, missing))
        bar = comfy.utils.ProgressBar(total * (self._steps + SEEN))
        self._advance(bar, self._kept * self._steps)
        with self._stopped_well(total):
            for number, (entry, own) in enumerate(zip(entries, missing, strict=True), start=1):
                self._sample(own, bar, f"{entry.label} ({number} of {len(entries)})")
            return [self._seen(entry.label, own, bar) for entry, own in zip(entries, prompts, strict=True)]

    def _sample(self, missing: Sequence[Prompt], bar: comfy.utils.ProgressBar, label: str) -> None:
        # Text encoders and model take turns once for an entry and not for an image.
        by_text = {prompt.text: prompt for prompt in missing}
        encoded = {text: self._sampler.encoded(prompt) for text, prompt in by_text.items()}
        for number, prompt in enumerate(missing, start=1):
            comfy.model_management.throw_exception_if_processing_interrupted()
            show_on_node(f"{label}: image {number} of {len(missing)}", self._node_id)
            self._sampler.sample(prompt, encoded[prompt.text], self._step_of(bar))
            self._kept += 1

    def _seen(self, label: str, prompts: Sequence[Prompt], bar: comfy.utils.ProgressBar) -> Seen:
        show_on_node(f"{label}: scored", self._node_id)
        found: tuple[list[Tensor], ...] = ([], [])
        thumbnails: list[Tensor] = []
        for start in range(0, len(prompts), CHUNK):
            comfy.model_management.throw_exception_if_processing_interrupted()
            part = prompts[start : start + CHUNK]
            pictures = [decoded(self._vae, self._latent(prompt)) for prompt in part]
            for scorer, features in zip(self._scorers, found, strict=True):
                if scorer is not None:
                    features.append(scorer(pictures))
            thumbnails += [_small(picture) for picture in pictures]
            self._advance(bar, len(part) * SEEN)
        image, text = (torch.cat(features) if features else None for features in found)
        return Seen(image, text, thumbnails)

    def _latent(self, prompt: Prompt) -> Tensor:
        # Damaged or not kept: made anew, and nobody has to press Run again.
        latent = self._sampler.kept(prompt)
        if latent is None:
            latent = self._sampler.sample(prompt, self._sampler.encoded(prompt), lambda step: None)
        return latent

    def _step_of(self, bar: comfy.utils.ProgressBar) -> Callable[[int], None]:
        return lambda step: self._advance(bar, 1)

    def _advance(self, bar: comfy.utils.ProgressBar, count: int) -> None:
        self._done = min(self._done + count, bar.total)
        bar.update_absolute(self._done)

    @contextmanager
    def _stopped_well(self, total: int) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if not self.problem:
                said = f"{self._kept} of {total} images are made and kept; Run goes on from there."
                show_on_node(said, self._node_id)
                notify(said)
            raise


def _small(picture: Tensor) -> Tensor:
    height, width = picture.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    return resize(picture, (max(1, round(height * scale)), max(1, round(width * scale))))
