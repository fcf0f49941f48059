"""Images that are held out of a run in the host: measured without a trace, and what is said and kept of it."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from skimage import data

from tests.nodes.test_model_patches import with_chance

STEPS = 4
ONE_ROW = SimpleNamespace(plan=SimpleNamespace(microbatch_size=1))


@pytest.fixture(scope="module")
def images(models):
    """Two to train on, and one that is held out."""
    from dti_pack.nodes.host.training.vae import encode_images

    pictures = [torch.tensor(getattr(data, name)() / 255.0).float() for name in ("chelsea", "coffee", "rocket")]
    with torch.inference_mode():
        return encode_images(models.vae, pictures, 64, [("a photo of a {}", "the {}")] * 3)


@pytest.fixture
def run(models, images, node_mode, monkeypatch):
    """Trains as the node does; gives what came of it."""
    from dti_pack.dti_core.training import TrainingConfig, start_method, train
    from dti_pack.dti_core.training.validation import Validation
    from dti_pack.nodes.host.training import concept_files, held_out, run_report, run_watch
    from dti_pack.nodes.host.training.previews import Previews
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.run_picture.history import RunHistory

    monkeypatch.setattr(run_report, "show_on_node", lambda text, node_id: None)
    monkeypatch.setattr(run_report, "notify", lambda text: None)
    kept = []
    monkeypatch.setattr(
        concept_files, "keep", lambda embedding, overwrite: (kept.append(embedding), f"{embedding.name}.safetensors")
    )
    config = TrainingConfig("cat", steps=STEPS, batch_size=2)

    def run(held=(), model=models.model, patience=0):
        with training_session(model, models.clip) as (text_encoder, denoiser):
            measured = held_out.HeldOutLoss(text_encoder, denoiser.patcher, held, config.options)
            validation = Validation(measured, 1, patience) if held else None
            previews = Previews(text_encoder, denoiser, 64, 8, ("a {}",), 0, ONE_ROW)
            watch = run_watch.RunWatch(RunHistory(STEPS, 2, "the start", {"": validation} if held else None), previews)
            files = [concept_files.ConceptFiles("cat", {}, False, validation=validation)]
            report = run_report.RunReport(files, "7", STEPS, 0, "", watch, lambda: "To go on")
            with report.keeping():
                start = start_method(config, text_encoder)
                report.begin(start.result())
                vectors = train(text_encoder, denoiser, images[:2], config, report, method=start, validation=validation)
                (result,) = report.finish(vectors)
                again = [measured(vectors, 2) for _ in range(2)] if held else []
        return SimpleNamespace(
            vectors=vectors, validation=validation, result=result, kept=kept, report=report, measured=measured,
            again=again,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("patched", [False, True])
def test_a_run_is_the_same_to_the_bit_with_held_out_images_and_without(models, images, run, patched):
    """A patch that draws in each pass leaves the same vectors the same loss nevertheless."""
    model = with_chance(models.model) if patched else models.model
    torch.manual_seed(7)
    before = torch.get_rng_state()
    without = run(model=model)
    measured = run(images[2:], model)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(measured.vectors[key], rows) for key, rows in without.vectors.items())
    validation = measured.validation
    assert validation.steps == [0, 1, 2, 3, 4] and len(set(validation.losses)) == 5
    assert measured.again == [validation.losses[-1]] * 2
    assert all(math.isfinite(loss) for loss in validation.losses)


def test_the_chosen_step_is_the_result_and_the_last_is_kept_beside_it(images, run, monkeypatch):
    from dti_pack.nodes.host.training import held_out

    told = iter((9.0, 3.0, 2.0, 4.0, 5.0))
    seen = []
    monkeypatch.setattr(
        held_out.EvaluationSet, "loss", lambda self, vectors, rows: (seen.append(vectors), next(told, 6.0))[1]
    )
    ran = run(images[2:])
    assert all(torch.equal(ran.result.vectors[key], rows) for key, rows in seen[2].items())
    assert ran.result.metadata["dti.step"] == "2"
    (last,) = ran.kept
    assert last.name == "cat-step4" and last.metadata["dti.step"] == "4"
    assert all(torch.equal(last.vectors[key], rows) for key, rows in ran.vectors.items())
    assert ran.report.notes() == [
        "step 2 is the result: it has the lowest validation loss, 2.0000, against 5.0000 at the end (step 4)",
        "step 4, the last, is saved to cat-step4.safetensors",
    ]
    assert ran.result.metadata["dti.validation"] == ran.report.notes()[0]


def test_stop_takes_effect_inside_a_measurement_before_its_next_pass(images, run, monkeypatch):
    import comfy.model_management
    from dti_pack.nodes.host.training import held_out, run_report

    # A measurement is 4 passes of 2, a step one: the first of the second step's measurement.
    in_step_2 = 4 + (1 + 4) + 1 + 1
    said, passes = [], []
    loss = held_out.HostDenoiser.loss

    def counted(self, *arguments):
        passes.append(1)
        if len(passes) == in_step_2:
            comfy.model_management.interrupt_current_processing()
        return loss(self, *arguments)

    monkeypatch.setattr(run_report, "notify", said.append)
    monkeypatch.setattr(held_out.HostDenoiser, "loss", counted)
    monkeypatch.setattr(held_out, "DRAWS", 8)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(images[2:])
    assert len(passes) == in_step_2
    assert said == ["Stopped; step 1 is saved to cat-step1.safetensors\nTo go on"]


SAVED = {
    "cat-step2": "Stopped; step 2 is saved to cat-step2.safetensors",
    "cat-step1": "Step 1, of the lowest validation loss so far, is saved to cat-step1.safetensors",
}


@pytest.mark.parametrize("lost", [None, *SAVED])
def test_stop_keeps_the_best_step_too(images, run, monkeypatch, lost):
    """What becomes of one is said whatever becomes of the other."""
    import comfy.model_management
    from dti_pack.nodes.host.training import concept_files, held_out, run_report

    told, said = iter((9.0, 1.0, 2.0)), []

    def loss(self, vectors, rows):
        try:
            return next(told)
        except StopIteration:
            raise comfy.model_management.InterruptProcessingException from None

    def keep(embedding, overwrite):
        if embedding.name == lost:
            raise OSError("disk full")
        return embedding, f"{embedding.name}.safetensors"

    monkeypatch.setattr(concept_files, "keep", keep)
    monkeypatch.setattr(held_out.EvaluationSet, "loss", loss)
    monkeypatch.setattr(run_report, "notify", said.append)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(images[2:])
    lines = [f"Step {name[-1]} was not saved: disk full" if name == lost else line for name, line in SAVED.items()]
    assert said == ["\n".join([*lines, "To go on"])]


def test_memory_that_runs_out_ends_the_measuring_alone(images, run, monkeypatch, caplog):
    from dti_pack.nodes.host.training import held_out

    without = run()
    loss, calls = held_out.EvaluationSet.loss, []

    def short_of_memory(self, vectors, rows):
        calls.append(rows)
        if len(calls) == 3:
            raise torch.cuda.OutOfMemoryError("no memory")
        return loss(self, vectors, rows)

    monkeypatch.setattr(held_out.EvaluationSet, "loss", short_of_memory)
    with caplog.at_level(logging.WARNING):
        ran = run(images[2:], patience=1)
    assert all(torch.equal(ran.vectors[key], rows) for key, rows in without.vectors.items())
    assert calls == [2, 2, 2]
    note, share = ran.measured.notes()
    assert note == "No more validation: memory ran out. The training is not affected." and note in caplog.text
    assert share.startswith("validation took ")
    # What was measured before still counts.
    assert ran.result.metadata["dti.step"] == "1"


def measured_by(*losses, every=5, patience=0):
    from dti_pack.dti_core.training.validation import Validation

    told = iter(losses)
    validation = Validation(lambda vectors, rows: next(told), every, patience)
    validation.begin(0, {}, 1)
    for step in range(every, every * len(losses), every):
        validation.after(step, {}, 1)
    return validation


def test_what_is_said_of_the_choice(comfy_modules):
    from dti_pack.nodes.held_out_notes import chosen_notes

    (said,) = chosen_notes(measured_by(0.4, 0.3, 0.2), 10)
    assert said == "step 10 is the result: it has the lowest validation loss, 0.2000"
    assert chosen_notes(measured_by(0.4, 0.3), 5)[1].startswith("Only one step was measured")
    said = chosen_notes(measured_by(0.4, 0.2, 0.3, 0.5, patience=10), 100)
    assert said[1:] == ["ended at step 15 of 100, as 10 steps had brought no lower one"]
    said = chosen_notes(measured_by(0.1, 0.2, 0.3), 10)
    assert said[1].startswith("No step has a lower validation loss than the start, 0.1000")
    assert chosen_notes(measured_by(0.4, math.nan), 5) == [
        "No step has a validation loss, so the last one is the result."
    ]


def test_what_is_said_before_the_run(comfy_modules):
    from dti_pack.nodes.held_out_notes import held_out_notes, held_out_numbers

    assert held_out_notes(5, 0) == [] and held_out_numbers(5, 0) == []
    assert held_out_numbers(5, 1) == [5]
    assert held_out_notes(4, 1) == ["Image 4 is held out: not trained on, but measured for the validation loss."]
    (said,) = held_out_notes(3, 1)
    assert "of 3 images none can be held out" in said and said.endswith("the last step is the result.")
    few, which = held_out_notes(5, 4)
    assert "of 5 images 2 can be held out" in few and which.startswith("Images 4 to 5 are held out")
