"""How all figures of the pack look, drawn with matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
import numpy as np
import torch
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

# For names in other scripts: what Windows, macOS and Linux have. matplotlib brings the first.
FONTS = (
    "DejaVu Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Hiragino Sans", "PingFang SC", "Arial Unicode MS",
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Noto Sans Devanagari", "Noto Sans Thai",
)  # fmt: skip

PIXELS = (1024, 768)
DPI = 100
STYLE = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2.2,
    "lines.markersize": 9,
    "text.parse_math": False,
}


@contextmanager
def own_style() -> Iterator[None]:
    """Whatever style other packs have set is left out, and theirs again afterwards."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    style = {**STYLE, "font.family": [name for name in FONTS if name in installed]}
    with matplotlib.style.context(style, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # drawn as a box; the report has the name
        yield


def new_figure() -> Figure:
    """Of the size of all figures."""
    return Figure(figsize=(PIXELS[0] / DPI, PIXELS[1] / DPI), dpi=DPI)


def drawn(figure: Figure) -> Tensor:
    """The figure as an image `[H, W, 3]` float32 in [0, 1]."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., :3].astype(np.float32) / 255)
