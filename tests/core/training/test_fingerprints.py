"""What a run is made of: equal for the same, and what differs has a name."""

from __future__ import annotations

import dataclasses

import torch

from dti_core.methods import Options
from dti_core.training.fingerprints import differences, digest, fingerprints, same_so_far, sampled
from dti_core.vocabulary import Vocabulary
from tests.core.training.test_loop import ToyTextEncoder
from tests.core.training.test_state import state
from tests.core.training.toy_runs import config_of, images


def of(config=None, pictures=None, tables=None, **others):
    config = config or config_of("DTI")
    return fingerprints(config, pictures or images(), tables or ToyTextEncoder().vocabularies, others)


def test_the_same_run_is_the_same() -> None:
    assert differences(of(), of()) == []
    assert differences(of(), of(dataclasses.replace(config_of("DTI"), steps=99, microbatch_size=1))) == []


def test_what_differs_is_named() -> None:
    other = dataclasses.replace(config_of("DTI"), learning_rate=0.02, options=Options(kappa_share=0.05))
    assert differences(of(), of(other)) == [
        "learning_rate was 0.04 and is 0.02",
        "average was 4 and is not set",
    ]
    pictures = images()
    pictures[1] = images(seed=1)[1]
    pictures[2] = dataclasses.replace(pictures[2], captions=("a {} at night",))
    assert differences(of(), of(pictures=pictures)) == ["image 2 changed", "captions of image 3 changed"]
    assert differences(of(), of(pictures=images()[:2])) == ["captions of image 3 is gone", "image 3 is gone"]
    one = images()[0]
    masked, inverted = ([dataclasses.replace(one, weights=torch.full((6, 6), weight))] for weight in (0.1, 1.0))
    assert differences(of(pictures=masked), of(pictures=inverted)) == ["mask of image 1 changed"]
    assert differences(of(pictures=images()[:1]), of(pictures=masked)) == ["mask of image 1 is new"]
    tables = {**ToyTextEncoder().vocabularies, "clip_g": Vocabulary(torch.ones(20, 8))}
    assert differences(of(), of(tables=tables)) == ["token table clip_g changed"]
    assert differences(of(model=digest("a")), of(model=digest("b"))) == ["model changed"]


def test_pictures_stand_for_what_was_encoded_from_them() -> None:
    """A VAE on a GPU may encode the same picture a little differently."""
    pixels = [torch.full((8, 8, 3), 0.1 * number) for number in range(3)]
    tables = ToyTextEncoder().vocabularies
    config = config_of("DTI")
    encoded = [fingerprints(config, images(seed), tables, {}, pixels) for seed in (0, 1)]
    assert differences(*encoded) == []
    assert differences(encoded[0], fingerprints(config, images(), tables, {}, pixels[::-1])) == [
        "image 1 changed",
        "image 3 changed",
    ]


def test_which_longer_runs_come_through_a_state() -> None:
    for options, same in ((Options(), True), (Options(average=2), False), (Options(decay="cosine"), False)):
        config = config_of("DTI", steps=20, options=options)
        assert same_so_far(state(), config) is same
        assert same_so_far(state(), dataclasses.replace(config, steps=state().steps))
    assert not same_so_far(state(), config_of("DTI", steps=2, options=Options()))


def test_a_digest_sees_values_order_and_shape() -> None:
    values = [torch.ones(2, 3), torch.ones(3, 2), torch.ones(2, 3).half(), (1, 2), (2, 1), ((1,), 2), {"a": 1}, "1", 1]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(torch.ones(2, 6)[:, ::2]) == digest(torch.ones(2, 3))


def test_samples_are_few_and_from_all_over() -> None:
    large = torch.arange(100_000.0)
    assert 2000 < len(sampled(large)) <= 4096 and sampled(large)[-1] > 99_000
    assert sampled(torch.ones(2, 2)).tolist() == [1.0] * 4
    assert len(sampled(torch.ones(0))) == 0
