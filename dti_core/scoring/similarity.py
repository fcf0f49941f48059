"""How alike images are, and how well an image is what a text says: by cosines of features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Of every vector of the one `[n, dim]` with every one of the other `[m, dim]`: `[n, m]` float64."""
    return normalize(left.double(), dim=-1) @ normalize(right.double(), dim=-1).T


def likeness(images: Tensor, references: Tensor) -> Tensor:
    """Of each image `[n, dim]` the mean cosine with all references `[m, dim]`: `[n]`."""
    return cosines(images, references).mean(dim=1)


def likeness_among(references: Tensor) -> float:
    """Mean cosine of references `[m, dim]` with each other, none with itself; nan for fewer than two."""
    count = len(references)
    if count < 2:
        return float("nan")
    found = cosines(references, references)
    return float((found.sum() - found.diagonal().sum()) / (count * (count - 1)))


def own_text(agreement: Tensor, own: Tensor) -> Tensor:
    """Of each image's agreement with every text `[n, k]` that with its own, by its number `[n]`: `[n]`."""
    return agreement.gather(1, own[:, None])[:, 0]


def own_text_preferred(agreement: Tensor, own: Tensor) -> Tensor:
    """Of each image the share of the other texts that agree with it less than its own does: `[n]`.

    agreement: with every text, `[n, k]`. own: which text is whose, `[n]`. One half is chance: then the scorer sees
    nothing of what the texts differ in, or its two sides are not of one model.
    """
    mine = agreement.gather(1, own[:, None])
    # The own text is neither above nor below itself.
    below = (agreement < mine).double().sum(dim=1) + ((agreement == mine).double().sum(dim=1) - 1) / 2
    return below / (agreement.shape[1] - 1)


def siglip_probability(logits: Tensor) -> Tensor:
    """What DTI's authors report as text: the sigmoid of SigLIP's logit of an image and its text.

    The logit has the model's scale and bias already. A near miss is next to 0, so that means are of few images.
    """
    return torch.sigmoid(logits)
