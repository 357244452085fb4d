"""A mouth: which shape each phone has, how shapes blend over time, and how a face with that mouth is drawn.

Lengths are in half-widths of the mouth at rest; x goes to the right and y down from its middle.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from phones import Phones

FPS, FRAMES, SIZE = 25, 75, 64  # Hz, frames and pixels of a clip
SECONDS = FRAMES / FPS

Value = float | np.ndarray


# --- from phones to shapes --------------------------------------------------------------------------------


class Shape(NamedTuple):
    """The mouth shape of a phone (numbers), or in all frames (arrays); from 0 to 1 unless stated otherwise."""

    opening: Value  # between the lips in the middle, a length
    width: Value  # half of the mouth, a length
    rounding: Value = 0.0  # lips pushed forward
    press: Value = 0.0  # lips drawn in
    teeth: Value = 0.0
    tongue: Value = 0.0
    strength: Value = 1.0  # against the neighbours' shapes, any positive number


SHAPES = {
    "": Shape(0.0, 1.0),
    "pbm": Shape(0.0, 0.97, press=1, strength=9),
    "fv": Shape(0.13, 1.0, press=0.6, teeth=1, strength=6),
    "θð": Shape(0.24, 1.0, teeth=0.6, tongue=1, strength=3),
    "sz": Shape(0.14, 1.1, teeth=1, tongue=0.1, strength=2),
    "tdn": Shape(0.2, 1.03, teeth=0.7, tongue=0.5),
    "l": Shape(0.34, 1.0, teeth=0.5, tongue=0.75, strength=1.5),
    "ʃʒ": Shape(0.26, 0.76, rounding=0.8, teeth=0.8, strength=4),
    "ɹ": Shape(0.18, 0.82, rounding=0.5, teeth=0.3, tongue=0.2, strength=2),
    "w": Shape(0.06, 0.58, rounding=1, strength=5),
    "kɡh": Shape(0.26, 1.0, teeth=0.3, tongue=0.2, strength=0.5),
    "uʊ": Shape(0.13, 0.64, rounding=1, strength=2),
    "oɔɒ": Shape(0.55, 0.74, rounding=0.8, tongue=0.15, strength=2),
    "iɪj": Shape(0.24, 1.18, teeth=0.8, tongue=0.35, strength=1.5),
    "eɛ": Shape(0.48, 1.1, teeth=0.6, tongue=0.3, strength=1.5),
    "aɑæ": Shape(0.9, 1.0, teeth=0.5, tongue=0.25, strength=2),
    "ʌəɐɜ": Shape(0.34, 0.98, teeth=0.3, tongue=0.25, strength=0.7),
}
SHAPE_OF = {symbol: shape for symbols, shape in SHAPES.items() for symbol in symbols or ("",)}


def timed_shapes(phones: Phones) -> list[tuple[float, Shape]]:
    """``(second, shape)``: the parts of a diphthong or an affricate share its time."""
    ends = [second for second, _ in phones[1:]] + [SECONDS]
    shapes = []
    for (start, phone), end in zip(phones, ends, strict=True):
        symbols = tuple(phone) or ("",)
        for number, symbol in enumerate(symbols):
            if symbol not in SHAPE_OF:
                raise ValueError(f"no mouth shape for the phone '{phone}'")
            shapes.append((start + (end - start) * number / len(symbols), SHAPE_OF[symbol]))
    return shapes


def mouth_track(phones: Phones, overlap: float) -> np.ndarray:
    """Return the mouth in each frame: the columns of ``Shape`` except ``strength``, ``[FRAMES, 6]``.

    Each is the mean of all shapes, weighted by their strength and closeness in time: Cohen and Massaro (1993),
    "Modeling coarticulation in synthetic visual speech". ``overlap``: seconds that one shape takes to give way.
    """
    shapes = timed_shapes(phones)
    starts = np.array([-SECONDS] + [second for second, _ in shapes[1:]])
    ends = np.append(starts[1:], 2 * SECONDS)
    table = np.array([shape for _, shape in shapes])  # [shapes, 7]
    times = (np.arange(FRAMES)[:, None] + 0.5) / FPS
    weights = np.tanh((times - starts) / overlap) - np.tanh((times - ends) / overlap)  # [FRAMES, shapes]
    weights *= table[:, -1]
    return (weights / weights.sum(axis=1, keepdims=True)) @ table[:, :-1]


# --- faces ------------------------------------------------------------------------------------------------


class Face(NamedTuple):
    """How a speaker looks and articulates; colors are RGB from 0 to 1."""

    skin: np.ndarray
    lips: np.ndarray
    upper: float  # thickness of the upper lip
    lower: float
    bow: float  # depth of the dip in the upper lip
    smile: float  # height of the corners
    scale: float  # pixels of a half-width
    place: tuple[float, float]  # of the mouth's middle, in pixels
    tilt: float  # radians
    light: tuple[float, float]  # from the right, from above
    beard: float  # 0 to 1
    energy: float  # of the opening
    overlap: float  # seconds, see mouth_track


def random_face(rng: np.random.Generator) -> Face:
    """Draw the looks and articulation of a speaker."""
    darkness, redness = rng.uniform(0, 1), rng.uniform(0.35, 0.9)
    skin = (1 - darkness) * np.array([0.95, 0.78, 0.68]) + darkness * np.array([0.42, 0.27, 0.2])
    thickness = rng.uniform(0.8, 1.3)
    return Face(
        skin=skin,
        lips=skin * (1 - redness * np.array([0.12, 0.45, 0.36])),
        upper=0.27 * thickness * rng.uniform(0.8, 1.1),
        lower=0.38 * thickness,
        bow=rng.uniform(0.12, 0.35),
        smile=rng.uniform(-0.04, 0.1),
        scale=rng.uniform(18, 23),
        place=(SIZE / 2 + rng.uniform(-3, 3), SIZE / 2 + rng.uniform(-6, 0)),
        tilt=math.radians(rng.uniform(-7, 7)),
        light=(rng.uniform(-0.14, 0.14), rng.uniform(0, 0.12)),
        beard=max(0.0, rng.uniform(-0.4, 0.4)),
        energy=rng.uniform(0.85, 1.2),
        overlap=rng.uniform(0.03, 0.045),
    )


# --- drawing ----------------------------------------------------------------------------------------------


class Canvas:
    """All frames of a clip: position ``x`` and ``y`` ``[FRAMES, SIZE, SIZE]`` of each pixel, and its color."""

    def __init__(self, face: Face, rng: np.random.Generator) -> None:
        self.scale = face.scale * rng.uniform(0.96, 1.04)
        tilt = face.tilt + drift(rng, 0.03)
        rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
        right, down = columns - face.place[0] - drift(rng, 1.0), rows - face.place[1] - drift(rng, 0.7)
        self.x = ((np.cos(tilt) * right + np.sin(tilt) * down) / self.scale).astype(np.float32)
        self.y = ((np.cos(tilt) * down - np.sin(tilt) * right) / self.scale).astype(np.float32)
        self.image = np.zeros((*self.x.shape, 3), np.float32)  # RGB from 0 to 1

    def below(self, curve: Value, blur: float = 1.0) -> np.ndarray:
        """Return how much of each pixel is below the curve y(x), 0 to 1; the edge is ``blur`` pixels wide."""
        return np.clip((self.y - curve) * (self.scale / blur) + 0.5, 0, 1)

    def between(self, top: Value, bottom: Value, blur: float = 1.0) -> np.ndarray:
        return np.maximum(self.below(top, blur) - self.below(bottom, blur), 0)

    def paint(self, coverage: np.ndarray, color: np.ndarray, shade: Value = 1.0) -> None:
        """Cover the image with ``color`` times ``shade``, to the extent of ``coverage`` (0 to 1)."""
        shaded = color.astype(np.float32) * np.asarray(shade, np.float32)[..., None]
        self.image += coverage[..., None] * (shaded - self.image)


class Lips(NamedTuple):
    """The curves y(x) of the lips in all frames; ``lower`` is the thickness of the lower lip at x."""

    outer_top: np.ndarray
    inner_top: np.ndarray
    middle: np.ndarray
    inner_bottom: np.ndarray
    outer_bottom: np.ndarray
    lower: np.ndarray


def drift(rng: np.random.Generator, size: float) -> np.ndarray:
    """Return a slow movement about a random place, both of about ``size``: ``[FRAMES, 1, 1]``."""
    hertz, phase = rng.uniform(0.1, 0.5, (3, 1)), rng.uniform(0, 1, (3, 1))
    waves = np.sin(2 * np.pi * (hertz * np.arange(FRAMES) / FPS + phase))
    return (size * (rng.uniform(-1, 1) + waves.mean(axis=0)))[:, None, None]


def bump(distance: np.ndarray, width: Value) -> np.ndarray:
    """Return 1 where ``distance`` is 0, falling to 0 on both sides."""
    return np.exp(-((distance / width) ** 2))


def draw(track: np.ndarray, face: Face, rng: np.random.Generator) -> np.ndarray:
    """Draw a face whose mouth follows ``track``: frames ``[FRAMES, SIZE, SIZE, 3]``, RGB, uint8."""
    mouth = Shape(*track.T.astype(np.float32)[:, :, None, None])
    mouth = mouth._replace(opening=0.05 + face.energy * rng.uniform(0.9, 1.1) * mouth.opening)
    canvas = Canvas(face, rng)
    lips = lip_curves(canvas, mouth, face)
    draw_skin(canvas, lips, face)
    draw_lips(canvas, lips, mouth, face)
    draw_inside(canvas, lips, mouth)
    return photograph(canvas.image, rng)


def lip_curves(canvas: Canvas, mouth: Shape, face: Face) -> Lips:
    """Return the lips: the lower one opens further than the upper one, and rounding turns a lens into an ellipse."""
    x = canvas.x
    middle = -(face.smile + 0.15 * (mouth.width - 1)) * x**2
    inner, outer = (np.maximum(1 - (x / half) ** 2, 0) for half in (mouth.width, mouth.width + 0.1))
    oval = 0.3 + 0.6 * mouth.rounding
    inner_arch, outer_arch = (mouth.opening * (arch + oval * (np.sqrt(arch) - arch)) for arch in (inner, outer))
    full = (1 + 0.35 * mouth.rounding) * (1 - 0.45 * mouth.press)
    upper = face.upper * full * (0.4 * outer + 0.6 * np.sqrt(outer)) * (1 - face.bow * bump(x, 0.16))
    lower = face.lower * full * (0.3 * outer + 0.7 * np.sqrt(outer))
    return Lips(
        outer_top=middle - 0.35 * outer_arch - upper,
        inner_top=middle - 0.35 * inner_arch,
        middle=middle,
        inner_bottom=middle + 0.65 * inner_arch,
        outer_bottom=middle + 0.65 * outer_arch + lower,
        lower=lower,
    )


def draw_skin(canvas: Canvas, lips: Lips, face: Face) -> None:
    """Draw light on a round face; folds, the philtrum, the shadows of nose and lip, a beard."""
    x, y = canvas.x, canvas.y
    chin = lips.outer_bottom.max(axis=(1, 2), keepdims=True)
    folds = bump(np.abs(x) - 1.2 - 0.3 * y, 0.12) * canvas.between(-0.9, 0.5, blur=8)
    philtrum = (bump(np.abs(x) - 0.16, 0.07) - bump(x, 0.09)) * canvas.between(-1.0, lips.outer_top, blur=4)
    shade = 1 + face.light[0] * x - face.light[1] * y - 0.08 * x**2 - 0.1 * folds + 0.07 * philtrum
    shade -= 0.35 * (1 - canvas.below(-1.15, blur=6)) * bump(x, 0.6)
    shade -= 0.2 * bump(y - chin - 0.16, 0.13) * bump(x, 0.6)
    canvas.paint(np.ones_like(x), face.skin, shade)
    hair = canvas.between(-1.0, lips.outer_top - 0.05, blur=5) + canvas.below(lips.outer_bottom + 0.08, blur=5)
    canvas.paint(face.beard * hair * bump(x, 1.3), 0.35 * face.skin)


def draw_lips(canvas: Canvas, lips: Lips, mouth: Shape, face: Face) -> None:
    """Draw the upper lip in its own shadow, the lower one with a highlight, both with fine lines."""
    x, y = canvas.x, canvas.y
    is_lower = canvas.below(lips.middle, blur=2)
    highlight = bump(y - lips.inner_bottom - 0.4 * lips.lower, 0.1) * bump(x - face.light[0], 0.45 * mouth.width)
    lines = np.sin(22 * x / mouth.width)
    shade = 0.82 + 0.18 * is_lower + 0.22 * is_lower * highlight + 0.03 * lines
    canvas.paint(canvas.between(lips.outer_top, lips.outer_bottom, blur=1.8), face.lips, shade)


def draw_inside(canvas: Canvas, lips: Lips, mouth: Shape) -> None:
    """Draw the dark between the lips, with the visible parts of the upper teeth, the tongue and the lower teeth."""
    x = canvas.x
    inside = canvas.between(lips.inner_top, lips.inner_bottom)
    light = 1 - 0.6 * np.minimum((x / mouth.width) ** 2, 1)
    enamel, teeth = np.array([0.88, 0.83, 0.75]), light - 0.15 * np.cos(np.pi * x / 0.2) ** 8
    tongue_top = lips.inner_bottom - (0.95 * mouth.tongue * mouth.opening + 0.05) * (1 - x**2 / 3) + 0.1 * x**2
    canvas.paint(inside, np.array([0.16, 0.05, 0.05]))
    canvas.paint(inside * (1 - canvas.below(lips.middle - 0.14 + 0.32 * mouth.teeth + 0.06 * x**2)), enamel, teeth)
    canvas.paint(inside * canvas.below(tongue_top, blur=2), np.array([0.72, 0.36, 0.36]), light)
    lower_teeth = canvas.below(lips.inner_bottom - 0.14 * mouth.teeth) * mouth.teeth * (1 - mouth.tongue)
    canvas.paint(inside * lower_teeth, enamel, 0.85 * teeth)


def photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the effects of a camera to ``image``: brightness, tint, blur and noise; return it as uint8."""
    image = image * (rng.uniform(0.75, 1.02) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
    blur = rng.uniform(0.02, 0.2)
    for lines in (image, image.swapaxes(1, 2)):
        lines[:, 1:-1] += blur * (lines[:, 2:] + lines[:, :-2] - 2 * lines[:, 1:-1])
    image += rng.uniform(0.004, 0.016) * rng.standard_normal(image.shape, np.float32)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
