"""A file's fingerprint: another where the file is another, the same where it is not, and never by reading it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dti_core.files.file_kind import fingerprint


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dog.safetensors"
    path.write_bytes(b"vectors")
    os.utime(path, ns=(0, 10**18))
    return path


def test_an_unchanged_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(file)
    monkeypatch.setattr(Path, "open", lambda *args: pytest.fail("was read"))
    assert fingerprint(file) == before


@pytest.mark.parametrize(("content", "time"), [(b"vectors, more", 10**18), (b"Vectors", 10**18 + 10**9)])
def test_a_changed_file_is_seen(file: Path, content: bytes, time: int) -> None:
    before = fingerprint(file)
    file.write_bytes(content)
    os.utime(file, ns=(0, time))
    assert fingerprint(file) != before
