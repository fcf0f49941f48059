"""diffusers' SDXL pipeline as dti_core's TextEncoder and Denoiser.

Nothing of diffusers is imported: all that is needed hangs on the pipeline.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..analysis.token_text import check_known
from ..embedding import ConceptEmbedding
from ..files.modelspec import modelspec_metadata
from ..training import StepReport, TrainingConfig, train
from ..training.backend import Conditioning
from ..training.captions import OBJECT_TEMPLATES, check_captions
from ..training.data import TrainingImage
from ..training.initializer import check_tokens
from ..training.objective import per_sample_mse
from ..training.pixels import check_pixels, resize_short_side
from ..vocabulary import Vocabulary

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

# Any row of the token table: one of the concept's vectors takes its place.
PLACEHOLDER = 0

# With zero terminal SNR nothing is left of the image at the last noise level; sigma 4518 stands for it, as in ComfyUI.
LEAST_ALPHA_BAR = 4.8973451890853435e-08

# By the scheduler's `prediction_type`, what the model standard calls it.
PREDICTION_TYPES = {"epsilon": "epsilon", "v_prediction": "v"}


@dataclasses.dataclass(frozen=True)
class _Prompt:
    """A caption's tokens with start, end and padding; where the concept's vectors begin, and where the end token is."""

    ids: Sequence[int]
    concept: int
    end: int


class PipelineTextEncoder:
    """Encodes through the pipeline's tokenizers and text encoders, as its `encode_prompt` does.

    The pooled text is read at the end token. The pipeline itself reads it at the highest token id where a text
    encoder's `eos_token_id` is 2, as in SDXL's own files, and so at a concept that `load_textual_inversion` adds.
    """

    def __init__(self, pipe: StableDiffusionXLPipeline) -> None:
        self._pipe = pipe
        self._encoders: Mapping[str, tuple[Any, Any]] = {
            "clip_l": (pipe.tokenizer, pipe.text_encoder),
            "clip_g": (pipe.tokenizer_2, pipe.text_encoder_2),
        }
        self.vocabularies: Mapping[str, Vocabulary] = {
            key: _vocabulary(tokenizer, model) for key, (tokenizer, model) in self._encoders.items()
        }

    def token_ids(self, text: str) -> dict[str, list[int]]:
        """Token ids by encoder key. Raises ValueError where a word is not in the vocabulary."""
        ids = {key: self._ids(tokenizer, text) for key, (tokenizer, _) in self._encoders.items()}
        for key, (tokenizer, _) in self._encoders.items():
            check_known(text, tokenizer.convert_ids_to_tokens(ids[key]))
        return ids

    def check_caption(self, caption: str, n_vectors: int) -> None:
        """Raise ValueError where the caption is too long for one pass of the text encoders."""
        for tokenizer, _ in self._encoders.values():
            self._prompt(tokenizer, caption, n_vectors)

    def encode(self, captions: Sequence[str], vectors: Mapping[str, Tensor]) -> Conditioning:
        """See `dti_core.training.backend.TextEncoder`. Call inside `pipeline_session`. Raises as `check_caption`."""
        contexts = []
        for key, (tokenizer, model) in self._encoders.items():
            prompts = [self._prompt(tokenizer, caption, len(vectors[key])) for caption in captions]
            output = _encoded(model, prompts, vectors[key])
            contexts.append(output.hidden_states[-2].float())
        ends = [prompt.end for prompt in prompts]
        pooled = model.text_projection(output.last_hidden_state[range(len(ends)), ends])
        return Conditioning(torch.cat(contexts, dim=-1), pooled.float())

    def _ids(self, tokenizer: Any, text: str) -> list[int]:
        # Concepts that were loaded into the pipeline may have several tokens.
        text = self._pipe.maybe_convert_prompt(text, tokenizer)
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    def _prompt(self, tokenizer: Any, caption: str, n_vectors: int) -> _Prompt:
        before, _, after = caption.partition("{}")
        start = [tokenizer.bos_token_id, *self._ids(tokenizer, before)]
        ids = [*start, *[PLACEHOLDER] * n_vectors, *self._ids(tokenizer, after), tokenizer.eos_token_id]
        room = tokenizer.model_max_length - len(ids)
        if room < 0:
            raise ValueError(
                f"With {n_vectors} vectors the caption {caption!r} is {len(ids)} tokens long, start and end counted, "
                f"and the text encoders read {tokenizer.model_max_length}. Shorten it."
            )
        return _Prompt([*ids, *[tokenizer.pad_token_id] * room], len(start), len(ids) - 1)


class PipelineDenoiser:
    """Runs the pipeline's UNet on the noise schedule and with the objective of its scheduler.

    Raises ValueError for a scheduler of another kind.
    """

    def __init__(self, pipe: StableDiffusionXLPipeline) -> None:
        self._unet: Any = pipe.unet
        self._scaling = float(pipe.vae.config.scaling_factor)
        self.prediction_type = _prediction_type(pipe.scheduler)
        self.device: torch.device = pipe.unet.device
        # fp16 gradients of a mean over an image lie below its smallest normal number.
        self.loss_scale = 2.0**15 if pipe.unet.dtype == torch.float16 else 1.0
        alpha_bar = torch.cumprod(1 - pipe.scheduler.betas.double(), dim=0).clamp(min=LEAST_ALPHA_BAR)
        self._schedule = ((1 - alpha_bar) / alpha_bar).sqrt().float().to(self.device)

    def sigmas(self, u: Tensor) -> Tensor:
        """See `dti_core.training.backend.Denoiser`."""
        return self._schedule[(u * len(self._schedule)).long().to(self.device)]

    def loss(
        self, latents: Tensor, conditioning: Conditioning, sigma: Tensor, noise: Tensor, framing: Tensor
    ) -> Tensor:
        """See `dti_core.training.backend.Denoiser`. Call inside `pipeline_session`."""
        if conditioning.pooled is None:
            raise ValueError("SDXL takes pooled text beside the context, and the conditioning has none.")
        x0, dtype, column = latents * self._scaling, self._unet.dtype, sigma.reshape(-1, 1, 1, 1)
        magnitude = torch.sqrt(column**2 + 1)  # of x_t, where images and noise have variance 1
        output = self._unet(
            ((x0 + column * noise) / magnitude).to(dtype),
            self._timesteps(sigma),
            encoder_hidden_states=conditioning.context.to(dtype),
            added_cond_kwargs={
                "text_embeds": conditioning.pooled.to(dtype),
                "time_ids": framing.to(self.device, torch.float32),
            },
        ).sample
        target = noise if self.prediction_type == "epsilon" else (noise - column * x0) / magnitude
        return per_sample_mse(output.float() - target)

    def _timesteps(self, sigma: Tensor) -> Tensor:
        """The step of the schedule nearest to each sigma, int64 `[B]`."""
        return (self._schedule.log() - sigma.log()[:, None]).abs().argmin(dim=1)


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
    pipe: StableDiffusionXLPipeline, images: Sequence[Tensor], resolution: int, captions: Sequence[tuple[str, ...]]
) -> list[TrainingImage]:
    """Bring images (`[H, W, 3]` in [0, 1], any sizes) to training size and encode each once, in float32.

    Raises ValueError for what is not an image, and for a resolution that the VAE cannot divide.
    """
    scale = pipe.vae_scale_factor
    if resolution <= 0 or resolution % scale:
        raise ValueError(f"resolution is {resolution}; it has to be a multiple of {scale}, such as 768.")
    for number, image in enumerate(images, start=1):
        check_pixels(image, f"image {number} of {len(images)}")
    encoded = []
    with torch.no_grad(), _in_float32(pipe.vae):
        for image, texts in zip(images, captions, strict=True):
            pixels = resize_short_side(image, resolution, scale).movedim(-1, 0).unsqueeze(0)
            posterior = pipe.vae.encode((2 * pixels - 1).to(pipe.vae.device)).latent_dist
            mean, std = posterior.mean[0].cpu(), posterior.std[0].cpu()
            encoded.append(TrainingImage(mean, std, (image.shape[0], image.shape[1]), texts, scale))
    return encoded


def train_on_pipeline(
    pipe: StableDiffusionXLPipeline,
    images: Sequence[Tensor],
    config: TrainingConfig,
    name: str = "concept",
    captions: Sequence[Sequence[str]] = (OBJECT_TEMPLATES,),
    resolution: int = 768,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> ConceptEmbedding:
    """Train a concept; the embedding is ready for `dti_core.files.embedding_file.save_embedding`.

    Args:
        pipe: on the device to train on, in float32, bfloat16 or float16. It is not changed.
        images: `[H, W, 3]` in [0, 1], of any sizes; 3 to 6 do.
        config: the recipe.
        name: of the embedding.
        captions: what may be said of each image, with `{}` where the concept goes; a single list is for all of them.
        resolution: short side in pixels.
        on_step: called after every step; what it raises ends the run.

    Raises:
        ValueError: for settings or a pipeline that cannot be trained with, before the first step.
    """
    texts = _by_image(captions, len(images))
    with pipeline_session(pipe) as (text_encoder, denoiser):
        ids = text_encoder.token_ids(config.initializer)
        check_tokens(config.initializer, ids, config.n_vectors)
        for caption in {caption for of_image in texts for caption in of_image}:
            text_encoder.check_caption(caption, config.n_vectors or max(map(len, ids.values())))
        vectors = train(text_encoder, denoiser, encode_images(pipe, images, resolution, texts), config, on_step)
    standard = modelspec_metadata(
        {key: rows.shape[1] for key, rows in vectors.items()},
        title=name,
        trigger_phrase=f"<{name}>",
        resolution=(resolution, resolution),
        created=datetime.now(timezone.utc),
        prediction_type=PREDICTION_TYPES[denoiser.prediction_type],
    )
    recipe = {f"dti.{key}": str(value) for key, value in dataclasses.asdict(config).items()}
    return ConceptEmbedding(name, vectors, {**standard, **recipe, "dti.resolution": str(resolution)})


def _by_image(captions: Sequence[Sequence[str]], n_images: int) -> list[tuple[str, ...]]:
    for of_image in captions:
        check_captions(of_image)
    texts = [tuple(of_image) for of_image in captions]
    if len(texts) not in (1, n_images):
        raise ValueError(f"got {len(texts)} lists of captions for {n_images} images; give one each, or one for all.")
    return texts * n_images if len(texts) == 1 else texts


def _encoded(model: Any, prompts: Sequence[_Prompt], vectors: Tensor) -> Any:
    """The output of a text model that reads `vectors` where each prompt has the concept."""

    def put_in(module: torch.nn.Module, args: object, embedded: Tensor) -> Tensor:
        embedded = embedded.clone()
        for row, prompt in enumerate(prompts):
            embedded[row, prompt.concept : prompt.concept + len(vectors)] = vectors.to(embedded)
        return embedded

    ids = torch.tensor([prompt.ids for prompt in prompts], device=model.device)
    hook = model.get_input_embeddings().register_forward_hook(put_in)
    try:
        return model(ids, output_hidden_states=True)
    finally:
        hook.remove()


def _vocabulary(tokenizer: Any, model: Any) -> Vocabulary:
    """Start, end and padding are no words, nor are concepts that were loaded into the pipeline."""
    special = frozenset([*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()])
    words = {token_id: token for token, token_id in tokenizer.get_vocab().items()}
    return Vocabulary(model.get_input_embeddings().weight.detach(), special, words)


def _prediction_type(scheduler: Any) -> str:
    kind = scheduler.config.get("prediction_type")
    if kind not in PREDICTION_TYPES or not hasattr(scheduler, "betas"):
        raise ValueError(
            f"The pipeline's scheduler is {type(scheduler).__name__} with the prediction type {kind!r}. DTI trains on "
            f"schedules of betas with the prediction types {' and '.join(PREDICTION_TYPES)}: give the pipeline the "
            "scheduler that the model was trained with, such as EulerDiscreteScheduler or DDPMScheduler."
        )
    return str(kind)


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
