from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dti_core.embedding import ConceptEmbedding
from dti_core.interpolation import FIGURE_4_RATIOS, MEAN_TOLERANCE, lerp, mix, slerp
from tests.core.properties import given, settings, st
from tests.rounding import EPS32

property_test = settings(deadline=None, derandomize=True, max_examples=40)
seeds = st.integers(0, 2**31)
ratios = st.floats(0, 1)
# Results are computed in float64 and rounded once to float32. Two that differ by rounding in float64 may fall to
# neighbouring numbers; one that is a float32 up to that falls to it, on every processor.
ONCE = {"rtol": 2 * EPS32, "atol": 1e-13}
WIDTHS = {"clip_l": 24, "clip_g": 40}


def concept(name: str, seed: int, n: int = 2, widths: dict[str, int] = WIDTHS) -> ConceptEmbedding:
    generator = torch.Generator().manual_seed(seed)
    vectors = {key: torch.randn(n, width, generator=generator) * 0.1 for key, width in widths.items()}
    return ConceptEmbedding(name, vectors)


def of(name: str, *rows: list[float]) -> ConceptEmbedding:
    return ConceptEmbedding(name, {"clip_l": torch.tensor(rows)})


def same(got: ConceptEmbedding, wanted: ConceptEmbedding) -> bool:
    return all(torch.equal(got.vectors[key], rows) for key, rows in wanted.vectors.items())


def slerp_by_geoopt(sphere: Any, a: Tensor, b: Tensor, t: float) -> Tensor:
    """One row after the other along geoopt's geodesic, float64."""
    rows = []
    for row_a, row_b in zip(a.double(), b.double(), strict=True):
        x, y = row_a / row_a.norm(), row_b / row_b.norm()
        point = sphere.expmap(x, t * sphere.logmap(x, y))
        rows.append(point * ((1 - t) * row_a.norm() + t * row_b.norm()))
    return torch.stack(rows)


@property_test
@given(seed=seeds, t=ratios)
def test_slerp_is_geoopts_geodesic_with_the_length_between(geoopt_sphere, seed: int, t: float) -> None:
    a, b = concept("a", seed), concept("b", seed + 1)
    result = slerp(a, b, t, "between")
    for key in WIDTHS:
        expected = slerp_by_geoopt(geoopt_sphere, a.vectors[key], b.vectors[key], t).float()
        torch.testing.assert_close(result.vectors[key], expected, **ONCE)


@property_test
@given(seed=seeds, t=ratios)
def test_slerp_turns_evenly(seed: int, t: float) -> None:
    a, b = concept("a", seed, n=1), concept("b", seed + 1, n=1)
    x, y, z = (e.directions()["clip_l"][0].double() for e in (a, b, slerp(a, b, t, "between")))
    whole, part = (2 * math.atan2((x - p).norm(), (x + p).norm()) for p in (y, z))
    # Three directions in float32.
    assert part == pytest.approx(t * whole, abs=8 * EPS32)


@property_test
@given(seed=seeds)
@pytest.mark.parametrize("between", [slerp, lerp])
def test_the_ends_are_exact(between, seed: int) -> None:
    a, b = concept("a", seed), concept("b", seed + 1)
    assert same(between(a, b, 0, "x"), a)
    assert same(between(a, b, 1.0, "x"), b)


@property_test
@given(seed=seeds, t=ratios)
@pytest.mark.parametrize("between", [slerp, lerp])
def test_equal_embeddings_give_themselves(between, seed: int, t: float) -> None:
    a = concept("a", seed)
    assert same(between(a, a, t, "x"), a)


@pytest.mark.parametrize("t", FIGURE_4_RATIOS)
@pytest.mark.parametrize("turn", [1e-30, 1e-9, 1e-7, 1e-4])
def test_nearly_equal_embeddings(turn: float, t: float) -> None:
    a, b = of("a", [1.0, 0.0, 0.0]), of("b", [1.0, turn, 0.0])
    got = slerp(a, b, t, "x").vectors["clip_l"]
    torch.testing.assert_close(got, torch.tensor([[1.0, t * turn, 0.0]]), atol=0, rtol=8 * EPS32)


@pytest.mark.parametrize("scale", [-1.0, -0.7, -3.3])
@pytest.mark.parametrize("t", [0.0, 0.5, 1.0])
def test_antipodal_rows_are_refused(scale: float, t: float) -> None:
    a = concept("dog", 1)
    opposite = a.vectors["clip_g"].clone()
    opposite[1] *= scale
    b = ConceptEmbedding("tac", {"clip_l": a.vectors["clip_l"], "clip_g": opposite})
    with pytest.raises(ValueError, match=r"clip_g of 'dog' and 'tac': .*antipodal"):
        slerp(a, b, t, "x")


def test_far_but_not_antipodal_rows_are_fine() -> None:
    # 1e-4 short of pi, in numbers that float32 holds.
    got = slerp(of("a", [1.0, 0.0]), of("b", [-1.0, 2.0**-13]), 0.5, "x").vectors["clip_l"]
    half = math.atan2(2.0**-13, -1.0) / 2
    length = (1 + math.hypot(1.0, 2.0**-13)) / 2
    # The way is conditioned like 1 / sin(angle): 1e4 eps of float64, 2e-12.
    torch.testing.assert_close(
        got, torch.tensor([[length * math.cos(half), length * math.sin(half)]]), atol=1e-10, rtol=2 * EPS32
    )


def test_t_by_encoder() -> None:
    a, b = concept("a", 1), concept("b", 2)
    both = slerp(a, b, {"clip_g": 0.25, "clip_l": 1.0}, "x")
    assert torch.equal(both.vectors["clip_l"], b.vectors["clip_l"])
    assert torch.equal(both.vectors["clip_g"], slerp(a, b, 0.25, "x").vectors["clip_g"])
    assert both.metadata["dti.t"] == "clip_l 1, clip_g 0.25"


def test_lerp_is_the_straight_line() -> None:
    a, b = concept("a", 1), concept("b", 2)
    got = lerp(a, b, 0.3, "x")
    for key, rows in got.vectors.items():
        torch.testing.assert_close(rows, 0.7 * a.vectors[key] + 0.3 * b.vectors[key])
    assert got.metadata["dti.operation"] == "lerp"


def test_lerp_through_the_origin_is_refused_there() -> None:
    a, b = of("a", [1.0, 2.0]), of("b", [-1.0, -2.0])
    assert same(lerp(a, b, 0.25, "x"), of("x", [0.5, 1.0]))
    with pytest.raises(ValueError, match=r"t = 0.5 .*norm zero"):
        lerp(a, b, 0.5, "x")


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (concept("dog", 1, n=2), concept("cat", 2, n=3), "'dog' has 2 vectors and 'cat' has 3"),
        (concept("dog", 1), concept("cat", 2, widths={"clip_l": 24}), "clip_l 24, clip_g 40 and clip_l 24"),
        (
            concept("dog", 1, widths={"clip_l": 24}),
            concept("cat", 2, widths={"clip_h": 24}),
            r"'dog' and 'cat'.*clip_h",
        ),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(a: ConceptEmbedding, b: ConceptEmbedding, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slerp(a, b, 0.5, "x")
    with pytest.raises(ValueError, match=message):
        mix([a, b], [1, 1], "x")


def test_a_zero_vector_has_no_direction() -> None:
    zero, a = of("zero", [0.0, 0.0]), of("a", [0.0, 1.0])
    with pytest.raises(ValueError, match=r"'zero' and 'a'.*norm zero"):
        slerp(zero, a, 0.5, "x")
    with pytest.raises(ValueError, match=r"clip_l.*norm zero"):
        mix([zero, a], [1, 1], "x")


@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan, {"clip_l": 0.5}, {"clip_l": 0.5, "clip_g": 2.0}, {}])
def test_ratios_that_make_no_sense(t) -> None:
    with pytest.raises(ValueError, match="t is"):
        slerp(concept("a", 1), concept("b", 2), t, "x")


def test_the_header_says_where_it_comes_from() -> None:
    shared = {"modelspec.architecture": "sdxl", "modelspec.title": "old", "dti.steps": "400"}
    a, b = (
        ConceptEmbedding(name, concept(name, seed).vectors, {**shared, "modelspec.resolution": name})
        for seed, name in enumerate(["pets/dog", "cat"])
    )
    assert slerp(a, b, 0.35, "mid/dogcat").metadata == {
        "modelspec.architecture": "sdxl",
        "modelspec.title": "mid/dogcat",
        "modelspec.merged_from": "pets/dog, cat",
        "dti.operation": "slerp",
        "dti.t": "0.35",
    }


# The mean of several


@property_test
@given(seed=seeds, t=st.floats(0.01, 0.99))
def test_the_mix_of_two_is_slerp(seed: int, t: float) -> None:
    a, b = concept("a", seed), concept("b", seed + 1)
    mixed, between = mix([a, b], [3 * (1 - t), 3 * t], "x"), slerp(a, b, t, "x")
    for key in WIDTHS:
        torch.testing.assert_close(mixed.vectors[key], between.vectors[key], rtol=2 * EPS32, atol=100 * MEAN_TOLERANCE)


@property_test
@given(seed=seeds, weights=st.lists(st.floats(0.05, 5), min_size=2, max_size=5))
def test_the_mean_is_where_the_weighted_logarithms_cancel(geoopt_sphere, seed: int, weights: list[float]) -> None:
    """geoopt's logmap in float64; and no nearby point has a smaller sum of squared angles."""
    embeddings = [concept(f"e{i}", seed + i, n=1) for i in range(len(weights))]
    rows = torch.stack([e.vectors["clip_l"][0].double() for e in embeddings])
    points, w = rows / rows.norm(dim=-1, keepdim=True), torch.tensor(weights, dtype=torch.float64) / sum(weights)
    result = mix(embeddings, weights, "x").vectors["clip_l"][0].double()
    mean = result / result.norm()
    pull = sum(wi * geoopt_sphere.logmap(mean, p) for wi, p in zip(w, points, strict=True))
    # The mean comes in float32; the search itself ends at 1e-12.
    assert pull.norm() < 8 * EPS32
    assert result.norm().item() == pytest.approx(float((w * rows.norm(dim=-1)).sum()), rel=8 * EPS32)

    def cost(x: Tensor) -> float:
        return float((w * torch.acos((points @ x).clamp(-1, 1)) ** 2).sum())

    generator = torch.Generator().manual_seed(seed)
    for _ in range(5):
        near = mean + 1e-3 * torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        # By 1e-5; rounding the mean costs the square of its 6e-8.
        assert cost(near / near.norm()) > cost(mean)


def test_one_weight_gives_that_embedding() -> None:
    a, b, c = (concept(name, seed) for seed, name in enumerate("abc"))
    assert same(mix([a, b, c], [0, 2.5, 0], "x"), b)
    assert same(mix([a, a, a], [1, 2, 3], "x"), a)
    mixed = mix([a, b, c], [1, 2, 3], "x")
    assert mixed.metadata["modelspec.merged_from"] == "a, b, c"
    assert mixed.metadata["dti.weights"] == "1, 2, 3"


def circle(*degrees: float) -> list[ConceptEmbedding]:
    return [of(f"at{d}", [math.cos(math.radians(d)), math.sin(math.radians(d)), 0.0]) for d in degrees]


@pytest.mark.parametrize("degrees", [(0, 180), (0, 120, 240), (0, 90, 180, 270), (0, 100, 200)])
def test_directions_spread_too_far_are_refused(degrees: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="clip_l: the directions are spread too far"):
        mix(circle(*degrees), [1] * len(degrees), "x")


@pytest.mark.parametrize("degrees", [(0, 170), (0, 0, 10, 20, 170), (0, 60, 120), (10, 10, 10)])
def test_on_a_half_circle_the_mean_angle_is_the_mean_of_angles(degrees: tuple[float, ...]) -> None:
    x, y, _ = mix(circle(*degrees), [1] * len(degrees), "x").vectors["clip_l"][0].tolist()
    # Degrees of a float32 vector: half an eps is 3e-6.
    assert math.degrees(math.atan2(y, x)) == pytest.approx(sum(degrees) / len(degrees), abs=1e-4)


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [0, 0], [1, -1], [1, math.nan], [math.inf, 1]])
def test_weights_that_make_no_sense(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        mix([concept("a", 1), concept("b", 2)], weights, "x")
