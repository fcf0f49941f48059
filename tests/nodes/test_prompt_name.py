from __future__ import annotations

import re

import pytest
from dti_pack.nodes.prompt_name import MAX_LENGTH, check_embedding_name, trigger
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "name",
    [
        "dog",
        "my_dog-2",
        "v1.5",
        "Dog",
        "dti/1e3",
        "a/b/c",
        "500px",
        "-dog",
        "con2",
        "x.pt/dog",
        "n" * MAX_LENGTH,
        "M\u00fcller",
        "\u72ac",
        "\u0441\u043e\u0431\u0430\u043a\u0430/\u0939\u093f\u0928\u094d\u0926\u0940",
        "\U0001f436",
    ],
)
def test_good_names(name: str) -> None:
    check_embedding_name(name)
    assert trigger(name) == f" embedding:{name} "


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("n" * (MAX_LENGTH + 1), f"has {MAX_LENGTH + 1} characters"),
        ("my dog", "' '"),
        ("dog,cat", "','"),
        ("(dog)", "'(' ')'"),
        ("embedding:dog", "':'"),
        ("dog\n", r"'\n'"),
        ("hu\u0308nd", "accents stand apart"),
        ("\u72ac\u3000", r"'\u3000'"),
        ("\u72ac" * 70, "takes 210 bytes"),
        ("\u0661", "weight"),
        ("dog\u200b", r"'\u200b'"),
        ("pets\\dog", "backslash"),
        ("C:\\dog", "backslash"),
        ("/dog", "empty folder"),
        ("pets/", "empty folder"),
        ("pets//dog", "empty folder"),
        ("..", "full stop"),
        (".", "full stop"),
        ("../dog", "full stop"),
        ("pets/../dog", "full stop"),
        (".dog", "full stop"),
        ("dog.", "full stop"),
        ("pets./dog", "full stop"),
        ("dog.safetensors", "extension"),
        ("pets/dog.PT", "extension"),
        ("dog.bin", "extension"),
        ("CON", "device"),
        ("pets/nul", "device"),
        ("aux.v2", "device"),
        ("com1/dog", "device"),
    ],
)
def test_bad_names(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as error:
        trigger(name)
    assert repr(name) in str(error.value)
    assert "as in 'my_dog'" in str(error.value)


@pytest.mark.parametrize(
    "name", ["500", "nan", "NaN", "inf", "-inf", "infinity", "1e3", "1_000", "0.5", "-1"]
)
def test_names_that_a_prompt_reads_as_a_weight(name: str) -> None:
    with pytest.raises(ValueError, match="weight"):
        check_embedding_name(name)
    check_embedding_name(f"dti/{name}")


@settings(deadline=None, derandomize=True)
@given(st.text(alphabet="aeinfNAN019._-+/ ,:()[<\\\n\u00fc\u72ac\u3000\u00a0\u0660\u2028", max_size=8))
def test_accepted_names_survive_a_prompt(name: str) -> None:
    try:
        check_embedding_name(name)
    except ValueError:
        return
    # What cuts a name or a weight in the host's tokenizer.
    assert not re.search(r"[\s<>\[\]():,\\]", name)
    with pytest.raises(ValueError, match="could not convert"):
        float(name)
