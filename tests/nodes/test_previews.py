"""Previews from the models of a session: what the host's sampler would make, and nothing of the training changed."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from skimage import data

from tests.rounding import EPS32

PROMPTS = ("a photo of a {}", "a {} on the beach")
ONE_ROW = SimpleNamespace(plan=SimpleNamespace(microbatch_size=1))
STEPS = 3


@pytest.fixture(scope="module")
def images(models):
    from dti_pack.nodes.host.training.vae import encode_images

    pictures = [torch.tensor(getattr(data, name)() / 255.0).float() for name in ("chelsea", "coffee")]
    with torch.inference_mode():
        return encode_images(models.vae, pictures, 64, [("a photo of a {}",)] * 2)


def with_sampling(model, kind):
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete, ModelSamplingSD3

    if kind == "flow":
        return ModelSamplingSD3().patch(model, 3.0)[0]
    return ModelSamplingDiscrete().patch(model, kind, zsnr=kind == "v_prediction")[0]


@pytest.mark.parametrize("kind", ["eps", "v_prediction", "flow"])
def test_an_image_is_what_the_hosts_euler_makes(models, node_mode, kind):
    import comfy.sample
    from dti_pack.nodes.host.training import preview_sampler
    from dti_pack.nodes.host.training.session import training_session

    model = with_sampling(models.model, kind)
    with training_session(model, models.clip) as (text_encoder, denoiser):
        ids = text_encoder.token_ids("dog")
        dog = {key: table.rows(ids[key]) for key, table in text_encoder.vocabularies.items()}
        sample = preview_sampler.PreviewSampler(text_encoder, denoiser.patcher, 8, 64, rows=lambda: 3)
        latents = sample(PROMPTS, dog, 4)
        ours = denoiser.patcher.model.process_latent_out(latents)

    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(preview_sampler.SEED))
    encode = lambda text: models.clip.encode_from_tokens_scheduled(models.clip.tokenize(text))  # noqa: E731
    for prompt, own in zip(PROMPTS, ours, strict=True):
        theirs = comfy.sample.sample(
            model, noise, 4, preview_sampler.GUIDANCE, "euler", "sgm_uniform", encode(prompt.replace("{}", "dog")),
            encode(""), torch.zeros_like(noise), disable_pbar=True, seed=0,
        )  # fmt: skip
        # Guidance and four steps carry the rounding of a network pass on, about a hundred operations deep.
        torch.testing.assert_close(own, theirs[0], rtol=0, atol=1000 * EPS32 * float(theirs.abs().max()))


@pytest.fixture
def run(models, images, node_mode, monkeypatch):
    """Runs STEPS steps as the node does, with previews whenever asked for; gives the vectors, and what was watched."""
    from dti_pack.dti_core.training import TrainingConfig, start_method, train
    from dti_pack.nodes.host.training import run_report, run_watch
    from dti_pack.nodes.host.training.concept_files import ConceptFiles
    from dti_pack.nodes.host.training.previews import Previews
    from dti_pack.nodes.host.training.session import training_session
    from dti_pack.nodes.run_picture.history import RunHistory

    monkeypatch.setattr(run_watch, "SHARE", 1.0)
    monkeypatch.setattr(run_report, "show_on_node", lambda text, node_id: None)
    config = TrainingConfig("cat", steps=STEPS, batch_size=2)

    def run(every, model=models.model):
        shown = []
        with training_session(model, models.clip) as (text_encoder, denoiser):
            previews = Previews(text_encoder, denoiser, 64, 8, PROMPTS, every, ONE_ROW)
            watch = run_watch.RunWatch(RunHistory(STEPS, 2, "the start"), previews)
            report = run_report.RunReport([ConceptFiles("stopped", {}, False)], "7", STEPS, 0, "", watch)
            report._progress.hook = lambda value, total, preview, node_id: shown.append((value, preview))
            with report.keeping():
                start = start_method(config, text_encoder)
                report.begin(start.result())
                vectors = train(text_encoder, denoiser, images, config, report, method=start)
                report.finish(vectors)
        return SimpleNamespace(vectors=vectors, watch=watch, columns=previews.columns, shown=shown)

    return run


@pytest.mark.parametrize("patched", [False, True])
def test_a_run_is_the_same_to_the_bit_with_previews_and_without(models, run, monkeypatch, patched):
    """ToMe draws from the global generator in each pass. Nothing is loaded for a preview either."""
    import comfy.model_management
    from comfy_extras.nodes_tomesd import TomePatchModel

    model = TomePatchModel.execute(models.model, 0.5).args[0] if patched else models.model
    loads, load = [], comfy.model_management.load_models_gpu
    monkeypatch.setattr(
        comfy.model_management, "load_models_gpu", lambda *args, **named: (loads.append(1), load(*args, **named))
    )
    torch.manual_seed(7)
    before = torch.get_rng_state()
    without = run(0, model)
    assert len(loads) == 1
    assert torch.equal(torch.get_rng_state(), before)
    with_previews = run(1, model)
    assert len(loads) == 2
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(with_previews.vectors[key], rows) for key, rows in without.vectors.items())

    assert not without.columns
    columns = with_previews.columns
    assert [column.label for column in columns] == ["start", "step 1", "step 2", "result"]
    for start, end in zip(columns[0].images, columns[-2].images, strict=True):
        assert start.tobytes() != end.tobytes()
    assert [value for value, preview in with_previews.shown if preview] == [0, 1, 2, 3]
    # The curves are always there.
    heights = [{preview[1].size[1] for _, preview in ran.shown if preview} for ran in (without, with_previews)]
    assert [len(height) for height in heights] == [1, 1] and max(heights[0]) < min(heights[1])


def test_the_picture_of_the_run_has_its_result_through_the_vae(models, run):
    ran = run(1)
    assert ran.columns[-1].images[0].size == (8, 8)
    picture = ran.watch.picture(models.vae)
    assert picture.shape[0] == 1 and picture.shape[3] == 3 and picture.dtype == torch.float32
    assert ran.columns[-1].images[0].size == (64, 64)


def test_stop_while_the_result_is_decoded_loses_nothing(models, run):
    """The host hears Stop in every layer; what is saved by then would be trained again."""
    import comfy.model_management

    watch = run(1).watch
    comfy.model_management.interrupt_current_processing()
    assert watch.picture(models.vae).std() > 0 and watch.note == ""
    with pytest.raises(comfy.model_management.InterruptProcessingException):  # by the next node
        comfy.model_management.throw_exception_if_processing_interrupted()


def test_memory_that_runs_out_in_a_preview_ends_the_previews_alone(models, run, monkeypatch, caplog):
    from dti_pack.nodes.host.training import previews

    without = run(0)
    sample = previews.PreviewSampler.__call__
    calls = []

    def short_of_memory(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise torch.cuda.OutOfMemoryError("no memory")
        return sample(self, *arguments)

    monkeypatch.setattr(previews.PreviewSampler, "__call__", short_of_memory)
    with caplog.at_level(logging.WARNING):
        ran = run(1)
    assert all(torch.equal(ran.vectors[key], rows) for key, rows in without.vectors.items())
    assert len(calls) == 2
    assert "memory ran out" in ran.watch.note and ran.watch.note in ran.watch.lines and ran.watch.note in caplog.text
    assert [column.label for column in ran.columns] == ["start"]
    assert ran.watch.picture(models.vae).shape[3] == 3


def test_stop_inside_a_preview_takes_effect_before_its_next_pass(run, monkeypatch):
    import comfy.model_management
    from dti_pack.nodes.host.training import concept_files, preview_sampler, run_report

    in_step_1 = 30 * len(PROMPTS)
    passes, said = [], []

    class Stopping(preview_sampler.Network):
        def __call__(self, *arguments):
            passes.append(1)
            if len(passes) == in_step_1:
                comfy.model_management.interrupt_current_processing()
            return super().__call__(*arguments)

    monkeypatch.setattr(preview_sampler, "Network", Stopping)
    monkeypatch.setattr(run_report, "notify", said.append)
    monkeypatch.setattr(concept_files, "keep", lambda embedding, overwrite: (None, f"{embedding.name}.safetensors"))
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(1)
    assert len(passes) == in_step_1
    assert said == ["Stopped; step 1 is saved to stopped-step1.safetensors"]


def test_a_run_that_goes_on_begins_with_its_step(load_models):
    from dti_pack.nodes.host.training.run_watch import RunWatch
    from dti_pack.nodes.run_picture.history import RunHistory

    made = []
    previews = SimpleNamespace(columns=(), prompts=(), add=lambda *what: made.append(what))
    for step in (0, 7):
        RunWatch(RunHistory(10, 1, "the start"), previews).begin({}, step)
    assert made == [("start", 0, {}), ("step 7", 7, {})]


def test_previews_and_pictures_wait_until_they_take_no_more_than_their_share(load_models):
    from dti_pack.dti_core.training import StepReport
    from dti_pack.nodes.host.training.run_watch import SHARE, RunWatch
    from dti_pack.nodes.run_picture.history import RunHistory

    now, made = [0.0], []

    class Slow:
        columns, prompts, note = (), (), ""

        def is_due(self, step):
            return step % 5 == 0

        def add(self, label, step, vectors):
            made.append((step, now[0]))
            now[0] += 2.0

    watch = RunWatch(RunHistory(400, 1, "the start"), Slow(), clock=lambda: now[0])
    watch.begin({})
    for step in range(1, 400):
        now[0] += 1.0
        watch.step(StepReport(step, 0.5, {}, {"clip_l": 1.0}, {}, True, state=None))
        taken = 2.0 * len(made)
        assert len(made) == 1 or made[-1][0] != step or taken <= SHARE * now[0]
    assert len(made) >= 400 * SHARE / 2 - 1  # and do come
    assert watch.lines.startswith("step 399 of 400   mean loss 0.5000   1 s/image   0:01 left\n")
    assert watch.lines.endswith("degrees from the start: clip_l 1")
