"""Draws a Scene: uint8 images [SIZE, SIZE, 3], the same for the same scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from .backdrops import Picture, backdrop, blend, rgb
from .scenes import COLOURS, MEDIA, SIZE, SIZES, TEXTURES, TINTS, Look, Scene, Thing
from .shapes import TOP, parts

Mask = npt.NDArray[np.float32]
_OVER = 3  # supersampling of outlines
_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 0.5
_INK = (22, 20, 26)
COMPANION_RADIUS = 16.0  # pixels


def _mask(shape: str, x: float, y: float, radius: float, turn: float = 0.0) -> Mask:
    """Coverage [SIZE, SIZE] of a shape at a place, turned by `turn` radians."""
    image = Image.new("L", (SIZE * _OVER, SIZE * _OVER), 0)
    pen = ImageDraw.Draw(image)
    cos, sin = math.cos(turn) * radius, math.sin(turn) * radius
    for points, inside in parts(shape):
        placed = [((x + cos * u - sin * v) * _OVER, (y + sin * u + cos * v) * _OVER) for u, v in points]
        pen.polygon(placed, fill=255 * inside)
    return np.asarray(image.reduce(_OVER), np.float32) / 255.0


def _polygon(points: list[tuple[float, float]]) -> Mask:
    image = Image.new("L", (SIZE * _OVER, SIZE * _OVER), 0)
    ImageDraw.Draw(image).polygon([(x * _OVER, y * _OVER) for x, y in points], fill=255)
    return np.asarray(image.reduce(_OVER), np.float32) / 255.0


def _depth(mask: Mask) -> Mask:
    """Signed distance in pixels to the outline, positive inside."""
    solid = mask > 0.5
    return (distance_transform_edt(solid) - distance_transform_edt(~solid)).astype(np.float32)


def _pattern(texture: str, x: float, y: float, radius: float) -> Mask:
    """Where the second colour shows [SIZE, SIZE]. Coarse: a latent cell is 8 pixels."""
    u, v = _X - x, _Y - y
    if texture == "striped":
        period = max(20.0, 0.6 * radius)
        wave = np.abs((u + v) / math.sqrt(2) % period - period / 2)
        return np.clip(period / 4 - wave + 0.5, 0, 1)
    if texture == "dotted":
        step = max(19.0, 0.56 * radius)
        away = np.hypot((u + step / 2) % step - step / 2, (v + step / 2) % step - step / 2)
        return np.clip(0.32 * step - away + 0.5, 0, 1)
    if texture == "checkered":
        cell = max(13.0, 0.42 * radius)
        wave = np.sin(np.pi * u / cell) * np.sin(np.pi * v / cell)
        return np.clip(wave * cell / 2 + 0.5, 0, 1)
    if texture != "plain":
        raise ValueError(f"unknown texture {texture!r}; known: {', '.join(TEXTURES)}")
    return np.zeros_like(u)


def _paint(canvas: Picture, mask: Mask, fill: Picture, line: Picture, medium: str) -> Picture:
    """Lays a filled outline on the canvas in the manner of a medium."""
    if medium == "flat":
        return blend(canvas, mask, fill)
    depth = _depth(mask)
    if medium == "cartoon":
        canvas = blend(canvas, np.clip(depth + 4.2, 0, 1), rgb(_INK))
        return blend(canvas, np.clip(depth - 0.3, 0, 1), fill)
    rim = np.clip(2.2 - np.abs(depth), 0, 1)
    glow = 0.55 * np.exp(-np.maximum(np.abs(depth) - 1, 0) / 4.5)
    bright = np.clip(line * 0.85 + 0.25, 0, 1)
    return blend(blend(blend(canvas, mask, fill * 0.4), glow, bright), rim, bright)


def _hat(thing: Thing, x: float, y: float, radius: float) -> Mask:
    """Coverage [SIZE, SIZE] of the hat on a thing."""
    tx, ty = TOP.get(thing.shape, (0.0, -0.9))
    hx, hy = x + tx * radius, y + ty * radius + 1
    unit = min(max(radius, 30.0), 42.0)
    w, h = 0.32 * unit, 0.44 * unit
    tall = _polygon([(hx - w, hy), (hx - w, hy - h), (hx + w, hy - h), (hx + w, hy)])
    brim = [(hx - 1.8 * w, hy + 2), (hx - 1.8 * w, hy - 4), (hx + 1.8 * w, hy - 4), (hx + 1.8 * w, hy + 2)]
    return np.maximum(tall, _polygon(brim))


@dataclass(frozen=True)
class Layout:
    """Centre and radius of the thing in pixels, and the centres of its companions."""

    x: float
    y: float
    radius: float
    companions: tuple[tuple[float, float], ...]


def _layout(scene: Scene, rng: np.random.Generator) -> Layout:
    radius = SIZES[scene.size] * rng.uniform(0.97, 1.03)
    near = max(32.0, radius + 2)
    x, y = (SIZE / 2 + rng.uniform(-3, 3) for _ in range(2))
    hatted = scene.thing.marking == "hat"
    if scene.place == "left":
        x = near + rng.uniform(-2, 2)
    elif scene.place == "right":
        x = SIZE - near + rng.uniform(-2, 2)
    elif scene.place == "top":
        y = near + rng.uniform(0, 3) + 8 * hatted
    elif scene.place == "bottom":
        y = SIZE - near + rng.uniform(-3, 0)
    elif hatted:
        y += 4  # a large thing's hat would not fit else
    aside, drift = rng.uniform(-2, 2), rng.uniform(-12, 12)
    low = SIZE - 24 + aside if scene.place == "center" else SIZE / 2 + drift
    at = {
        "left": (20 + aside, low), "right": (SIZE - 20 + aside, low),
        "above": (SIZE / 2 + drift, 20 + aside), "below": (SIZE / 2 + drift, SIZE - 20 + aside),
    }  # fmt: skip
    other = {"left": "right", "right": "left", "above": "below", "below": "above"}
    if scene.companion == "none":
        companions: tuple[tuple[float, float], ...] = ()
    elif not scene.twice:
        companions = (at[scene.companion_side],)
    elif scene.place == "center":
        companions = at[scene.companion_side], at[other[scene.companion_side]]
    else:  # side by side along the free edge
        cx, cy = at[scene.companion_side]
        across = (0, 22) if scene.place in ("left", "right") else (22, 0)
        companions = (cx - across[0], cy - across[1]), (cx + across[0], cy + across[1])
    return Layout(x, y, radius, companions)


def cells_of_things(scene: Scene) -> npt.NDArray[np.bool_]:
    """The latent cells [SIZE / 8, SIZE / 8] on which the thing or its companion lies."""
    layout = _layout(scene, np.random.default_rng(scene.seed))
    cells = np.arange(4, SIZE, 8, dtype=np.float32)
    out = np.hypot(cells[None, :] - layout.x, cells[:, None] - layout.y) < layout.radius * 1.25
    for cx, cy in layout.companions:
        out |= np.hypot(cells[None, :] - cx, cells[:, None] - cy) < COMPANION_RADIUS + 4
    return out


def _finish(picture: Picture, look: Look) -> Picture:
    """Tint, then frame."""
    if look.tint != "none":
        if look.tint not in TINTS:
            raise ValueError(f"unknown tint {look.tint!r}; known: {', '.join(TINTS)}")
        grey = (picture @ np.asarray([0.3, 0.59, 0.11], np.float32))[..., None]
        picture = 0.06 * picture + 0.94 * grey
    if look.framed:
        edge = np.minimum(np.minimum(_X, SIZE - _X), np.minimum(_Y, SIZE - _Y))
        picture = blend(picture, np.clip(10.5 - edge, 0, 1), rgb(_INK))
        picture = blend(picture, np.clip(8.5 - edge, 0, 1), rgb((250, 248, 244)))
    return picture.astype(np.float32)


def draw(scene: Scene) -> npt.NDArray[np.uint8]:
    """The image of a scene: uint8 [SIZE, SIZE, 3]."""
    rng = np.random.default_rng(scene.seed)
    thing, look = scene.thing, scene.look
    if look.medium not in MEDIA:
        raise ValueError(f"unknown medium {look.medium!r}; known: {', '.join(MEDIA)}")
    layout = _layout(scene, rng)
    turn = rng.uniform(-0.07, 0.07)
    canvas = backdrop(scene.background, rng)
    if look.medium == "neon":
        canvas = canvas * 0.16
    for cx, cy in layout.companions:
        fill = rgb(COLOURS[scene.companion_colour])
        canvas = _paint(canvas, _mask(scene.companion, cx, cy, COMPANION_RADIUS), fill, fill, look.medium)
    mask = _mask(thing.shape, layout.x, layout.y, layout.radius, turn)
    line = rgb(COLOURS[thing.colour])
    fill = np.broadcast_to(line, (SIZE, SIZE, 3))
    if thing.texture != "plain":
        fill = blend(fill, _pattern(thing.texture, layout.x, layout.y, layout.radius), rgb(COLOURS[thing.second]))
    canvas = _paint(canvas, mask, fill, line, look.medium)
    if thing.marking == "hat":
        extra = rgb(COLOURS[thing.extra])
        hat = _hat(thing, layout.x, layout.y, layout.radius)
        canvas = _paint(canvas, hat, extra, extra, look.medium)
    return (np.clip(_finish(canvas, look), 0, 1) * 255 + 0.5).astype(np.uint8)
