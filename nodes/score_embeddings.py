"""Score Embeddings: which of several embeddings is best, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.scoring.prompts import PRESETS
from .host.embeddings.folder import embedding_path, file_fingerprint
from .host.node_text import show_on_node
from .host.prompt.trigger_wiring import prompts_that_miss_it
from .host.schema import search_aliases
from .host.scoring.candidates import matching_files
from .score_inputs import score_inputs
from .score_run import score_embeddings
from .scoring.asked import prompts_of
from .single_values import single_values
from .sockets import DTIEmbedding, report_output, trigger_output
from .train_inputs import with_defaults

# The inputs that have several values; the others have one.
SEVERAL = ("embeddings", "images", "masks", "trained_images")


class DTIScoreEmbeddings(io.ComfyNode):
    """Generates with each embedding and with its class word, scores both, and hands on the best."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DTI_ScoreEmbeddings",
            display_name="Score Embeddings",
            category="DTI",
            **search_aliases("evaluate embeddings", "best step", "compare embeddings", "CLIP score", "DINO", "metrics"),
            description=(
                "Which of several embeddings, or of a run's saved steps, is best: generates the same prompts with each "
                "and with the class word, scores how like your images they are and how well they follow the prompt, "
                "with intervals, and hands on the best. Stop keeps what is made; Run goes on from there."
            ),
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=score_inputs(),
            outputs=[
                DTIEmbedding.Output(
                    display_name="embedding", tooltip="The best, by the rule; Save DTI Embedding keeps its scores too."
                ),
                io.Clip.Output(
                    display_name="clip", tooltip="Text encoders that know the best; connect them to the prompt."
                ),
                trigger_output(),
                io.Image.Output(display_name="front", tooltip="Likeness against text, with intervals."),
                io.Image.Output(
                    display_name="contact_sheet",
                    tooltip="The images: a column for each embedding, a row for each prompt.",
                ),
                report_output("The table, what was chosen and why, and what to keep in mind, for Preview as Text."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, embedding_files: Sequence[str] = ("",), **inputs: object) -> list[str]:
        """The host runs the node again when a file of the pattern has come, gone or changed, or the wiring."""
        files = matching_files(embedding_files[0] or "")
        return [f"{file} {file_fingerprint(embedding_path(file))}" for file in files] + prompts_that_miss_it()

    @classmethod
    def validate_inputs(cls, own_prompts: Sequence[str | None] = (None,)) -> bool | str:
        """Refused as the graph is queued, before a checkpoint is loaded for it."""
        try:
            prompts_of(next(iter(PRESETS)), own_prompts[0] or "", 0)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, **inputs: Sequence[Any]) -> io.NodeOutput:
        # Every input comes as a list, so that a list of embeddings is one table and not one each.
        lists = with_defaults(inputs, score_inputs())
        one = single_values("Score Embeddings", {key: values for key, values in lists.items() if key not in SEVERAL})
        embeddings: Sequence[ConceptEmbedding] = inputs.get("embeddings", ())
        pictures, trained = (_pictures(inputs.get(name, ())) for name in ("images", "trained_images"))
        masks = [mask for batch in inputs.get("masks", ()) for mask in batch.reshape(-1, *batch.shape[-2:])]
        run = score_embeddings(one, embeddings, pictures, masks, trained, cls.hidden.unique_id)
        show_on_node(run.report, cls.hidden.unique_id)
        shown = [ui.PreviewImage(picture, cls=cls).as_dict() for picture in (run.front, run.sheet)]
        together = {**shown[0], "images": [*shown[0]["images"], *shown[1]["images"]]}
        return io.NodeOutput(
            run.embedding, run.clip, run.trigger, run.front, run.sheet, run.report,
            ui={**together, **ui.PreviewText(run.report).as_dict()},
        )  # fmt: skip


def _pictures(batches: Sequence[Tensor]) -> list[Tensor]:
    return [picture for batch in batches for picture in batch]
