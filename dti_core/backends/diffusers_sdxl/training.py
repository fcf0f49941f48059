"""Training on a pipeline: its models made ready and handed back, images encoded, the embedding with its header."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...embedding import ConceptEmbedding
from ...files.modelspec import modelspec_metadata
from ...training import StepReport, TrainingConfig, train
from ...training.captions import OBJECT_TEMPLATES, check_captions
from ...training.crops import SHAPES, Crop
from ...training.data import TrainingImage
from ...training.initializer import check_tokens
from ...training.masks import BACKGROUND_WEIGHT, check_masks, loss_weights
from ...training.pixels import check_pixels, resize, with_mirrored
from ...training.repeats import drawn_by, with_repeats
from .denoiser import PREDICTION_TYPES, PipelineDenoiser
from .text_encoder import PipelineTextEncoder

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

log = logging.getLogger(__name__)


@contextmanager
def pipeline_session(pipe: StableDiffusionXLPipeline) -> Iterator[tuple[PipelineTextEncoder, PipelineDenoiser]]:
    """Make the pipeline's models ready for training while the context lasts, and hand them back as they were.

    The text encoders compute in float32, in which small gradients last; the UNet in what it is loaded in.

    Raises ValueError for a pipeline that cannot be trained on, and says why.
    """
    _check(pipe)
    encoders = (pipe.text_encoder, pipe.text_encoder_2)
    with _frozen(pipe.unet, *encoders), _in_float32(*encoders):
        yield PipelineTextEncoder(pipe), PipelineDenoiser(pipe)


def encode_images(
    pipe: StableDiffusionXLPipeline,
    images: Sequence[Tensor],
    resolution: int,
    captions: Sequence[tuple[str, ...]],
    masks: Sequence[Tensor] = (),
    background_weight: float = BACKGROUND_WEIGHT,
    mirror: bool = False,
    crop: str = SHAPES[0],
    random_crop: float = 0.0,
) -> list[TrainingImage]:
    """Bring images (`[H, W, 3]` in [0, 1], any sizes) to the size for their crops and encode each once, in float32.

    masks: one for each image, `[H, W]`, 1 on the subject; or none. background_weight: of the loss outside them.
    mirror: whether mirrored images, encoded too, follow behind. crop, random_crop: shape and room of `Crop`.

    Raises ValueError for what is not an image or its mask, and for a resolution that the VAE cannot divide.
    """
    scale = pipe.vae_scale_factor
    if resolution <= 0 or resolution % scale:
        raise ValueError(f"resolution is {resolution}; it has to be a multiple of {scale}, such as 768.")
    cropped = Crop(resolution, crop, random_crop)
    for number, image in enumerate(images, start=1):
        check_pixels(image, f"image {number} of {len(images)}")
        height, width = image.shape[:2]
        if (factor := cropped.enlargement(height, width)) > 1:
            log.warning("Image %d is %d x %d pixels and is enlarged %.2f times.", number, width, height, factor)
    check_masks(masks, images, background_weight)
    if mirror:
        images, masks, captions = with_mirrored(images), with_mirrored(masks), [*captions, *captions]
    encoded = []
    with torch.no_grad(), _in_float32(pipe.vae):
        for number, (image, texts) in enumerate(zip(images, captions, strict=True)):
            height, width = image.shape[:2]
            pixels = resize(image, cropped.resized(height, width, scale)).movedim(-1, 0).unsqueeze(0)
            posterior = pipe.vae.encode((2 * pixels - 1).to(pipe.vae.device)).latent_dist
            mean, std = posterior.mean[0].cpu(), posterior.std[0].cpu()
            size = (mean.shape[1], mean.shape[2])
            weights = loss_weights(masks[number], size, background_weight) if masks else None
            window = cropped.window(height, width, scale)
            encoded.append(TrainingImage(mean, std, (height, width), texts, scale, weights, window))
    return encoded


def train_on_pipeline(
    pipe: StableDiffusionXLPipeline,
    images: Sequence[Tensor],
    config: TrainingConfig,
    name: str = "concept",
    captions: Sequence[Sequence[str]] = (OBJECT_TEMPLATES,),
    resolution: int = 768,
    on_step: Callable[[StepReport], None] = lambda report: None,
    masks: Sequence[Tensor] = (),
    background_weight: float = BACKGROUND_WEIGHT,
    mirror: bool = False,
    crop: str = SHAPES[0],
    random_crop: float = 0.0,
    repeats: Sequence[int] = (),
) -> ConceptEmbedding:
    """Train a concept; the embedding is ready for `dti_core.files.embedding_file.save_embedding`.

    Args:
        pipe: on the device to train on, in float32, bfloat16 or float16. It is not changed.
        images: `[H, W, 3]` in [0, 1], of any sizes; 3 to 6 do.
        config: the recipe.
        name: of the embedding.
        captions: what may be said of each image, with `{}` where the concept goes; a single list is for all of them.
        resolution: edge of a square crop in pixels. A warning names the images that have to be enlarged for it.
        on_step: called after every step; what it raises ends the run.
        masks: one for each image, `[H, W]`, 1 on the subject; or none.
        background_weight: of the loss outside the masks, from 0 to 1, which is as without masks.
        mirror: whether to train on the mirrored images too, as often.
        crop, random_crop: shape and room of `training.crops.Crop`: squares or the images' own shapes, and the share of
            each side that crops leave out.
        repeats: how often each image is drawn beside the others; none for all alike.

    Raises:
        ValueError: for settings or a pipeline that cannot be trained with, before the first step.
    """
    texts, shares = _by_image(captions, len(images)), drawn_by(repeats, len(images))
    with pipeline_session(pipe) as (text_encoder, denoiser):
        ids = text_encoder.token_ids(config.initializer)
        check_tokens(config.initializer, ids, config.n_vectors)
        for caption in {caption for of_image in texts for caption in of_image}:
            text_encoder.check_caption(caption, config.n_vectors or max(map(len, ids.values())))
        data = encode_images(pipe, images, resolution, texts, masks, background_weight, mirror, crop, random_crop)
        vectors = train(text_encoder, denoiser, with_repeats(data, shares), config, on_step)
    standard = modelspec_metadata(
        {key: rows.shape[1] for key, rows in vectors.items()},
        title=name,
        trigger_phrase=f"<{name}>",
        resolution=(resolution, resolution),
        created=datetime.now(timezone.utc),
        prediction_type=PREDICTION_TYPES[denoiser.prediction_type],
    )
    if masks:
        standard["dti.background_weight"] = str(background_weight)
    if mirror:
        standard["dti.mirror"] = str(mirror)
    if max(shares) > 1:
        standard["dti.repeats"] = " ".join(map(str, shares))
    standard |= {f"dti.{key}": value for key, value in Crop(resolution, crop, random_crop).in_use().items()}
    recipe = {f"dti.{key}": str(value) for key, value in config.in_use().items()}
    return ConceptEmbedding(name, vectors, {**standard, **recipe, "dti.resolution": str(resolution)})


def _by_image(captions: Sequence[Sequence[str]], n_images: int) -> list[tuple[str, ...]]:
    for of_image in captions:
        check_captions(of_image)
    texts = [tuple(of_image) for of_image in captions]
    if len(texts) not in (1, n_images):
        raise ValueError(f"got {len(texts)} lists of captions for {n_images} images; give one each, or one for all.")
    return texts * n_images if len(texts) == 1 else texts


def _check(pipe: StableDiffusionXLPipeline) -> None:
    models = {name: getattr(pipe, name) for name in ("unet", "text_encoder", "text_encoder_2", "vae")}
    missing = [name for name, model in models.items() if model is None]
    if missing:
        raise ValueError(f"The pipeline has no {', '.join(missing)}. Load SDXL's base pipeline with all its parts.")
    # What offloading hooks move away after the forward pass is missing in the backward pass.
    if any(hasattr(module, "_hf_hook") for model in models.values() for module in model.modules()):
        raise ValueError(
            "The pipeline offloads its models, and training needs them in one place. Call pipe.remove_all_hooks() and "
            "pipe.to(device) first, or load it without offloading."
        )


@contextmanager
def _frozen(*modules: torch.nn.Module) -> Iterator[None]:
    """Without gradients of their own, and in evaluation mode."""
    parameters = [(p, p.requires_grad) for module in modules for p in module.parameters()]
    modes = [(child, child.training) for module in modules for child in module.modules()]
    try:
        for module in modules:
            module.eval().requires_grad_(False)
        yield
    finally:
        for parameter, requires_grad in parameters:
            parameter.requires_grad_(requires_grad)
        for child, training in modes:
            child.training = training


@contextmanager
def _in_float32(*modules: torch.nn.Module) -> Iterator[None]:
    """Halves go through float32 and back without a change of value."""
    tensors = [t for module in modules for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    dtypes = [tensor.dtype for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in zip(tensors, dtypes, strict=True):
            tensor.data = tensor.data.to(dtype)
