"""AdamW's rate in coordinates of a word, so that it means the same in encoders of every width.

AdamW moves every coordinate by about its rate in each step. A row of norm n in d dimensions has coordinates of
n / sqrt(d), their root mean square: the wider the row, the smaller they are, and the more of them a given rate is.
CLIP-L's words have a mean norm of 0.387 in 768 dimensions, coordinates of 0.0140, and the 0.02 that the reference's
SDXL launcher arrives at (0.005 times a batch of 4) is 1.43 of them. Words of that norm in 64 dimensions have
coordinates of 0.0484, of which 0.02 is 0.41.

So a rate is given in coordinates, and an encoder's own is that times the mean norm of its words over the root of its
width. One number serves both encoders of SDXL: OpenCLIP-bigG's coordinates (0.4515 in 1280 dimensions) are a tenth
smaller than CLIP-L's, and it trains at 0.0181, where the reference has 0.02 for both. Weight decay shrinks a row by
rate times decay in each step, and is divided by the coordinate: that share is the reference's 2e-4 everywhere.

DTI needs no such rule: its step is an angle, which is the same turn at every width.
"""

from __future__ import annotations

import math
from typing import Any

from torch.nn import Parameter

from ..vocabulary import Vocabulary

_CLIP_L = 0.387 / math.sqrt(768)
REFERENCE_RATE = 1.432  # 0.02 / _CLIP_L
_REFERENCE_DECAY = 1e-2 * _CLIP_L


def coordinate_of(vocabulary: Vocabulary) -> float:
    """A word's: the mean norm over the root of the width."""
    return vocabulary.mean / math.sqrt(vocabulary.dim)


def adamw_group(rows: Parameter, learning_rate: float, coordinate: float) -> dict[str, Any]:
    """A parameter group of AdamW for the rows of one encoder. learning_rate: in coordinates."""
    return {"params": [rows], "lr": learning_rate * coordinate, "weight_decay": _REFERENCE_DECAY / coordinate}
