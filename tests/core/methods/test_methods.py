"""What each method does to its vectors, step by step."""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch

from dti_core.methods import DTI, METHODS, CrossInit, Method, Movement, Options, ProjectedAdamW, TextualInversion
from dti_core.training import TrainingConfig, start_method, train
from dti_core.training.data import TrainingImage
from tests.core.training.test_loop import ToyDenoiser, ToyTextEncoder
from tests.rounding import EPS32

DIRECTIONS = {"clip_l": torch.eye(4)[:2], "clip_g": torch.eye(6)[:2]}
MAGNITUDES = {"clip_l": torch.full((2, 1), 0.4), "clip_g": torch.full((2, 1), 0.5)}
ROWS = {key: 0.3 * rows for key, rows in DIRECTIONS.items()}
COORDINATES = {"clip_l": 0.2, "clip_g": 0.25}
KINDS = {
    "DTI": lambda: DTI(DIRECTIONS, MAGNITUDES, 0.04, 1e-4),
    "DTI with options": lambda: DTI(DIRECTIONS, MAGNITUDES, 0.04, 0.0, kappa_share=0.05, average_after=2),
    "Textual Inversion": lambda: TextualInversion(ROWS, 0.1, COORDINATES),
    "CrossInit": lambda: CrossInit(ROWS, 0.1, COORDINATES, regulariser=0.1),
    "projected AdamW": lambda: ProjectedAdamW(DIRECTIONS, MAGNITUDES, 0.1, COORDINATES),
}


def pull(method: Method, share: float = 1.0, factor: float = 1.0):
    """One step towards ones."""
    method.zero_grad()
    loss = sum((rows - 1).square().sum() for rows in method.vectors().values())
    (factor * loss).backward()
    return method.step(share)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_and_norms_are_kept_where_they_should(kind: str) -> None:
    method = KINDS[kind]()
    before = {key: (rows - 1).norm() for key, rows in method.result().items()}
    movements = [pull(method) for _ in range(20)]
    for key, rows in method.result().items():
        assert (rows - 1).norm() < before[key]
        kept = torch.allclose(rows.norm(dim=-1, keepdim=True), MAGNITUDES[key], rtol=8 * EPS32)
        assert kept == ("magnitude" not in METHODS[kind.removesuffix(" with options")].ignores)
        assert movements[0].angle[key] < movements[-1].angle[key] < 90
        assert movements[0].gradient_norm[key] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_that_is_not_finite_moves_nothing_and_is_forgotten(kind: str) -> None:
    method, undisturbed = KINDS[kind](), KINDS[kind]()
    pull(method), pull(undisturbed)
    before = method.result()
    assert not pull(method, factor=float("inf")).moved
    for key, rows in method.result().items():
        assert torch.equal(rows, before[key])
    assert pull(method).moved
    pull(undisturbed)
    for key, rows in undisturbed.result().items():
        # The mean of one direction is divided by its norm once more.
        torch.testing.assert_close(method.result()[key], rows, atol=4 * EPS32, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_goes_on_where_its_state_was_saved(kind: str, tmp_path) -> None:
    whole, first, second = (KINDS[kind]() for _ in range(3))
    for _ in range(6):
        pull(whole)
    for _ in range(3):
        pull(first)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    pull(first)  # which must not reach what was saved
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(3):
        pull(second)
    for key, rows in whole.result().items():
        assert torch.equal(second.result()[key], rows)


def test_a_state_of_another_shape_is_refused() -> None:
    state = copy.deepcopy(KINDS["Textual Inversion"]().state_dict())
    with pytest.raises(ValueError, match="resume with the settings it came from"):
        TextualInversion({"clip_l": torch.ones(1, 4)}, 0.1, COORDINATES).load_state_dict(state)


def test_cross_init_pulls_towards_its_start() -> None:
    method = CrossInit({"clip_l": torch.ones(1, 4)}, 0.5, COORDINATES, regulariser=1.0)
    rows = method.vectors()["clip_l"]
    rows.data += 1
    rows.grad = torch.zeros_like(rows)
    method.step(1.0)
    assert bool((method.result()["clip_l"] < 2).all())


def test_cross_init_starts_at_hidden_states_only() -> None:
    text_encoder = ToyTextEncoder()
    config = TrainingConfig("dog", n_vectors=2, method="CrossInit")
    with pytest.raises(ValueError, match="give hidden_states"):
        start_method(config, text_encoder)
    states = {"clip_l": torch.ones(1, 6), "clip_g": torch.ones(1, 8)}
    assert start_method(config, text_encoder, states).result()["clip_g"].shape == (2, 8)


@pytest.mark.parametrize("kind", ["DTI", "Textual Inversion"])
def test_a_share_of_the_rate(kind: str) -> None:
    """A first step of AdamW moves coordinates by the rate, one of DTI turns by it."""
    half, whole = KINDS[kind](), KINDS[kind]()
    start = half.result()["clip_l"]
    pull(half, 0.5), pull(whole)
    ways = [(method.result()["clip_l"] - start).norm().item() for method in (half, whole)]
    # The chord of a turn is its tangent but for 1 in 3000; weight decay takes its part of the rate as well.
    assert ways[0] == pytest.approx(ways[1] / 2, rel=1e-3)


@pytest.mark.parametrize(("decay", "half"), [("none", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_decay_begins_whole(decay: str, half: float) -> None:
    assert Options(decay=decay).rate_share(1, 100) == 1.0
    assert Options(decay=decay).rate_share(51, 100) == pytest.approx(half)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_decay_comes_down_to_its_floor(decay: str) -> None:
    options = Options(decay=decay, decay_floor=0.2)
    assert options.rate_share(1, 100) == 1.0
    assert options.rate_share(51, 100) == pytest.approx(0.6)
    # The last step is a hundredth of the way before the end.
    assert 0.2 < options.rate_share(100, 100) < 0.21
    assert Options(decay=decay).rate_share(100, 100) < 0.01 + 1e-9


def test_a_file_says_what_the_method_reads() -> None:
    recipe = TrainingConfig("dog")
    assert "kappa" in recipe.in_use() and "decay" not in recipe.in_use() and "options" not in recipe.in_use()
    other = TrainingConfig("dog", method="Textual Inversion", options=Options(decay="linear"))
    assert {"kappa", "magnitude", "average"}.isdisjoint(other.in_use())
    assert (other.in_use()["method"], other.in_use()["decay"]) == ("Textual Inversion", "linear")
    assert (recipe.in_use()["learning_rate"], other.in_use()["learning_rate"]) == (0.04, 1.432)
    assert dataclasses.replace(recipe, method="CrossInit").rate == 1.432


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"magnitude_factor": 0.0}, "magnitude_factor is 0"),
        ({"kappa_share": -0.1}, "kappa_share is -0.1"),
        ({"average": -1}, "average is -1"),
        ({"decay": "step"}, "decay is 'step'; choose one of none, cosine, linear"),
        ({"decay": "linear", "decay_floor": 1.5}, "decay_floor is 1.5"),
        ({"decay": "linear", "decay_floor": math.nan}, "decay_floor is nan"),
        ({"decay_floor": 0.1}, "decay_floor is 0.1 without a decay"),
        ({"caption_dropout": 1.1}, "caption_dropout is 1.1; it has to be from 0"),
        ({"zero_pad": -1.0}, "zero_pad is -1.0"),
        ({"zero_pad": math.inf}, "zero_pad is inf"),
        ({"noise_start": -0.1}, "noise_start is -0.1 and noise_end is 1.0; they go from 0"),
        ({"noise_start": 0.5, "noise_end": 0.5}, "noise_start is 0.5 and noise_end is 0.5; .* the start comes first"),
        ({"noise_end": 1.5}, "noise_end is 1.5"),
        ({"noise_end": float("nan")}, "noise_end is nan"),
    ],
)
def test_bad_options(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**options)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="average is 500; give 0 to 400"):
        TrainingConfig("dog", options=Options(average=500))
    with pytest.raises(ValueError, match="CrossInit has no use for kappa_share"):
        TrainingConfig("dog", method="CrossInit", options=Options(kappa_share=0.1))
    with pytest.raises(ValueError, match="method is 'SGD'; choose one of DTI, Textual Inversion"):
        TrainingConfig("dog", method="SGD")


def test_a_method_of_ones_own() -> None:
    """The loop knows no method: what is given to it is trained."""

    class Bias:
        """One number for all coordinates."""

        def __init__(self) -> None:
            self.bias = torch.zeros((), requires_grad=True)

        def zero_grad(self) -> None:
            self.bias.grad = None

        def vectors(self):
            return {"clip_l": self.bias.expand(1, 6), "clip_g": self.bias.expand(1, 8)}

        def step(self, share):
            self.bias.data -= 0.01 * share * self.bias.grad
            return Movement({}, {}, True)

        def result(self):
            return {key: rows.detach().clone() for key, rows in self.vectors().items()}

        def state_dict(self):
            return {"bias": self.bias.detach().clone()}

    text_encoder = ToyTextEncoder()
    denoiser = ToyDenoiser(text_encoder)
    images = [TrainingImage(torch.zeros(4, 4, 4), torch.ones(4, 4, 4), (32, 32), ("a {}",))]
    vectors = train(text_encoder, denoiser, images, TrainingConfig("dog", steps=200), method=Bias())
    # The best single number for every coordinate of the target is their mean.
    assert vectors["clip_l"][0, 0].item() == pytest.approx(denoiser.target.mean().item(), abs=1e-4)
