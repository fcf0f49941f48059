"""The page of host flags keeps what is not measured anew, and small angles have their digits."""

from __future__ import annotations

import pytest
import torch

from benchmarks.host_flags import angle, failure, written

PAGE = "# Flags\n\nWhat this is.\n"


def test_rows_are_renewed_and_others_stay() -> None:
    page = written(PAGE, "ComfyUI 1", ["text", "| `--a` | 1 |", "| `--b` | 1 |"])
    page = written(page, "ComfyUI 2", ["text", "| `--a` | 2 |"])
    page = written(page, "ComfyUI 1", ["new text", "| `--b` | 3 |", failure("--c", "refused:\n a|b")])
    first, second = page.split("\n## ")[1:]
    assert page.startswith(PAGE.strip()) and second == "ComfyUI 2\n\ntext\n| `--a` | 2 |\n"
    rows = ["| `--b` | 3 |", "| `--c` | - | - | - | refused: a/b |", "| `--a` | 1 |"]
    assert first.strip().splitlines() == ["ComfyUI 1", "", "new text", *rows]


def test_small_angles() -> None:
    x = torch.tensor([[1.0, 0.0]])
    for degrees in (1e-4, 3.0, 179.0):
        turn = torch.tensor(degrees, dtype=torch.float64).deg2rad()
        y = torch.stack([turn.cos(), turn.sin()])[None]
        assert angle({"clip_l": x, "clip_g": x}, {"clip_l": x, "clip_g": y}) == pytest.approx(degrees)
