"""One scoring of Score Embeddings, from its inputs to the table, the pictures and the embedding that is handed on."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..dti_core.embedding import ConceptEmbedding
from ..dti_core.scoring.choice import Choice, Scores, choose_by_share, choose_within_interval
from ..dti_core.scoring.intervals import Values, bootstrap
from ..dti_core.scoring.similarity import likeness, likeness_among, own_text, own_text_preferred
from ..dti_core.scoring.table import ScoreTable
from ..dti_core.training.image_marks import trained_on
from ..dti_core.training.pixels import check_pixels
from .drawing import drawing_needed
from .host.prompt.outputs import file_outputs
from .host.scoring.candidates import candidates
from .host.scoring.files import write_files
from .host.scoring.measuring import Entry, Measuring, Seen
from .host.scoring.samples import Sampling
from .host.scoring.text import ClipText, text_encoder_for
from .host.scoring.vision import FILES, image_features
from .host.training.family import native_resolution
from .labels import told_apart
from .scoring.asked import class_word, prompts_of
from .scoring.contact_sheet import draw_sheet
from .scoring.labels import short_labels
from .scoring.references import ceiling_notes, near_notes, subject_alone, trained_notes
from .scoring.report import SCORE_NOTE, Circumstances, header_notes, report_text, table_csv, table_json

SHARE, INTERVAL = "share of likeness", "within interval"
CLASS_WORD_NOTE = "dti.class_word"


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """What is handed on: the embedding that was chosen, how prompts read it, pictures `[1, H, W, 3]`, the text."""

    embedding: ConceptEmbedding
    clip: object
    trigger: object
    front: Tensor
    sheet: Tensor
    report: str


def score_embeddings(
    one: Mapping[str, Any],
    embeddings: Sequence[ConceptEmbedding],
    pictures: Sequence[Tensor],
    masks: Sequence[Tensor],
    trained: Sequence[Tensor],
    node_id: str,
) -> ScoredRun:
    """Generate, score, choose, and write the files.

    one: the inputs that have one value. pictures, trained: `[H, W, 3]` in [0, 1]; masks: `[H, W]` of the pictures.

    Raises ValueError for what cannot be scored, before the first image, and the host's interrupt at Stop.
    """
    with drawing_needed("Score Embeddings"):
        from .scoring.front import draw_front  # what it lacks is said now and not after hours
    _check_scorers(one, pictures)
    clip = one["clip"]
    texts, seeds = prompts_of(one["prompts"], one["own_prompts"], one["prompt_count"]), _seeds(one)
    found, notes = candidates(clip, embeddings, one["embedding_files"])
    word = class_word(found, one["class_word"])
    outputs = [file_outputs(clip, each) for each in found]
    entries = [Entry(word, clip, word)]
    entries += [Entry(each.name, *_call(each, *out)) for each, out in zip(found, outputs, strict=True)]

    text_scorer = _text_scorer(one, [text.replace("{}", word) for text in texts])
    references, ceiling, own_notes = _references(one["image_scorer"], pictures, masks, trained, found)
    notes += own_notes
    edge = native_resolution(one["model"])
    size = (one["width"] or edge, one["height"] or edge)
    kinds = (one["steps"], one["cfg"], one["sampler_name"], one["scheduler"])
    sampling = Sampling(*kinds, *size, one["negative"])
    image_scorer = None if references is None else partial(image_features, one["image_scorer"])
    measuring = Measuring(one["model"], clip, one["vae"], sampling, image_scorer, text_scorer, node_id)
    seen = measuring.see(entries, texts, seeds)

    shape = (len(texts), len(seeds))
    own = [_scores(each, references, shape) for each in seen]
    floor, scores = own[0], own[1:]
    choice, rule = _choice(one, floor, scores)
    table = ScoreTable(told_apart([each.name for each in found]), scores, floor, ceiling, choice)
    if floor.image is not None:
        notes += ceiling_notes(len(pictures), ceiling, float(floor.image.mean()))
    notes += [*_trust_notes(one, seen[0], shape), *_gain_notes(table), *filter(None, [measuring.problem])]
    settings = {**dataclasses.asdict(sampling), **_scorer_names(one, text_scorer)}
    how = Circumstances(word, texts, seeds, rule, settings)
    front = draw_front(table, word)
    columns = [each.thumbnails[:: len(seeds)] for each in seen]
    sheet = draw_sheet(columns, [f"{word} (class word)", *short_labels(table.labels)], texts, choice.chosen + 1)
    contents = {
        ".csv": table_csv(table, how).encode(),
        ".json": table_json(table, how, notes).encode(),
        "-front.png": _png(front),
        "-sheet.png": _png(sheet),
    }
    said = report_text(table, how, [*notes, *write_files(found[0].name, contents)])
    chosen = found[choice.chosen]
    others = {key: value for key, value in chosen.metadata.items() if not key.startswith(SCORE_NOTE)}
    chosen = dataclasses.replace(chosen, metadata={**others, **header_notes(table, how)})
    return ScoredRun(chosen, *outputs[choice.chosen], front[None], sheet[None], said)


def _check_scorers(one: Mapping[str, Any], pictures: Sequence[Tensor]) -> None:
    if one["image_scorer"] is None and one["text_scorer"] is None and not one["siglip_folder"]:
        raise ValueError(f"Nothing scores: connect image_scorer, text_scorer or both. {FILES}")
    if one["text_scorer"] is not None and one["siglip_folder"]:
        raise ValueError("Text is scored by text_scorer or by the SigLIP of siglip_folder: leave one of them empty.")
    if one["image_scorer"] is not None and not pictures:
        raise ValueError(
            "image_scorer is connected and images is not: connect images of the subject that were not trained on, or "
            "take image_scorer away to score the text alone."
        )


def _seeds(one: Mapping[str, Any]) -> list[int]:
    return [(one["seed"] + number) % 2**64 for number in range(one["seeds"])]


def _call(embedding: ConceptEmbedding, clip: Any, trigger: Any) -> tuple[Any, str]:
    """The CLIP, and what stands in the place of {}."""
    return clip, f"{trigger}{embedding.metadata.get(CLASS_WORD_NOTE, '')}"


def _text_scorer(one: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """What scores images by the prompts with the class word; None where nothing does."""
    if one["siglip_folder"]:
        from .host.scoring.siglip_text import SiglipText  # loads parts of transformers that nothing else needs

        return SiglipText(one["siglip_folder"], texts)
    if one["text_scorer"] is None:
        return None
    return ClipText(one["text_scorer"], one["clip"] if one["text_clip"] is None else one["text_clip"], texts)


def _references(
    scorer: Any,
    pictures: Sequence[Tensor],
    masks: Sequence[Tensor],
    trained: Sequence[Tensor],
    embeddings: Sequence[ConceptEmbedding],
) -> tuple[Tensor | None, float, list[str]]:
    """Features of the images `[n, dim]`, the ceiling, and what is to be said of them."""
    if scorer is None:
        return None, math.nan, []
    for number, picture in enumerate(pictures, start=1):
        check_pixels(picture, f"image {number} of {len(pictures)}")
    for number, picture in enumerate(trained, start=1):
        check_pixels(picture, f"training image {number} of {len(trained)}")
    marks = frozenset().union(*(trained_on(each.metadata) for each in embeddings))
    notes = trained_notes(pictures, marks)
    features = image_features(scorer, subject_alone(pictures, masks))
    ceiling = likeness_among(features)
    if trained:
        whole = image_features(scorer, pictures) if masks else features
        of_trained = image_features(scorer, trained)
        if not notes:
            notes = near_notes(whole, of_trained)
        if math.isnan(ceiling):
            ceiling = float(likeness(of_trained, features).mean())
    return features, ceiling, notes


def _scores(seen: Seen, held_out: Tensor | None, shape: tuple[int, int]) -> Scores:
    image = text = None
    if seen.image is not None and held_out is not None:
        image = _by_prompt(likeness(seen.image, held_out), shape)
    if seen.text is not None:
        text = _by_prompt(own_text(seen.text, _own(shape)), shape)
    return Scores(image, text)


def _own(shape: tuple[int, int]) -> Tensor:
    """Which prompt is each image's."""
    return torch.arange(shape[0]).repeat_interleave(shape[1])


def _by_prompt(values: Tensor, shape: tuple[int, int]) -> Values:
    return values.double().numpy().reshape(shape)


def _choice(one: Mapping[str, Any], floor: Scores, scores: Sequence[Scores]) -> tuple[Choice, str]:
    """What is chosen, and by which rule, in words."""
    if floor.image is None:
        return choose_within_interval(scores), "the most text, as images are not scored"
    if floor.text is None:
        return choose_within_interval(scores), "the most likeness, as text is not scored"
    if one["choose"] == INTERVAL:
        rule = "the most text at a likeness within the interval of the best"
        return choose_within_interval(scores), rule
    share = one["likeness_share"]
    rule = f"the most text among those that keep {100 * share:g} % of the best one's likeness beyond the class word's"
    return choose_by_share(scores, floor.image, share), rule


def _trust_notes(one: Mapping[str, Any], word: Seen, shape: tuple[int, int]) -> list[str]:
    """What is to be known of the text scores: whose they are, and whether the scorer sees anything at all."""
    if word.text is None:
        return []
    notes = []
    by_own_clip = one["text_scorer"] is not None and one["text_clip"] is None
    if by_own_clip and text_encoder_for(one["text_scorer"], one["clip"]) == "clip_g":
        notes.append(
            "Text is judged by CLIP-G, which the model itself generates by: compare embeddings by it, and not models."
        )
    if shape[0] > 1:
        told = bootstrap(_by_prompt(own_text_preferred(word.text, _own(shape)), shape))
        if told.low <= 0.5:
            notes.append(
                f"Text scores tell nothing here: of the class word's images the scorer prefers the own prompt to "
                f"another in {100 * told.mean:.0f} % of cases, and 50 % is chance. Either the model does not follow "
                "these prompts, or text_scorer and the text encoder are not two sides of one CLIP."
            )
    return notes


def _gain_notes(table: ScoreTable) -> list[str]:
    best = table.choice.best
    standing = None if best is None else table.rows()[best].image
    if standing is None or standing.more.low > 0:
        return []
    return ["No embedding is more like your images than the class word is, beyond the interval."]


def _scorer_names(one: Mapping[str, Any], text_scorer: Any) -> dict[str, str]:
    names = {} if text_scorer is None else {"text_scorer": text_scorer.name}
    if one["image_scorer"] is not None:
        names["image_scorer"] = f"{type(one['image_scorer'].model).__name__}, cosine"
    return names


def _png(picture: Tensor) -> bytes:
    out = io.BytesIO()
    Image.fromarray((picture.numpy() * 255).round().astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
