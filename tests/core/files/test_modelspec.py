from __future__ import annotations

from datetime import datetime, timezone

import pytest

from dti_core.files.modelspec import model_name, modelspec_metadata


@pytest.mark.parametrize(
    ("widths", "name"),
    [
        ({"clip_l": 768}, "SD1.5"),
        ({"clip_h": 1024}, "SD2"),
        ({"clip_l": 768, "clip_g": 1280}, "SDXL"),
        ({"gemma2_2b": 2304}, "SANA or Lumina 2 (Gemma 2 2B)"),
        ({"clip_l": 768, "clip_g": 1280, "t5xxl": 4096}, "SD3"),
        ({"clip_l": 32, "clip_g": 64}, "an unknown model"),
    ],
)
def test_model_name(widths: dict[str, int], name: str) -> None:
    assert model_name(widths) == name


@pytest.mark.parametrize(
    ("widths", "prediction_type", "architecture"),
    [
        ({"clip_l": 768, "clip_g": 1280}, "epsilon", "stable-diffusion-xl-v1-base/textual-inversion"),
        ({"clip_l": 768, "clip_g": 1280}, "v", "stable-diffusion-xl-v1-base/textual-inversion"),
        ({"clip_l": 768}, "epsilon", "stable-diffusion-v1/textual-inversion"),
        ({"clip_h": 1024}, "epsilon", "stable-diffusion-v2-512/textual-inversion"),
        ({"clip_h": 1024}, "v", "stable-diffusion-v2-768-v/textual-inversion"),
        ({"gemma2_2b": 2304}, "", "gemma2_2b/textual-inversion"),
    ],
)
def test_architecture(widths: dict[str, int], prediction_type: str, architecture: str) -> None:
    metadata = modelspec_metadata(
        widths,
        title="dog",
        trigger_phrase="embedding:dog",
        resolution=(768, 1024),
        created=datetime(2025, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc),
        prediction_type=prediction_type,
    )
    assert metadata["modelspec.architecture"] == architecture
    assert metadata.get("modelspec.prediction_type", "") == prediction_type
    assert metadata["modelspec.sai_model_spec"] == "1.0.1"
    assert metadata["modelspec.title"] == "dog"
    assert metadata["modelspec.trigger_phrase"] == "embedding:dog"
    assert metadata["modelspec.resolution"] == "768x1024"
    assert metadata["modelspec.date"] == "2025-01-02T03:04:05+00:00"
    assert "modelspec.implementation" in metadata
