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


def agreement(images: Tensor, texts: Tensor) -> Tensor:
    """Cosine of each image `[n, dim]` with its own text `[n, dim]`: `[n]`, CLIP's score before any scale."""
    return (normalize(images.double(), dim=-1) * normalize(texts.double(), dim=-1)).sum(dim=-1)


def own_text_preferred(images: Tensor, texts: Tensor, own: Tensor) -> Tensor:
    """Of each image `[n, dim]` the share of the other texts `[k, dim]` that agree with it less than its own does.

    own: which text is whose, `[n]`. One half is chance: then the scorer sees nothing of what the texts differ in, or
    its two sides are not of one model.
    """
    found = cosines(images, texts)
    mine = found.gather(1, own[:, None])
    # The own text is neither above nor below itself.
    below = (found < mine).double().sum(dim=1) + ((found == mine).double().sum(dim=1) - 1) / 2
    return below / (len(texts) - 1)


def siglip_probability(logits: Tensor) -> Tensor:
    """What DTI's authors report as text: the sigmoid of SigLIP's logit of an image and its text.

    The logit has the model's scale and bias already. A near miss is next to 0, so that means are of few images.
    """
    return torch.sigmoid(logits)
