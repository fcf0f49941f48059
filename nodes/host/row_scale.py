"""By how much a text encoder makes its token rows longer before its first block reads them.

Gemma's does, by the square root of the width. ComfyUI 0.3.75 does it to all that enters the first block; later ones in
the look-up, which vectors from a prompt pass by, so that these are to come longer. Files have rows as tables have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .encoders import sub_tokenizers

if TYPE_CHECKING:
    from comfy.sd import CLIP
    from comfy.sd1_clip import SDClipModel


def row_scale(encoder: SDClipModel) -> float:
    """What vectors for this encoder are multiplied by where they enter it, so that they mean what table rows mean."""
    table = encoder.transformer.get_input_embeddings()
    own = getattr(type(table), "forward", None)
    plain = any(vars(kind).get("forward") is own for kind in type(table).__mro__ if kind.__module__ == "comfy.ops")
    weight = getattr(table, "weight", None)
    if plain or weight is None:
        return 1.0
    token = _longest_of_few(weight)
    with torch.no_grad():
        looked_up = table(torch.tensor([token], device=weight.device), out_dtype=torch.float32)[0]
        row = weight[token].float()
    return float(looked_up.double().norm() / row.double().norm())


def row_scales(clip: CLIP) -> dict[str, float]:
    """`row_scale` of every encoder of `clip`, by encoder key."""
    return {key: row_scale(getattr(clip.cond_stage_model, key)) for key in sub_tokenizers(clip)}


def _longest_of_few(weight: torch.Tensor) -> int:
    # The first rows may be special tokens, which some tables leave at zero.
    return int(weight[:256].detach().float().norm(dim=-1).argmax())
