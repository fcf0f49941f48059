"""What an embedding's file says about the run it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from ....dti_core.embedding import ConceptEmbedding
from ....dti_core.files.modelspec import modelspec_metadata
from ....dti_core.training import TrainingConfig
from ...prompt_name import trigger
from .denoiser import HostDenoiser
from .family import family_name
from .text_encoder import HostTextEncoder

PREDICTION_TYPES = {"EPS": "epsilon", "V_PREDICTION": "v"}


def run_metadata(
    name: str,
    config: TrainingConfig,
    text_encoder: HostTextEncoder,
    denoiser: HostDenoiser,
    resolution: int,
    texts: Mapping[str, str],
) -> dict[str, str]:
    """Header entries for a training run: the model standard's, and the recipe as `dti.*`. texts: of `text_notes`."""
    widths = {key: vocabulary.dim for key, vocabulary in text_encoder.vocabularies.items()}
    standard = modelspec_metadata(
        widths,
        title=name,
        trigger_phrase=trigger(name).strip(),
        resolution=(resolution, resolution),
        created=datetime.now(timezone.utc),
        prediction_type=PREDICTION_TYPES.get(denoiser.model_type, ""),
        # Without T5 its text encoders have the widths of SDXL's.
        family="SD3" if family_name(denoiser.patcher) == "SD3" else "",
    )
    recipe = {f"dti.{key}": str(value) for key, value in config.in_use().items()}
    return {**standard, **recipe, **texts, "dti.resolution": str(resolution)}


def text_notes(captions: Sequence[Sequence[str]], templates: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What a run trains with, by image: the name of the templates, or the captions as a JSON list."""
    used = list(dict.fromkeys(caption for of_picture in captions for caption in of_picture))
    for name, texts in templates.items():
        if used == list(texts):
            return {"dti.templates": name}
    return {"dti.captions": json.dumps(used, ensure_ascii=False)}


def start_notes(start_from: ConceptEmbedding | None, prior: str) -> dict[str, str]:
    """Where a run started that went on from an embedding."""
    return {} if start_from is None else {"dti.start_from": start_from.name, "dti.prior": prior}
