# ruff: noqa: T201
"""Why DTI Train refuses each family that a ComfyUI knows, told without weights: a line of JSON each.

Run it in the repository's folder with the host's Python:
    python -m benchmarks.families.others --comfyui PATH
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from comfy_host.in_process import use_host

# The host loads these from files of their own, or as many of them as a file has.
TEXT_ENCODERS = {
    "HiDream": ("comfy.text_encoders.hidream", "hidream_clip"),
    "ACEStep15": ("comfy.text_encoders.ace15", "te"),
    "SD3": ("comfy.text_encoders.sd3_clip", "sd3_clip"),
    "Lens": ("comfy.text_encoders.gpt_oss", "lens_te"),
    "Flux2": ("comfy.text_encoders.flux", "flux2_te"),
}
# Of the network, what some entries ask for.
SIZES = {"in_channels": 4, "hidden_size": 3072}


def models_of(kind: Any) -> tuple[Any, Any]:
    """A MODEL without a network and a CLIP on the meta device, for an entry of the host's list of families."""
    config = kind({**SIZES, **kind.unet_config, "disable_unet_model_creation": True})
    try:
        model = config.get_model({}, "")
    except (KeyError, RuntimeError):  # it takes weights to build it
        model = SimpleNamespace(model_config=config, latent_format=config.latent_format)
    patcher = SimpleNamespace(model=model, object_patches={}, get_model_object=lambda name: getattr(model, name))
    encoders = _encoders(kind, config)
    return patcher, None if encoders is None else SimpleNamespace(cond_stage_model=encoders)


def _encoders(kind: Any, config: Any) -> Any:
    if kind.__name__ in TEXT_ENCODERS:
        module, function = TEXT_ENCODERS[kind.__name__]
        encoders = getattr(importlib.import_module(module), function)()
    else:
        target = config.clip_target({})
        if target is None:
            return None
        encoders = target.clip
    return encoders(device="meta", dtype=torch.float16, model_options={})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfyui", type=Path, required=True)
    options = parser.parse_args()
    use_host(options.comfyui, cpu=not torch.cuda.is_available())
    logging.disable(logging.WARNING)  # the host says what each family is
    import comfy.supported_models
    from dti_pack.nodes.host.training.family import family_name  # type: ignore[import-not-found]
    from dti_pack.nodes.host.training.trainable import objection  # type: ignore[import-not-found]

    for kind in comfy.supported_models.models:
        try:
            model, clip = models_of(kind)
        except Exception:  # whatever else the host takes from weights
            logging.exception("%s is left out", kind.__name__)
            continue
        print(json.dumps({"family": family_name(model), "reason": objection(model, clip)}), flush=True)


if __name__ == "__main__":
    main()
