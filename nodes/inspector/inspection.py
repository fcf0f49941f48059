"""What Norm Inspector measures of one embedding in one text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...dti_core.analysis.norms import EncoderReport, norm_report
from ...dti_core.analysis.position_attenuation import FirstNorm, position_share
from ...dti_core.analysis.residual_stagnation import block_angles, drift
from ...dti_core.embedding import ConceptEmbedding
from ..host.encoder_probe import EncoderProbe
from ..host.training.text_encoder import HostTextEncoder

INITIALIZER = "dti.initializer"
CURVE_POINTS = 80


@dataclass(frozen=True, eq=False)
class PositionCurve:
    """Effect I, as shares in [0, 1]: the mean curve of the vectors' directions over `magnitudes` [k].

    own: [n_vectors] at each vector's own norm. ordinary: at the vocabulary's mean norm.
    """

    magnitudes: Tensor
    shares: Tensor
    own: Tensor
    ordinary: float


@dataclass(frozen=True, eq=False)
class Turning:
    """Effect II in degrees, mean over the vectors: per block [L], and from the encoder's input to each block [L]."""

    per_block: Tensor
    drift: Tensor


@dataclass(frozen=True, eq=False)
class EncoderInspection:
    """One embedding in one encoder.

    position: None for encoders without a table of positions.
    reference: Effect II of the word that `reference_label` names, in the same place.
    """

    norms: EncoderReport
    position: PositionCurve | None
    turning: Turning
    reference: Turning
    reference_label: str


def inspect(
    probe: EncoderProbe, embedding: ConceptEmbedding, prompt: str, longest: Mapping[str, float]
) -> dict[str, EncoderInspection]:
    """Inspect `embedding` in every encoder of the probe, by encoder key.

    prompt: `{}` is where the embedding stands. longest: norm up to which Effect I is drawn, by encoder key.
    """
    vocabularies = probe.text_encoder.vocabularies
    vectors = {key: embedding.vectors[key] for key in vocabularies}
    ids = initializer_ids(probe.text_encoder, embedding)
    if ids is None:
        label = "itself at the mean norm"
        reference = {key: _directions(rows) * vocabularies[key].mean for key, rows in vectors.items()}
    else:
        label = f"initializer '{embedding.metadata[INITIALIZER]}'"
        reference = {
            key: vocabularies[key].rows([ids[key][i % len(ids[key])] for i in range(len(rows))])
            for key, rows in vectors.items()
        }
    states, reference_states = probe.hidden_states(prompt, vectors), probe.hidden_states(prompt, reference)
    found = {}
    for key, vocabulary in vocabularies.items():
        first = probe.first_norms[key]
        found[key] = EncoderInspection(
            norm_report(vocabulary, vectors[key], None if ids is None else ids[key]),
            None if first is None else position_curve(first, vectors[key], vocabulary.mean, longest[key]),
            turning(states[key]),
            turning(reference_states[key]),
            label,
        )
    return found


def initializer_ids(text_encoder: HostTextEncoder, embedding: ConceptEmbedding) -> dict[str, list[int]] | None:
    """Tokens of the initializer that the header names; None where it names none that this CLIP knows."""
    try:
        ids = text_encoder.token_ids(embedding.metadata.get(INITIALIZER, ""))
    except ValueError:
        return None
    return ids if all(ids.values()) else None


def position_curve(first: FirstNorm, vectors: Tensor, mean: float, longest: float) -> PositionCurve:
    """Effect I for `vectors` [n, dim] where words have the norm `mean`, drawn up to `longest` at least."""
    start, end = torch.tensor([mean / 4, max(30 * mean, 2 * longest)]).log10().tolist()
    magnitudes = torch.logspace(start, end, CURVE_POINTS)
    directions, norms = _directions(vectors), vectors.norm(dim=-1, keepdim=True)
    shares = torch.stack([position_share(first, v, torch.cat([magnitudes, torch.tensor([mean])])) for v in directions])
    own = torch.cat([position_share(first, v, norm) for v, norm in zip(directions, norms, strict=True)])
    mean_shares = shares.mean(dim=0)
    return PositionCurve(magnitudes, mean_shares[:-1], own, float(mean_shares[-1]))


def turning(states: Tensor) -> Turning:
    """Effect II of hidden states [n_vectors, L + 1, dim]."""
    return Turning(block_angles(states).mean(dim=0).rad2deg(), drift(states).mean(dim=0).rad2deg())


def _directions(vectors: Tensor) -> Tensor:
    norms = vectors.norm(dim=-1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, 1)
