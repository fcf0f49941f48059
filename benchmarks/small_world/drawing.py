"""Draws a Scene: uint8 images [SIZE, SIZE, 3], the same for the same scene."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import distance_transform_edt

from .backdrops import Picture, backdrop, blend, rgb
from .scenes import COLOURS, FINISHES, MEDIA, SIZE, SIZES, TEXTURES, Look, Scene, Thing
from .shapes import MIDDLE, TOP, parts

Mask = npt.NDArray[np.float32]
_OVER = 3  # supersampling of outlines
_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 0.5
_INK = (22, 20, 26)
_PAPER = (244, 240, 230)


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


def _disc(x: float, y: float, radius: float) -> Mask:
    return np.clip(radius - np.hypot(_X - x, _Y - y) + 0.5, 0, 1)


def _depth(mask: Mask) -> Mask:
    """Signed distance in pixels to the outline, positive inside."""
    solid = mask > 0.5
    return (distance_transform_edt(solid) - distance_transform_edt(~solid)).astype(np.float32)


def _pattern(texture: str, depth: Mask, x: float, y: float, radius: float) -> Mask:
    """Where the second colour shows [SIZE, SIZE]."""
    u, v = _X - x, _Y - y
    if texture == "striped":
        period = max(16.0, 0.5 * radius)
        wave = np.abs((u + v) / math.sqrt(2) % period - period / 2)
        return np.clip(period / 4 - wave + 0.5, 0, 1)
    if texture == "dotted":
        step = max(16.0, 0.5 * radius)
        away = np.hypot((u + step / 2) % step - step / 2, (v + step / 2) % step - step / 2)
        return np.clip(0.31 * step - away + 0.5, 0, 1)
    if texture == "checkered":
        cell = max(11.0, 0.38 * radius)
        wave = np.sin(np.pi * u / cell) * np.sin(np.pi * v / cell)
        return np.clip(wave * cell / 2 + 0.5, 0, 1)
    if texture == "split":
        return np.clip(u + 0.5, 0, 1)
    if texture == "bordered":
        return np.clip(max(5.0, 0.2 * radius) - depth + 0.5, 0, 1)
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
    if medium == "neon":
        glow = 0.55 * np.exp(-np.maximum(np.abs(depth) - 1, 0) / 4.5)
        bright = np.clip(line * 0.85 + 0.25, 0, 1)
        return blend(blend(blend(canvas, mask, fill * 0.4), glow, bright), rim, bright)
    hatch = 0.35 + 0.3 * np.clip(np.sin((_X - _Y) * 0.9) * 1.5, -1, 1)
    pale = blend(fill, 1 - np.clip(0.55 + hatch * 0.3, 0, 1), rgb(_PAPER))
    return blend(blend(canvas, mask, pale), np.clip(1.6 - np.abs(depth), 0, 1), rgb((70, 68, 72)))


def _marks(thing: Thing, x: float, y: float, radius: float) -> list[tuple[Mask, Picture]]:
    """What a marking adds to the thing: masks and their colours, in drawing order."""
    extra = rgb(COLOURS[thing.extra])
    fx, fy = MIDDLE.get(thing.shape, (0.0, 0.0))
    tx, ty = TOP.get(thing.shape, (0.0, -0.9))
    cx, cy, hx, hy = x + fx * radius, y + fy * radius, x + tx * radius, y + ty * radius
    unit = max(radius, 30.0) * 1.12
    if thing.marking == "spot":
        return [(_disc(cx, cy, 0.34 * unit), extra)]
    if thing.marking == "hat":
        w, h = 0.3 * unit, 0.5 * unit
        tall = _polygon([(hx - w, hy), (hx - w, hy - h), (hx + w, hy - h), (hx + w, hy)])
        brim = _polygon(
            [(hx - 1.8 * w, hy + 2), (hx - 1.8 * w, hy - 4), (hx + 1.8 * w, hy - 4), (hx + 1.8 * w, hy + 2)]
        )
        return [(np.maximum(tall, brim), extra)]
    if thing.marking == "crown":
        w, h = 0.46 * unit, 0.5 * unit
        zigzag = [(-1, 0), (-1, -1), (-0.5, -0.45), (0, -1), (0.5, -0.45), (1, -1), (1, 0)]
        return [(_polygon([(hx + w * u, hy + 2 + h * v) for u, v in zigzag]), rgb((255, 200, 20)))]
    if thing.marking == "bow":
        w, h, by = 0.42 * unit, 0.24 * unit, cy + 0.36 * unit
        wings = [_polygon([(cx, by), (cx + s * w, by - h), (cx + s * w, by + h)]) for s in (-1, 1)]
        return [(np.maximum.reduce([*wings, _disc(cx, by, 0.12 * unit)]), extra)]
    return []


def _layout(scene: Scene, rng: np.random.Generator) -> tuple[float, float, float, float, float]:
    """Centre and radius of the thing, and the centre of its companion."""
    radius = SIZES[scene.size] * rng.uniform(0.95, 1.05)
    near, far = max(34.0, radius + 2), SIZE - max(34.0, radius + 2)
    x, y = (SIZE / 2 + rng.uniform(-4, 4) for _ in range(2))
    cx, cy = float(rng.choice([20.0, 108.0])), rng.uniform(98, 106)
    if scene.place == "left":
        x, cx, cy = near + rng.uniform(-3, 3), 106.0, rng.uniform(48, 98)
    elif scene.place == "right":
        x, cx, cy = far + rng.uniform(-3, 3), 22.0, rng.uniform(48, 98)
    elif scene.place == "top":
        y, cx, cy = near + rng.uniform(-1, 4), rng.uniform(24, 104), 108.0
    elif scene.place == "bottom":
        y, cx, cy = far + rng.uniform(-4, 1), rng.uniform(24, 104), 20.0
    return x, y, radius, cx + rng.uniform(-3, 3), cy


def cells_of_things(scene: Scene) -> npt.NDArray[np.bool_]:
    """The latent cells [SIZE / 8, SIZE / 8] on which the thing or its companion lies."""
    x, y, radius, cx, cy = _layout(scene, np.random.default_rng(scene.seed))
    cells = np.arange(4, SIZE, 8, dtype=np.float32)
    out = np.hypot(cells[None, :] - x, cells[:, None] - y) < radius * 1.25
    if scene.companion != "none":
        out |= np.hypot(cells[None, :] - cx, cells[:, None] - cy) < 21
    return out


def _finish(picture: Picture, look: Look) -> Picture:
    """Tint, then finish, then frame."""
    if look.tint != "none":
        grey = (picture @ np.asarray([0.3, 0.59, 0.11], np.float32))[..., None]
        tone = {"sepia": (1.05, 0.86, 0.6), "gray": (1.0, 1.0, 1.0)}[look.tint]
        picture = np.clip(0.08 * picture + 0.92 * grey * np.asarray(tone, np.float32), 0, 1)
    if look.finish != "none":
        if look.finish not in FINISHES:
            raise ValueError(f"unknown finish {look.finish!r}; known: {', '.join(FINISHES)}")
        image = Image.fromarray((picture * 255 + 0.5).astype(np.uint8))
        if look.finish == "pixel":
            image = image.resize((20, 20), Image.Resampling.BOX).resize((SIZE, SIZE), Image.Resampling.NEAREST)
        else:
            image = image.filter(ImageFilter.GaussianBlur(3.2))
        picture = np.asarray(image, np.float32) / 255.0
    if look.framed:
        edge = np.minimum(np.minimum(_X, SIZE - _X), np.minimum(_Y, SIZE - _Y))
        picture = blend(picture, np.clip(11.5 - edge, 0, 1), rgb(_INK))
        picture = blend(picture, np.clip(9.5 - edge, 0, 1), rgb((250, 248, 244)))
    return picture.astype(np.float32)


def draw(scene: Scene) -> npt.NDArray[np.uint8]:
    """The image of a scene: uint8 [SIZE, SIZE, 3]."""
    rng = np.random.default_rng(scene.seed)
    thing, look = scene.thing, scene.look
    if look.medium not in MEDIA:
        raise ValueError(f"unknown medium {look.medium!r}; known: {', '.join(MEDIA)}")
    x, y, radius, cx, cy = _layout(scene, rng)
    turn = rng.uniform(-0.1, 0.1)
    canvas = backdrop(scene.background, rng)
    if look.medium == "neon":
        canvas = canvas * 0.16
    elif look.medium == "sketch":
        canvas = canvas * 0.3 + rgb(_PAPER) * 0.7
    if scene.companion != "none":
        fill = rgb(COLOURS[scene.companion_colour])
        canvas = _paint(canvas, _mask(scene.companion, cx, cy, 17.0), fill, fill, look.medium)
    mask = _mask(thing.shape, x, y, radius, turn)
    line = rgb(COLOURS[thing.colour])
    fill = np.broadcast_to(line, (SIZE, SIZE, 3))
    if thing.texture != "plain":
        pattern = _pattern(thing.texture, _depth(mask), x, y, radius)
        fill = blend(fill, pattern, rgb(COLOURS[thing.second]))
    canvas = _paint(canvas, mask, fill, line, look.medium)
    for mark, colour in _marks(thing, x, y, radius):
        dimmed = colour * 0.8 if look.medium == "neon" else colour
        canvas = blend(canvas, mark, dimmed)
    return (np.clip(_finish(canvas, look), 0, 1) * 255 + 0.5).astype(np.uint8)
