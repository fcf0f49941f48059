"""Training on a pipeline of diffusers, from images to the embedding with its header."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, Protocol

from torch import Tensor

from ..embedding import ConceptEmbedding
from ..files.modelspec import modelspec_metadata
from ..training import StepReport, TrainingConfig, train
from ..training.backend import Denoiser, TextEncoder
from ..training.captions import OBJECT_TEMPLATES, behind_zeros, check_captions
from ..training.crops import SHAPES, Crop
from ..training.data import MOST_ZEROS
from ..training.initializer import check_tokens
from ..training.masks import BACKGROUND_WEIGHT
from ..training.repeats import drawn_by, with_repeats
from . import diffusers_sana, diffusers_sdxl
from .pipeline_images import encode_images


class PipelineText(TextEncoder, Protocol):
    """A pipeline's text encoders."""

    @property
    def notes(self) -> Mapping[str, str]:
        """For a file's header: what its vectors are read with."""

    def check_caption(self, caption: str, n_vectors: int) -> None:
        """Raise ValueError where the text encoders do not read the caption, or not all of it."""


class PipelineNetwork(Denoiser, Protocol):
    """A pipeline's network."""

    @property
    def resolution(self) -> int:
        """What to train at where nothing is asked for, in pixels."""

    @property
    def prediction_type(self) -> str:
        """As `modelspec_metadata` has it."""


Session = Callable[[Any], AbstractContextManager[tuple[PipelineText, PipelineNetwork]]]


def session_of(pipe: Any) -> Session:
    """The `pipeline_session` for a pipeline of that kind; it refuses one of a kind that has none."""
    return diffusers_sana.pipeline_session if hasattr(pipe, "transformer") else diffusers_sdxl.pipeline_session


def train_on_pipeline(
    pipe: Any,
    images: Sequence[Tensor],
    config: TrainingConfig,
    name: str = "concept",
    captions: Sequence[Sequence[str]] = (OBJECT_TEMPLATES,),
    resolution: int = 0,
    on_step: Callable[[StepReport], None] = lambda report: None,
    masks: Sequence[Tensor] = (),
    background_weight: float = BACKGROUND_WEIGHT,
    mirror: bool = False,
    crop: str = SHAPES[0],
    random_crop: float = 0.0,
    repeats: Sequence[int] = (),
    session: Session | None = None,
) -> ConceptEmbedding:
    """Train a concept; the embedding is ready for `dti_core.files.embedding_file.save_embedding`.

    Args:
        pipe: of SDXL or SANA, on the device to train on, in float32, bfloat16 or float16. It is not changed.
        images: `[H, W, 3]` in [0, 1], of any sizes; 3 to 6 do.
        config: the recipe.
        name: of the embedding.
        captions: what may be said of each image, with `{}` where the concept goes; a single list is for all of them.
        resolution: edge of a square crop in pixels; 0 for the authors': 768 for SDXL, and SANA's own up to 1024. A
            warning names the images that have to be enlarged for it.
        on_step: called after every step; what it raises ends the run.
        masks: one for each image, `[H, W]`, 1 on the subject; or none.
        background_weight: of the loss outside the masks, from 0 to 1, which is as without masks.
        mirror: whether to train on the mirrored images too, as often.
        crop, random_crop: shape and room of `training.crops.Crop`: squares or the images' own shapes, and the share of
            each side that crops leave out.
        repeats: how often each image is drawn beside the others; none for all alike.
        session: makes the pipeline's models ready; None for what `session_of` chooses.

    Raises:
        ValueError: for settings or a pipeline that cannot be trained with, before the first step.
    """
    texts, shares = _by_image(captions, len(images)), drawn_by(repeats, len(images))
    with (session or session_of(pipe))(pipe) as (text_encoder, denoiser):
        ids = text_encoder.token_ids(config.initializer)
        check_tokens(config.initializer, ids, config.n_vectors)
        zeros = MOST_ZEROS if config.options.zero_pad else 0
        for caption in {behind_zeros(caption, zeros) for of_image in texts for caption in of_image}:
            text_encoder.check_caption(caption, config.n_vectors or max(map(len, ids.values())))
        resolution = resolution or denoiser.resolution
        data = encode_images(pipe, images, resolution, texts, masks, background_weight, mirror, crop, random_crop)
        vectors = train(text_encoder, denoiser, with_repeats(data, shares), config, on_step)
    notes = modelspec_metadata(
        {key: rows.shape[1] for key, rows in vectors.items()},
        title=name,
        trigger_phrase=f"<{name}>",
        resolution=(resolution, resolution),
        created=datetime.now(timezone.utc),
        prediction_type=denoiser.prediction_type,
    )
    notes |= text_encoder.notes
    if masks:
        notes["dti.background_weight"] = str(background_weight)
    if mirror:
        notes["dti.mirror"] = str(mirror)
    if max(shares) > 1:
        notes["dti.repeats"] = " ".join(map(str, shares))
    notes |= {f"dti.{key}": value for key, value in Crop(resolution, crop, random_crop).in_use().items()}
    recipe = {f"dti.{key}": str(value) for key, value in config.in_use().items()}
    return ConceptEmbedding(name, vectors, {**notes, **recipe, "dti.resolution": str(resolution)})


def _by_image(captions: Sequence[Sequence[str]], n_images: int) -> list[tuple[str, ...]]:
    for of_image in captions:
        check_captions(of_image)
    texts = [tuple(of_image) for of_image in captions]
    if len(texts) not in (1, n_images):
        raise ValueError(f"got {len(texts)} lists of captions for {n_images} images; give one each, or one for all.")
    return texts * n_images if len(texts) == 1 else texts
