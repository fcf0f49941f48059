"""Norm Inspector: how an embedding's norm compares with that of ordinary words, and what it does in the encoders."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io, ui
from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.training.captions import check_captions
from .drawing import drawing_needed
from .host.encoder_probe import EncoderProbe
from .host.node_text import show_on_node
from .host.schema import search_aliases
from .host.training.text_encoder import check_fits
from .inspector.inspection import EncoderInspection, inspect
from .inspector.report import report_text, summary_text
from .labels import told_apart
from .single_values import single_values
from .sockets import DTIEmbedding


class DTINormInspector(io.ComfyNode):
    """Measures embeddings of any origin against the vocabulary of the text encoders that read them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_NormInspector",
            display_name="Norm Inspector",
            category="DTI",
            **search_aliases("inspect embedding", "textual inversion", "embedding strength", "nearest tokens"),
            description=(
                "Compares an embedding's norm with that of ordinary words, and shows what it does in the text "
                "encoders: how much of its position they still see, and how far their blocks can turn it. Takes any "
                "textual inversion."
            ),
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                DTIEmbedding.Input(
                    "embedding", tooltip="The embedding to inspect, or a list of embeddings to compare."
                ),
                io.Clip.Input("clip", tooltip="The text encoders that read the embedding. They are not changed."),
                io.String.Input(
                    "prompt",
                    default="a photo of a {} in the snow",
                    optional=True,
                    tooltip="The prompt in which the embedding is measured; {} is where it stands.",
                ),
                DTIEmbedding.Input("embedding_2", optional=True, tooltip="Another embedding to compare."),
                DTIEmbedding.Input("embedding_3", optional=True, tooltip="Another embedding to compare."),
                DTIEmbedding.Input("embedding_4", optional=True, tooltip="Another embedding to compare."),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="A page for each text encoder."),
                io.String.Output(display_name="report", tooltip="The same as text, for Preview as Text."),
            ],
        )

    @classmethod
    def execute(
        cls,
        embedding: Sequence[ConceptEmbedding],
        clip: Sequence[io.Clip.Type],
        prompt: Sequence[str] = ("a photo of a {} in the snow",),
        embedding_2: Sequence[ConceptEmbedding] = (),
        embedding_3: Sequence[ConceptEmbedding] = (),
        embedding_4: Sequence[ConceptEmbedding] = (),
    ) -> io.NodeOutput:
        # Every input comes as a list, so that a list of embeddings is one image and not one each.
        one = single_values("Norm Inspector", {"clip": clip, "prompt": prompt})
        embeddings = [*embedding, *embedding_2, *embedding_3, *embedding_4]
        for each in embeddings:
            check_fits(one["clip"], each)
        check_captions([one["prompt"]])

        probe = EncoderProbe(one["clip"])
        longest = {
            key: max(float(each.norms()[key].max()) for each in embeddings) for key in probe.text_encoder.vocabularies
        }
        inspections = [inspect(probe, each, one["prompt"], longest) for each in embeddings]
        labels = told_apart([each.name for each in embeddings])
        image = _pictures(probe, labels, inspections)
        summary = summary_text(labels, embeddings, inspections)
        report = f"{summary}\n\n{report_text(labels, embeddings, inspections)}"
        # More of it would leave no room for the image.
        show_on_node(summary, cls.hidden.unique_id)
        return io.NodeOutput(
            image,
            report,
            ui={**ui.PreviewImage(image, cls=cls).as_dict(), **ui.PreviewText(report).as_dict()},
        )


def _pictures(probe: EncoderProbe, labels: list[str], inspections: list[dict[str, EncoderInspection]]) -> Tensor:
    with drawing_needed("Norm Inspector"):
        from .inspector.figure import EncoderPage, draw_pages
    pages = []
    for key, vocabulary in probe.text_encoder.vocabularies.items():
        norms = vocabulary.norms[vocabulary.is_word].cpu()
        pages.append(EncoderPage(key, norms, labels, [by_encoder[key] for by_encoder in inspections]))
    return draw_pages(pages)
