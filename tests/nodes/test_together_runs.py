"""Whole runs of several concepts: one alone is DTI Train's, two go on where they were, and bad input is said first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from tests.nodes.whole_runs import stop_at, whole_run  # noqa: F401

SIZES = ((80, 64), (64, 100), (70, 70), (64, 64), (90, 66))
PICTURES = [
    torch.rand((*size, 3), generator=torch.Generator().manual_seed(number)) for number, size in enumerate(SIZES)
]
BOTH = "a photo of a {} beside a {mug}\na photo of {rex}"


def mask_of(picture: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(picture.shape[:2])
    mask[16:48, 16:48] = 1.0
    return mask


def same(found, expected) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], rows) for key, rows in expected.items())


@pytest.fixture
def concept(comfy_modules) -> Callable:
    from dti_pack.nodes.concept_images.concept import Concept

    def make(name: str, word: str, pictures: Sequence[torch.Tensor], *, masked=False, captions=("",), repeats=()):
        masks = [mask_of(picture) for picture in pictures] if masked else []
        read = lambda: (pictures, masks)  # noqa: E731
        return Concept(name, word, "object", captions, len(pictures), read, "", "", repeats)

    return make


@pytest.fixture
def together(whole_run):  # noqa: F811
    from dti_pack.nodes.together_run import train_together

    return lambda concepts, **settings: train_together(whole_run.settings(**settings), concepts, "7")


ALL = {"steps": 4, "batch_size": 2, "mirror": True, "schedule": "cosine", "average": 2, "held_out": 1}
ALL |= {"validate_every": 2, "class_word": True, "caption_dropout": 0.5, "crop": "keep aspect", "save_every": 0}


@pytest.mark.parametrize("settings", [ALL, {"method": "CrossInit", "save_every": 0}])
def test_one_concept_is_what_it_is_alone(whole_run, together, concept, settings):  # noqa: F811
    pictures, repeats = PICTURES[:4], (1, 2, 1, 1)
    masks = [mask_of(picture) for picture in pictures]
    alone = whole_run("alone", pictures, masks, repeats, **settings)
    run, said = together([concept("rex", "cat", pictures, masked=True, repeats=repeats)], **settings)
    (saved,) = run.saved
    assert same(saved.embedding.vectors, alone.saved.embedding.vectors) and run.losses == alone.losses
    before, after = ({**one.embedding.metadata} for one in (alone.saved, saved))
    for header in (before, after):
        for key in ("modelspec.date", "modelspec.title", "modelspec.trigger_phrase"):
            header.pop(key)
    assert before == after
    assert said.startswith(f"rex: saved to {whole_run.embeddings / 'rex.safetensors'}")


def two(concept) -> list:
    """The first has more images than the second, no masks, and images of both."""
    captions = [BOTH, "", "the {}", "the {}"]
    return [
        concept("rex", "cat", PICTURES[:4], captions=captions),
        concept("mug", "stuffed animal", PICTURES[3:], masked=True, captions=["a {mug}\nthe {}"]),
    ]


def test_two_that_were_stopped_are_what_they_are_in_one_piece(whole_run, together, concept, stop_at):  # noqa: F811
    from comfy.model_management import InterruptProcessingException

    settings = {**ALL, "steps": 6, "class_word": False, "average": 3, "patience": 1}
    whole, said = together(two(concept), **settings)
    assert "rex: Image 4 is held out" in said and "mug: held_out is 1, and of 2 images none can be held out" in said
    assert "rex: step " in said and len(whole.losses) == 6
    assert "does not end early for patience, as nothing of mug is held out" in said
    headers = []
    for saved in whole.saved:
        with safe_open(saved.path, "pt") as file:
            headers.append(file.metadata())
    rex, mug = headers
    assert (rex["dti.together"], mug["dti.together"]) == ("mug", "rex")
    assert (rex["dti.initializer"], mug["dti.initializer"]) == ("cat", "stuffed animal")
    assert rex["dti.batch_size"] == mug["dti.batch_size"] == "4"
    assert "{mug}" in rex["dti.captions"] and "dti.validation" in rex and "dti.validation" not in mug
    assert [len(saved.embedding.vectors["clip_l"]) for saved in whole.saved] == [1, 2]
    for saved in whole.saved:
        saved.path.unlink()
    for path in whole_run.output.rglob("*.safetensors"):
        path.unlink()
    for step in (1, 5):
        stop_at(step)
        with pytest.raises(InterruptProcessingException):
            together(two(concept), **settings)
        kept = whole_run.shown[-1]
        for name in ("rex", "mug"):
            assert f"Stopped; step {step} is saved to {whole_run.embeddings / f'{name}-step{step}.safetensors'}" in kept
        assert f"To go on from step {step}, press Run" in kept
    again, said = together(two(concept), **settings)
    assert "resumed at step 5" in said and again.losses == whole.losses
    for found, expected in zip(again.saved, whole.saved, strict=True):
        assert same(found.embedding.vectors, expected.embedding.vectors)
        assert found.path == expected.path


def test_steps_on_the_way_and_previews_are_of_each(whole_run, together, concept):  # noqa: F811
    asked = {"steps": 3, "save_every": 2, "preview_every": 1, "preview_prompts": "a {}\na {rex} and a {mug}"}
    run, _ = together(two(concept), **asked)
    assert run.picture.shape[0] == 1
    steps = {"rex-step2.safetensors", "mug-step2.safetensors"}
    assert steps < set(whole_run.files())
    assert {"rex.safetensors", "mug.safetensors"} < set(whole_run.files())
    without, _ = together(two(concept), steps=3, save_every=0, if_exists="replace", resume="never")
    for found, expected in zip(run.saved, without.saved, strict=True):
        assert same(found.embedding.vectors, expected.embedding.vectors)


def test_what_is_wrong_is_said_of_each_before_anything_is_loaded(whole_run, together, concept):  # noqa: F811
    rex, mug = two(concept)
    wrong = concept("cup", "zxqvy", PICTURES[:1], captions=["a {}"])
    other = concept("dog", "dog", PICTURES[:1], captions=["a {} and a {Mug}"])
    broken = replace(concept("cat", "zxqvy", []), problem="1.png cannot be read")
    with pytest.raises(ValueError, match="all concepts of a run are needed") as error:
        together([rex, mug, wrong, other, broken])
    assert "cup: " in str(error.value) and "vocabulary" in str(error.value)
    named = "dog: the caption 'a {} and a {Mug}' names 'Mug'; the concepts are rex, mug, cup, dog, cat."
    assert named in str(error.value)
    assert "cat: 1.png cannot be read" in str(error.value)
    assert whole_run.shown == whole_run.files() == []
    with pytest.raises(ValueError, match="Two concepts are called 'REX'"):
        together([rex, concept("REX", "cat", PICTURES)])
    with pytest.raises(ValueError, match="a prompt would find one by the other's name"):
        together([concept("pets/Rex", "cat", PICTURES), concept("rex", "cat", PICTURES)])
    with pytest.raises(ValueError, match="There are no concepts"):
        together([])
    (whole_run.embeddings / "dog.safetensors").write_bytes(b"taken")
    with pytest.raises(ValueError, match="would be saved as 'dog_2' and 'dog_2'"):
        together([concept("dog", "dog", PICTURES), concept("dog_2", "dog", PICTURES)])
    with pytest.raises(ValueError, match="got 2 captions for 5 images"):
        together([concept("rex", "dog", PICTURES, captions=["a {}", "a {}"])])


def test_a_name_in_braces_means_nothing_to_dti_train_and_that_is_said(whole_run):  # noqa: F811
    from dti_pack.nodes.train_run import run_training

    run = run_training(whole_run.settings(name="alone", save_every=0), PICTURES, ["a {} and a {mug}"], (), "7")
    assert any(note.startswith("Captions have {mug}, which is trained as it stands: ") for note in run.notes)


def test_prompts_of_previews_name_each_concept_or_one(comfy_modules):
    from dti_pack.nodes.captions import MOST_PROMPTS, prompts_of_several, prompts_of_several_objection

    templates = {"rex": ("a photo of a {}", "the {}"), "mug": ("in the style of {}",)}
    assert prompts_of_several("", templates) == ("a photo of a {rex}", "in the style of {mug}")
    assert prompts_of_several("a {}\na {rex}, a {mug}\n{} on {mug}", templates) == (
        "a {rex}",
        "a {mug}",
        "a {rex}, a {mug}",
        "{rex} on {mug}",
    )
    many = {f"c{number}": ("a {}",) for number in range(MOST_PROMPTS + 1)}
    assert prompts_of_several("", many)[-1] == f"a {{c{MOST_PROMPTS - 1}}}"
    for typed, message in (
        ("a dog", "names no concept"),
        ("a {cat}", "the concepts are rex, mug"),
        ("a {} and {rex} and {mug}", "each once"),
    ):
        with pytest.raises(ValueError, match=f"preview_prompts: .*{message}"):
            prompts_of_several(typed, templates)
    with pytest.raises(ValueError, match=f"come to {MOST_PROMPTS + 1} for the {MOST_PROMPTS + 1} concepts"):
        prompts_of_several("a {}", many)
    assert "names no concept" in prompts_of_several_objection("a dog")
    assert prompts_of_several_objection("a {rex}") is prompts_of_several_objection(None) is None
