"""The text that Norm Inspector gives: verdicts, both effects, tables, and how the file was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...dti_core.embedding import ConceptEmbedding
from ...dti_core.files.embedding_file import unread_encoders
from .inspection import EncoderInspection
from .norm_text import render, summary

# A header may carry a whole image.
LONGEST_ENTRY = 200


def summary_text(
    labels: Sequence[str],
    embeddings: Sequence[ConceptEmbedding],
    inspections: Sequence[Mapping[str, EncoderInspection]],
) -> str:
    """A line per embedding and encoder, which is what a node has room for."""
    return "\n".join(
        line
        for label, embedding, found in zip(labels, embeddings, inspections, strict=True)
        for line in _summaries(label, embedding, found)
    )


def report_text(
    labels: Sequence[str],
    embeddings: Sequence[ConceptEmbedding],
    inspections: Sequence[Mapping[str, EncoderInspection]],
) -> str:
    """Each embedding under its label: both effects by encoder, tables, and how the file was made."""
    return "\n\n".join(
        _embedding_text(label, embedding, by_encoder)
        for label, embedding, by_encoder in zip(labels, embeddings, inspections, strict=True)
    )


def _summaries(label: str, embedding: ConceptEmbedding, by_encoder: Mapping[str, EncoderInspection]) -> Iterator[str]:
    for key, inspection in by_encoder.items():
        yield f"{label}, {key}: {summary(inspection.norms)}"
    if rest := unread_encoders(embedding, by_encoder):
        yield rest


def _embedding_text(label: str, embedding: ConceptEmbedding, by_encoder: Mapping[str, EncoderInspection]) -> str:
    blocks = [f"=== {label} ==="]
    blocks += [f"{key}\n{_encoder_text(inspection)}" for key, inspection in by_encoder.items()]
    blocks.append(_header_text(embedding.metadata))
    return "\n\n".join(blocks)


def _encoder_text(inspection: EncoderInspection) -> str:
    lines = []
    if inspection.position is None:
        lines.append("Effect I: this encoder adds no positions to its tokens, so there are none to lose.")
    else:
        lines.append(
            f"Effect I: {100 * float(inspection.position.own.mean()):.1f} % of what the first block reads depends on "
            f"its position; {100 * inspection.position.ordinary:.1f} % at the mean norm of the vocabulary's words."
        )
    own, reference = inspection.turning, inspection.reference
    lines.append(
        f"Effect II: the blocks turn it by {float(own.per_block.mean()):.1f} degrees each, {float(own.drift[-1]):.1f} "
        f"from first to last; {inspection.reference_label}: {float(reference.per_block.mean()):.1f} and "
        f"{float(reference.drift[-1]):.1f}."
    )
    return "\n".join([*lines, render(inspection.norms)])


def _header_text(metadata: Mapping[str, str]) -> str:
    if not metadata:
        return "The file does not say how it was made."
    return "\n".join(["How it was made:", *(f"{key}: {_shortened(value)}" for key, value in sorted(metadata.items()))])


def _shortened(value: str) -> str:
    return value if len(value) <= LONGEST_ENTRY else f"{value[:LONGEST_ENTRY]}... ({len(value)} characters)"
