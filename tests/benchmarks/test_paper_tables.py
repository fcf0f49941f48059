"""The experiment: its plan, its statistics, its methods on a toy host, and a cut of it on the small world."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from comfy_host.environment import comfyui_tree
from comfy_host.process import SMALL_SDXL

BENCHMARKS = SMALL_SDXL.parent
sys.path.append(str(BENCHMARKS))

import paper_tables  # noqa: E402, F401  (makes dti_pack importable)
from dti_pack.dti_core.protocols import Conditioning  # noqa: E402
from dti_pack.dti_core.training_data import TrainingImage  # noqa: E402
from dti_pack.dti_core.vocabulary import Vocabulary  # noqa: E402
from paper_tables.bootstrap import bootstrap  # noqa: E402
from paper_tables.calibration import _of_styles, _of_things, trusted  # noqa: E402
from paper_tables.captions import captions_with_surroundings, plain_captions  # noqa: E402
from paper_tables.chosen import chosen_settings, improved_settings, main_tables, merit, merits  # noqa: E402
from paper_tables.examine import used_vectors  # noqa: E402
from paper_tables.job import jobs_of  # noqa: E402
from paper_tables.loop import descend  # noqa: E402
from paper_tables.methods import learn  # noqa: E402
from paper_tables.plan import CHOOSE, CHOOSING, CUT, REPORT, REPORTING, WHOLE, Row, Run, Table  # noqa: E402
from paper_tables.prompts import SPECIFICATIONS, description, fill, prompts_for  # noqa: E402
from paper_tables.settings import Settings, Use  # noqa: E402
from paper_tables.slerp_rows import smoothness  # noqa: E402
from paper_tables.store import Store  # noqa: E402
from paper_tables.style_prompts import LOOK, style_description, style_prompts  # noqa: E402
from paper_tables.sweeps import sweep_tables  # noqa: E402
from paper_tables.updates import AdamWUpdate, share_left  # noqa: E402
from small_world.checkpoint import COMPACT  # noqa: E402
from small_world.judge import FILE as JUDGE  # noqa: E402
from small_world.judge import VALUES  # noqa: E402
from small_world.subjects import STYLES, SUBJECTS  # noqa: E402
from small_world.tokens import PIECES, known_words  # noqa: E402

WIDTHS = {"clip_l": 6, "clip_g": 8}


class ToyTextEncoder:
    """Context is the two encoders' vectors side by side; a word's id is its length."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.vocabularies = {
            key: Vocabulary(0.1 * torch.randn((20, width), generator=generator)) for key, width in WIDTHS.items()
        }

    def token_ids(self, text: str) -> dict[str, list[int]]:
        return {key: [len(word) for word in text.split()] for key in WIDTHS}

    def encode(self, captions, vectors) -> Conditioning:
        row = torch.cat([vectors[key].mean(dim=0) for key in WIDTHS])
        return Conditioning(row.expand(len(captions), 1, -1), None)


class ToyDenoiser:
    """The loss is the distance of the context from a target as long as a word."""

    device = torch.device("cpu")
    loss_scale = 1.0

    def __init__(self, text_encoder: ToyTextEncoder, noise: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.noise = noise
        self.seen: list[Tensor] = []
        self.target = torch.cat(
            [v.mean * torch.nn.functional.normalize(torch.randn(v.dim, generator=generator), dim=0)
             for v in text_encoder.vocabularies.values()]
        )  # fmt: skip

    def sigmas(self, u: Tensor) -> Tensor:
        self.seen.append(u)
        return 0.5 + u

    def loss(self, latents, conditioning, sigma, noise, framing) -> Tensor:
        around = self.target + self.noise * noise.flatten(1)[:, : len(self.target)]
        return (conditioning.context[:, 0] - around).square().sum(dim=-1)


@pytest.fixture
def images() -> list[TrainingImage]:
    mean = torch.zeros(4, 4, 6)
    return [TrainingImage(mean, torch.ones_like(mean), (40, 60), ("a {}", "the {}")) for _ in range(3)]


def trained(images, settings, noise=0.0, seed=1):
    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder, noise)
    reports = []
    contextual = {key: torch.ones(1, width) for key, width in WIDTHS.items()}
    vectors = learn(
        text_encoder, denoiser, images, settings, seed, reports.append, word="dog", words=["cat", "sheep"],
        contextual=contextual,
    )  # fmt: skip
    return vectors, reports, text_encoder, denoiser


METHODS = {
    "ti": Settings("ti", steps=60, learning_rate=0.02),
    "cross_init": Settings("cross_init", steps=60, learning_rate=0.02),
    "adamw_sphere": Settings("adamw_sphere", steps=60, learning_rate=0.02),
    "dti": Settings(steps=60, kappa=0.0),
    "decay": Settings(steps=60, kappa=0.0, decay="cosine"),
    "average": Settings(steps=60, kappa=0.0, average=15),
    "stratified": Settings(steps=60, kappa=0.0, stratified=True),
    "keep_best": Settings(steps=60, kappa=0.0, keep_best=True),
    "kappa_share": Settings(steps=60, kappa_share=0.05),
    "best_word": Settings(steps=60, kappa=0.0, best_word=True),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_lowers_the_loss(name, images):
    vectors, reports, _, _ = trained(images, METHODS[name])
    assert [report.step for report in reports] == list(range(1, 61))
    assert reports[-1].loss < 0.6 * reports[0].loss
    assert {key: rows.shape for key, rows in vectors.items()} == {key: (1, width) for key, width in WIDTHS.items()}


def test_every_method_sees_the_same_batches(images):
    seen = [torch.stack(trained(images, METHODS[name])[3].seen[:60]) for name in ("ti", "adamw_sphere", "dti", "decay")]
    assert all(torch.equal(other, seen[0]) for other in seen[1:])


def test_the_loop_without_options_is_the_products(images):
    """SphereUpdate in this loop against dti_core.training.train: kappa_share is so small that it does nothing."""
    product, _, _, _ = trained(images, Settings(steps=40, kappa=0.0))
    ours, _, _, _ = trained(images, Settings(steps=40, kappa=0.0, kappa_share=1e-12))
    for key in WIDTHS:
        torch.testing.assert_close(ours[key], product[key], rtol=1e-5, atol=1e-7)


def test_textual_inversions_norm_grows_with_the_rate_and_the_projected_one_does_not(images):
    low, high = (trained(images, Settings("ti", steps=150, learning_rate=rate), noise=3.0)[0] for rate in (5e-4, 5e-2))
    projected, _, text_encoder, _ = trained(images, Settings("adamw_sphere", steps=150, learning_rate=5e-2), noise=3.0)
    for key, table in text_encoder.vocabularies.items():
        assert high[key].norm() > 1.5 * low[key].norm()
        assert projected[key].norm().item() == pytest.approx(table.mean, rel=1e-5)


def test_the_length_in_training_is_what_was_asked_for(images):
    vectors, _, text_encoder, _ = trained(images, Settings(steps=5, magnitude="5x"))
    for key, table in text_encoder.vocabularies.items():
        assert vectors[key].norm().item() == pytest.approx(5 * table.mean, rel=1e-5)


def test_averaging_and_decay_settle_nearer_to_the_target(images):
    def miss(settings):
        total = 0.0
        for seed in range(3):
            vectors, _, _, denoiser = trained(images, settings, noise=0.05, seed=seed)
            total += torch.dist(torch.cat([vectors[key][0] for key in WIDTHS]), denoiser.target).item()
        return total

    plain = Settings(steps=120, kappa=0.0, learning_rate=0.1)
    assert miss(dataclasses.replace(plain, average=40)) < 0.8 * miss(plain)
    assert miss(dataclasses.replace(plain, decay="cosine")) < 0.8 * miss(plain)


def test_stratified_levels_take_one_from_each_part(images):
    _, _, _, denoiser = trained(images, Settings(steps=5, stratified=True))
    for u in denoiser.seen:
        assert (u * 4).long().tolist() == [0, 1, 2, 3]


def test_cross_init_pulls_towards_its_start():
    start = {"clip_l": torch.ones(1, 4)}
    update = AdamWUpdate(start, 0.1, anchor_weight=1.0)
    rows = update.vectors()["clip_l"]
    rows.data += 1
    rows.grad = torch.zeros_like(rows)
    update.step(1)
    assert bool((update.found()["clip_l"] < 2).all())


@pytest.mark.parametrize(("decay", "half"), [("none", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_decay_begins_whole(decay, half):
    assert share_left(decay, 1, 100) == 1.0
    assert share_left(decay, 51, 100) == pytest.approx(half)


def test_what_a_callback_raises_ends_the_loop(images):
    text_encoder = ToyTextEncoder()
    update = AdamWUpdate({key: table.rows([3]) for key, table in text_encoder.vocabularies.items()}, 0.1)

    def stop(report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        descend(text_encoder, ToyDenoiser(text_encoder), images, update, steps=3, batch_size=2, seed=0, on_step=stop)


@pytest.mark.parametrize("scale", [WHOLE, CUT], ids=["whole", "cut"])
def test_nothing_is_chosen_on_a_subject_that_reports(scale):
    for table in sweep_tables(scale):
        assert table.purpose == CHOOSE
        assert not {run.concept for run in table.runs()} & set(REPORTING)
    for table in main_tables(scale, lambda run: None):
        assert table.purpose == REPORT
        with pytest.raises(ValueError, match="reports"):
            merits(table, lambda run: (1.0, 1.0))
    with pytest.raises(ValueError, match="must not see zebra_cat"):
        Table("sweep", CHOOSE, (Row("DTI", Settings()),), ("candy_star", "zebra_cat"))
    assert len(REPORTING) == len(CHOOSING) == 7


def test_the_best_of_the_choosing_half_goes_into_the_main_table():
    def axes(run: Run) -> tuple[float, float]:
        settings = run.settings
        assert run.concept in CHOOSING
        good = settings.learning_rate == 2e-3 and settings.method == "ti" and not run.use.length
        return (0.9, 0.9) if good or settings.decay == "linear" else (0.5, 0.5)

    assert chosen_settings(WHOLE, axes)["ti"].learning_rate == 2e-3
    assert chosen_settings(WHOLE, axes)["ti_rescaled"].learning_rate == 5e-4
    improved = improved_settings(WHOLE, axes)
    assert improved == dataclasses.replace(chosen_settings(WHOLE, axes)["dti"], decay="linear")
    best = next(table for table in main_tables(WHOLE, axes) if "at its best" in table.name)
    assert improved in [row.settings for row in best.rows]


def test_merit_wants_both():
    assert merit(0.5, 0.5) == pytest.approx(0.5)
    assert merit(0.9, 0.1) < 0.2
    assert merit(-0.1, 0.9) == 0


def test_ids_tell_runs_apart_and_share_trainings():
    run = Run("candy_star", 1, Settings())
    rescaled = dataclasses.replace(run, use=Use(length=1.0))
    assert run.training_id == rescaled.training_id == Run("candy_star", 1, Settings()).training_id
    cut = dataclasses.replace(run, examination=CUT.examination)
    assert len({run.score_id, rescaled.score_id, cut.score_id}) == 3
    assert run.training_id != Run("candy_star", 2, Settings()).training_id
    (job,) = jobs_of([run, rescaled, run], 50)
    assert job.runs == (run, rescaled)


def test_bad_settings():
    with pytest.raises(ValueError, match="method is 'sgd'"):
        Settings("sgd")
    with pytest.raises(ValueError, match="decay is 'step'"):
        Settings(decay="step")
    with pytest.raises(ValueError, match="average is 500"):
        Settings(average=500)


def test_bootstrap_on_known_cases():
    same = bootstrap(np.full((5, 3), 0.25))
    assert (same.mean, same.low, same.high, same.count) == (0.25, 0.25, 0.25, 15)
    # The mean of n numbers with deviation s has the error s / sqrt(n); the bootstrap sees s of the sample.
    values = np.random.default_rng(0).normal(0.5, 0.1, (200, 1))
    interval = bootstrap(values)
    error = values.std() / np.sqrt(200)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    # Seeds that differ widen the interval of concepts that do not.
    noisy = bootstrap(np.tile([0.0, 1.0], (4, 1)))
    assert noisy.low < 0.5 < noisy.high


def test_bootstrap_without_runs():
    assert str(bootstrap(np.full((2, 2), np.nan))) == "-"
    some = bootstrap(np.asarray([[0.4, np.nan], [np.nan, np.nan]]))
    assert (some.mean, some.count) == (0.4, 1)


def test_a_half_written_result_is_done_again(tmp_path, caplog):
    store = Store(tmp_path / "judge")
    vectors = {0: {"clip_l": torch.ones(1, 4)}, 50: {"clip_l": torch.zeros(1, 4)}}
    store.save_training("run", vectors, {"history": []})
    store.save_score("run", {"text": [1.0]})
    found = store.training("run")
    assert found is not None
    assert torch.equal(found[0][0]["clip_l"], vectors[0]["clip_l"]) and set(found[0]) == {0, 50}
    assert store.score("run") == {"text": [1.0]}
    for file in tmp_path.rglob("run.*"):
        file.write_bytes(file.read_bytes()[:-7])
    assert store.training("run") is None
    assert store.score("run") is None
    assert "damaged" in caplog.text
    assert store.score("other") is None


def test_use_takes_a_step_and_a_length():
    by_step = {0: {"clip_l": torch.tensor([[3.0, 4.0]])}, 50: {"clip_l": torch.tensor([[0.0, 2.0]])}}
    assert torch.equal(used_vectors(by_step, Use(), {"clip_l": 0.4})["clip_l"], by_step[0]["clip_l"])
    half = used_vectors(by_step, Use(step=50, length=0.5), {"clip_l": 0.4})["clip_l"]
    torch.testing.assert_close(half, torch.tensor([[0.0, 0.2]]))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_prompts_ask_for_what_the_subject_is_not(subject):
    thing, vocabulary = subject.thing, set(known_words())
    prompts = prompts_for(thing)
    assert len(prompts) == len({prompt.text for prompt in prompts}) == 40 == sum(map(len, SPECIFICATIONS))
    for prompt in prompts:
        assert prompt.text.count("{}") == 1
        assert prompt.wanted
        assert not prompt.wanted.keys() & {"shape", "colour", "texture", "second", "marking", "extra"}
        assert prompt.wanted.get("companion") != thing.shape
        assert prompt.wanted.get("background") not in (thing.colour, thing.second)
        for word in (subject.word, description(thing)):
            assert set(fill(prompt.text, word).replace(",", " ").split()) <= vocabulary


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_style_prompts_ask_for_things_and_leave_the_look_to_the_style(style):
    vocabulary = set(known_words())
    prompts = style_prompts(style)
    assert {prompt.level for prompt in prompts} == {0, 1, 2}
    assert len({prompt.text for prompt in prompts}) == len(prompts) == 20
    for prompt in prompts:
        assert prompt.text.endswith("in the style of {}")
        assert prompt.scene.look == style.look
        assert "shape" in prompt.wanted and not prompt.wanted.keys() & set(LOOK)
        for word in (style.word, style_description(style)):
            assert set(prompt.text.replace("{}", word).replace(",", " ").split()) <= vocabulary


def test_a_judge_that_reads_badly_is_not_trusted(tmp_path):
    class Judge:
        """Reads every place as the left and never errs on a background."""

        trusted = frozenset({"place", "background", "shape"})

        def __init__(self, scenes):
            self.scenes = scenes

        def read(self, pictures):
            return [{**dict.fromkeys(VALUES, "?"), "place": "left", "background": self.scenes.pop(0)}]

    scenes = [prompt.scene.background for prompts in (_of_things(), _of_styles()) for prompt in prompts]
    trust = trusted(Judge(scenes), tmp_path / "calibration.json")
    assert trust.subjects == {"background"}
    measured = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))
    assert 0 < measured["subjects"]["place"] < 0.5
    assert measured["subjects"]["background"] == 1.0


def test_articles():
    assert fill("a photo of a {}", "orange flower") == "a photo of an orange flower"
    assert fill("a photo of a small {}", "orange flower") == "a photo of a small orange flower"


def test_training_captions_are_in_the_worlds_language():
    vocabulary = set(known_words())
    for concept in (*SUBJECTS, *STYLES):
        for captions in (plain_captions(concept), captions_with_surroundings(concept)):
            assert len(captions) == 4
            for caption in (text for texts in captions for text in texts):
                assert caption.count("{}") == 1
                assert set(caption.replace("{}", "").split()) <= vocabulary
    assert "a dark photo of the {}" not in plain_captions(SUBJECTS[0])[0]


def test_smoothness():
    angles = np.linspace(0, 1, 11)
    even = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    smooth = smoothness([even])
    assert (smooth.largest_step, smooth.detour, smooth.ends) == pytest.approx((0.1, 1.0, 1.0), abs=1e-4)
    jump = np.concatenate([np.repeat(even[:1], 6, 0), np.repeat(even[-1:], 5, 0)])
    assert smoothness([jump]).largest_step == pytest.approx(1.0)


def test_a_cut_runs_whole(tmp_path):
    """Two subjects and a few steps through every method, table and picture: that it runs, not who wins."""
    for file in (COMPACT, JUDGE):
        if not file.is_file():
            pytest.skip(f"{file.name} is not in this checkout")
    command = [sys.executable, "-W", "ignore", "-m", "paper_tables.run", str(tmp_path), "--cut"]
    environment = {**os.environ, "DTI_COMFYUI": str(comfyui_tree()), "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, timeout=600)
    assert first.returncode == 0, first.stderr[-3000:]
    assert "All done." in first.stderr
    (report,) = tmp_path.rglob("report.md")
    text = report.read_text(encoding="utf-8")
    assert "| - |" not in text.split("# Settings")[0]
    for name in ("front.png", "norms.png", "figure4.png"):
        assert (report.parent / name).stat().st_size > 1000
    scores = sorted((report.parent / "scores").iterdir())
    assert {len(json.loads(file.read_text(encoding="utf-8"))["image"]) for file in scores} == {6}
    # Stopped in the middle, it goes on: only what is missing is done again.
    scores[0].unlink()
    stamps = {file: file.stat().st_mtime_ns for file in scores[1:]}
    again = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stderr.count("examined") == 1
    assert {file: Path(file).stat().st_mtime_ns for file in scores[1:]} == stamps
