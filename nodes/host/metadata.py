"""What an embedding's file says about the run it comes from."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

from ...dti_core.embedding_name import trigger
from ...dti_core.modelspec import modelspec_metadata
from ...dti_core.training import TrainingConfig
from .denoiser import HostDenoiser
from .text_encoder import HostTextEncoder

PREDICTION_TYPES = {"EPS": "epsilon", "V_PREDICTION": "v"}


def run_metadata(
    name: str, config: TrainingConfig, text_encoder: HostTextEncoder, denoiser: HostDenoiser, resolution: int
) -> dict[str, str]:
    """Header entries for a training run: the model standard's, and the recipe as `dti.*`."""
    widths = {key: vocabulary.dim for key, vocabulary in text_encoder.vocabularies.items()}
    standard = modelspec_metadata(
        widths,
        title=name,
        trigger_phrase=trigger(name).strip(),
        resolution=(resolution, resolution),
        created=datetime.now(timezone.utc),
        prediction_type=PREDICTION_TYPES.get(denoiser.model_type, ""),
    )
    recipe = {f"dti.{key}": str(value) for key, value in dataclasses.asdict(config).items()}
    return {**standard, **recipe, "dti.resolution": str(resolution)}
