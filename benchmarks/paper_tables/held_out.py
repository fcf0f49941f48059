"""Which step was best: does the loss of images that were not trained on tell?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from dti_pack.dti_core.scoring.intervals import bootstrap
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from dti_pack.dti_core.training.evaluation_set import EvaluationSet
from small_world.drawing import draw
from small_world.scenes import Look, surround
from small_world.subjects import SUBJECTS, Subject

from .evaluation import used_vectors
from .plan import CHOOSE, CONCEPTS, Row, Scale, Table
from .recipe import BASE
from .results import AXES, Results, Values
from .settings import CHOSEN, Use
from .tables import markdown
from .world import Pictures, World

FRESH = 4


def held_out_table(scale: Scale) -> Table:
    """All four images and the last step, against three of them and the step of the fourth's lowest loss."""
    base = scale.of("dti")
    three = replace(base, validate_every=scale.checkpoint_every // 2)
    rows = (
        Row(BASE, base),
        Row("DTI, one image held out", three),
        Row("DTI, the step of its lowest loss", three, Use(step=CHOSEN)),
    )
    return Table("One image held out", CHOOSE, rows, scale.choosing, (1,), scale.sampling_seeds, scale.examination)


def fresh_pictures(subject: Subject) -> Pictures:
    """Drawings of a subject alone that nothing was trained on."""
    rng = np.random.default_rng(3000 + SUBJECTS.index(subject))
    scenes = [surround(rng, subject.thing, Look()) for _ in range(FRESH)]
    return np.stack([draw(replace(scene, companion="none")) for scene in scenes])


def fresh_losses(table: Table, results: Results, world: World) -> Values:
    """Of the steps on the way, with the first training seed, on fresh drawings: [concepts, rows], nan where missing."""
    out = np.full((len(table.concepts), len(table.rows)), np.nan)
    lengths = world.lengths()
    for number, name in enumerate(table.concepts):
        subject = CONCEPTS[name]
        found = results.store.training(table.training_id(table.rows[0], name, table.seeds[0]))
        if found is None or not isinstance(subject, Subject):
            continue
        images = world.encoded(fresh_pictures(subject), (OBJECT_TEMPLATES,) * FRESH)
        with world.session() as (text_encoder, denoiser):
            measured = EvaluationSet(text_encoder, denoiser, images)
            for column, row in enumerate(table.rows):
                out[number, column] = measured.loss(used_vectors(found[0], row.use, lengths, {}))
    return out


def table_of_losses(table: Table, results: Results, losses: Values) -> str:
    """Every step's loss on fresh drawings, and what the step of the lowest is worth beside the last one."""
    done = np.isfinite(losses).all(axis=1)
    if not done.any():
        return ""
    chosen = losses[done].argmin(axis=1)
    lines: list[list[object]] = [
        [row.label, f"{losses[done, number].mean():.4f}", int((chosen == number).sum())]
        for number, row in enumerate(table.rows)
    ]
    gained = []
    for axis in AXES:
        values = np.stack([results.values(table, row, axis)[done] for row in table.rows])
        gained.append(bootstrap(values[chosen, np.arange(len(chosen))] - values[-1]))
    return (
        markdown(lines, ["", f"loss on {FRESH} fresh drawings", "lowest for so many subjects"])
        + f"\n\nThe step of each subject's lowest loss less the last one: image {gained[0]}, text {gained[1]}."
    )
