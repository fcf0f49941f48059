"""Effects I and II on trained vectors: does the encoder still see where they stand, and does it still turn them?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from dti_pack.dti_core.analysis.position_attenuation import position_share
from dti_pack.dti_core.analysis.residual_stagnation import block_angles
from torch import Tensor

from .world import World

PROMPT = "a photo of a {} on the beach"


@dataclass(frozen=True)
class Effects:
    """Of one concept in one encoder.

    norm: mean length of its vectors. position_share: of what the first block reads, the share that depends on the
    position (Effect I; the paper trains a classifier instead, Figure 2). degrees_per_block: mean turn of the hidden
    state in a block (Effect II; the paper's 2.3 has 21.33 for TI and 33.52 for DTI on SDXL).
    """

    norm: float
    position_share: float
    degrees_per_block: float


@torch.no_grad()
def effects(world: World, vectors: Mapping[str, Tensor]) -> dict[str, Effects]:
    """By encoder key."""
    from dti_pack.nodes.host.encoder_probe import EncoderProbe

    probe = EncoderProbe(world.painter.clip)
    states = probe.hidden_states(PROMPT, vectors)
    out = {}
    for key, rows in vectors.items():
        norms, first = rows.norm(dim=-1), probe.first_norms[key]
        if first is None:
            raise ValueError(f"{key} adds no table of positions.")
        shares = [position_share(first, row / norm, norm.reshape(1))[0] for row, norm in zip(rows, norms, strict=True)]
        turn = math.degrees(float(block_angles(states[key]).mean()))
        out[key] = Effects(float(norms.mean()), float(torch.stack(shares).mean()), turn)
    return out
