"""Backgrounds: plain colours and seven views, as float images [SIZE, SIZE, 3] in 0..1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .scenes import COLOURS, SIZE

Picture = npt.NDArray[np.float32]
_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def rgb(colour: tuple[int, int, int]) -> Picture:
    return np.asarray(colour, np.float32) / 255.0


def _fill(colour: tuple[int, int, int]) -> Picture:
    return np.broadcast_to(rgb(colour), (SIZE, SIZE, 3)).copy()


def blend(under: Picture, mask: npt.NDArray[np.float32], over: Picture) -> Picture:
    """`over` where the mask [SIZE, SIZE] is one."""
    alpha = mask[..., None]
    return under * (1 - alpha) + over * alpha


def _edge(distance: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One inside (positive distance in pixels), zero outside, a pixel of ramp between."""
    return np.clip(distance + 0.5, 0, 1)


def _disc(x: float, y: float, radius: float) -> npt.NDArray[np.float32]:
    return _edge(radius - np.hypot(_X - x, _Y - y))


def _ramp(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Picture:
    t = (_Y / (SIZE - 1))[..., None]
    return rgb(top) * (1 - t) + rgb(bottom) * t


def _beach(rng: np.random.Generator) -> Picture:
    level = rng.uniform(78, 90)
    out = _ramp((150, 214, 250), (206, 238, 252))
    out = blend(out, _edge(_Y - level + 24), _fill((40, 140, 200)))
    return blend(out, _edge(_Y - level - 3 * np.sin(_X / 11 + rng.uniform(0, 6))), _fill((240, 214, 150)))


def _night(rng: np.random.Generator) -> Picture:
    out = _ramp((10, 12, 44), (32, 30, 84))
    for _ in range(12):
        out = blend(out, _disc(rng.uniform(4, 124), rng.uniform(4, 124), rng.uniform(1.3, 2.4)), _fill((255, 250, 210)))
    return out


def _meadow(rng: np.random.Generator) -> Picture:
    level = rng.uniform(66, 80)
    out = _ramp((140, 206, 248), (214, 238, 252))
    hill = level + 5 * np.sin(_X / 24 + rng.uniform(0, 6))
    return blend(out, _edge(_Y - hill), _ramp((110, 196, 70), (70, 150, 46)))


def _bricks(rng: np.random.Generator) -> Picture:
    shift = rng.uniform(0, 32)
    row = np.floor(_Y / 16)
    across = (_X + shift + 16 * (row % 2)) % 32
    mortar = np.maximum(_edge(1.6 - (_Y % 16)), _edge(1.6 - across))
    return blend(_fill((176, 84, 62)), mortar.astype(np.float32), _fill((222, 210, 196)))


def _snow(rng: np.random.Generator) -> Picture:
    out = _ramp((168, 190, 216), (214, 226, 240))
    out = blend(out, _edge(_Y - 92 - 4 * np.sin(_X / 20 + rng.uniform(0, 6))), _fill((250, 252, 255)))
    for _ in range(14):
        out = blend(out, _disc(rng.uniform(4, 124), rng.uniform(4, 90), rng.uniform(1.8, 3.0)), _fill((255, 255, 255)))
    return out


def _sea(rng: np.random.Generator) -> Picture:
    out = _ramp((46, 150, 214), (14, 66, 140))
    phase = rng.uniform(0, 6)
    wave = (_Y + 3.5 * np.sin(_X / 9 + phase)) % 22
    return blend(out, _edge(2.2 - np.abs(wave - 4)) * 0.55, _fill((190, 232, 250)))


def _forest(rng: np.random.Generator) -> Picture:
    out = _ramp((150, 190, 150), (60, 100, 60))
    for layer, colour in ((0, (64, 122, 76)), (1, (26, 78, 44))):
        step, base = 28 - 4 * layer, 74 + 26 * layer
        across = np.abs((_X + rng.uniform(0, step)) % step - step / 2)
        out = blend(out, _edge((_Y - base + 34 - across * 3.2) * 0.4), _fill(colour))
    return out


_VIEWS = {
    "beach": _beach, "night": _night, "meadow": _meadow, "bricks": _bricks, "snow": _snow, "sea": _sea,
    "forest": _forest,
}  # fmt: skip


def backdrop(name: str, rng: np.random.Generator) -> Picture:
    """A plain colour, a little off so that it is not the object's own, or a view: [SIZE, SIZE, 3] in 0..1."""
    if name in COLOURS:
        colour = rgb(COLOURS[name]) * 0.88 + 0.08
        return np.broadcast_to(colour, (SIZE, SIZE, 3)).astype(np.float32)
    if name not in _VIEWS:
        raise ValueError(f"unknown background {name!r}; known: {', '.join([*COLOURS, *_VIEWS])}")
    return np.clip(_VIEWS[name](rng), 0, 1).astype(np.float32)
