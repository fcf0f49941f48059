"""Which files of a folder are images and captions, and in what order; no host is asked."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def find(comfy_modules, tmp_path):
    from dti_pack.nodes.concept_images.concept_folder import find_pictures

    def make_and_find(*names: str, subfolders: bool = False):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return find_pictures(tmp_path, subfolders)

    return make_and_find


def test_natural_order(find):
    found = find("10.png", "2.png", "B.jpg", "a.JPEG", "1.webp")
    assert [picture.name for picture in found.pictures] == ["1.webp", "2.png", "10.png", "a.JPEG", "B.jpg"]


def test_captions_and_what_belongs_to_nothing(find):
    found = find("a.png", "a.txt", "a.caption", "b.x.jpg", "b.x.TXT", "b.txt", "notes.pdf", "c.npz")
    assert [[caption.name for caption in picture.captions] for picture in found.pictures] == [
        ["a.caption", "a.txt"],
        ["b.x.TXT"],
    ]
    assert found.others == ("b.txt", "c.npz", "notes.pdf")


def test_what_systems_leave_behind(find):
    found = find("a.png", "._a.png", ".DS_Store", "__MACOSX/a.png", ".thumbs/a.png", subfolders=True)
    assert [picture.name for picture in found.pictures] == ["a.png"]
    assert found.others == ()


def test_subfolders_are_an_option(find):
    names = ("10_ohwx dog/1.png", "10_ohwx dog/1.txt", "2_x/1.png", "top.png")
    assert [picture.name for picture in find(*names).pictures] == ["top.png"]
    found = find(subfolders=True)
    assert [picture.name for picture in found.pictures] == ["2_x/1.png", "10_ohwx dog/1.png", "top.png"]
    assert [len(picture.captions) for picture in found.pictures] == [0, 1, 0]


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("1.png", 1),
        ("10_front.png", 1),
        ("10_ohwx dog/1.png", 10),
        ("2_a/3_b/1.png", 3),
        ("2_a/b/1.png", 1),
        ("0_none/1.png", 1),
        ("12/1.png", 1),
        ("2024_holiday/1.png", 1),
    ],
)
def test_repeats_stand_in_front_of_the_subfolders_name(find, name, repeats):
    (picture,) = find(name, subfolders=True).pictures
    assert picture.repeats == repeats


def test_the_fingerprint_sees_every_change_and_nothing_else(find, tmp_path):
    first = find("a.png", "a.txt", "b.png").fingerprint()
    assert find("unrelated.json").fingerprint() == first
    seen = {first}

    def changed():
        mark = find().fingerprint()
        new = mark not in seen
        seen.add(mark)
        return new

    (tmp_path / "a.png").write_bytes(b"longer")
    assert changed()
    os.utime(tmp_path / "b.png", ns=(1, 1))
    assert changed()
    (tmp_path / "a.txt").write_text("a {}")
    assert changed()
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert changed()
    (tmp_path / "a.txt").unlink()
    assert changed()
    (tmp_path / "c.caption").touch()
    assert changed()
    assert not changed()


@pytest.fixture
def caption(comfy_modules, tmp_path):
    """The captions of an image, given its caption file's content and what stands for the concept."""
    from dti_pack.nodes.concept_images.caption_file import placeholders, read_captions
    from dti_pack.nodes.concept_images.concept_folder import find_pictures

    def write_and_read(content: str | bytes, placeholder: str = "", **others: str):
        (tmp_path / "a.png").touch()
        (tmp_path / "a.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
        for suffix, text in others.items():
            (tmp_path / f"a.{suffix}").write_text(text)
        (picture,) = find_pictures(tmp_path, False).pictures
        return read_captions(picture, placeholders(placeholder))

    return write_and_read


@pytest.mark.parametrize(
    ("content", "placeholder", "expected"),
    [
        ("a photo of {}", "", "a photo of {}"),
        ("a {} beside a dog", "dog", "a {} beside a dog"),
        ("two {}s", "", "two {}s"),
        ("photo of ohwx dog, in the snow", "ohwx dog", "photo of {}, in the snow"),
        ("photo of ohwx dog", "ohwx", "photo of {} dog"),
        ("photo of ohwx dog", "dog, ohwx, ohwx dog", "photo of {}"),
        ("A Dog on a hotdog stand", "dog", "A {} on a hotdog stand"),
        ("sks  dog", " sks   dog ", "{}"),
        ("\ufeffa photo of a dog\r\n\r\n the dog \r\n", "dog", "a photo of a {}\nthe {}"),
        ("", "dog", ""),
        (" \n ", "", ""),
        # In a run of several: the concept's own name in braces, and those of others.
        ("a {rex} beside a {my dog}", "rex, dog", "a {} beside a {my dog}"),
        ("a dog beside a {my dog}", "rex, dog", "a {} beside a {my dog}"),
        ("{Rex}, a dog", "rex, dog", "{}, a dog"),
    ],
)
def test_captions_of_other_trainers(caption, content, placeholder, expected):
    assert caption(content, placeholder) == expected


@pytest.mark.parametrize(
    ("content", "placeholder", "message"),
    [
        ("photo of ohwx dog", "", r"a\.txt does not say where the embedding goes.*placeholder is empty"),
        ("photo of ohwx dog", "sks dog, cat", r"a\.txt does not say .* 'sks dog' or 'cat'"),
        ("a {}\na photo", "", r"a\.txt does not say .*'a photo'"),
        ("a dog and a dog", "dog", r"a\.txt has 'dog' 2 times"),
        ("a {} and a {}", "dog", r"a\.txt has '\{\}' 2 times"),
        ("a {} and a {dog}", "dog", r"a\.txt has '\{\}' 2 times"),
        ("a {dog}", "cat", r"a\.txt does not say"),
        (b"\xff\xfea\0 \0", "", r"a\.txt is not text in UTF-8"),
    ],
)
def test_captions_that_are_refused_are_named(caption, content, placeholder, message):
    with pytest.raises(ValueError, match=message):
        caption(content, placeholder)


def test_two_caption_files_for_one_picture(caption):
    assert caption("a {}", caption="a {}\n") == "a {}"
    assert caption("", caption="the {}") == "the {}"
    with pytest.raises(ValueError, match=r"a\.caption and a\.txt belong to one image and differ"):
        caption("a {}", caption="the {}")


def test_thumbnails_are_middle_squares(comfy_modules):
    import torch
    from dti_pack.nodes.concept_images.thumbnails import thumbnails

    wide = torch.zeros(300, 900, 3)
    wide[:, 300:600] = 1
    assert thumbnails([wide, wide.movedim(0, 1)]).shape == (2, 256, 256, 3)
    assert thumbnails([wide])[:, :, 4:-4].min() > 0.99
