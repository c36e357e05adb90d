"""The pictures that a region classifier learns in place of a scan or photo: as people meet them elsewhere, and with
things of a scene that resemble damage.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TypeAlias

import cv2
import numpy as np

from redust.core.arrays import Light, Pixels, to_light
from redust.core.labels import Label, Truth
from redust.synthesis.negatives import NEGATIVES, NIGHT

Picture: TypeAlias = tuple[Pixels, Truth]

_CROP = 1700  # pixels: side of the part that is learnt as a negative
_PLAIN_SIDE = 800  # pixels: side of a plain scene
_PLAIN_LINES = ("court-lines", "wires", "window-bars", "lettering")


def vary_picture(picture: Picture, name: str) -> Iterator[Picture]:
    """A scan as it is, shrunk as on a web page, and a part of it inverted; the same for the same name."""
    yield picture
    eight_bit = _to_eight_bit(picture[0]), picture[1]
    yield shrink_picture(eight_bit, _generator_of(name + "web"))
    yield invert_picture(eight_bit, _generator_of(name + "inv"))


def keep_picture(picture: Picture, name: str) -> Iterator[Picture]:  # noqa: ARG001  # as the others
    """A scan as it is."""
    yield picture


def _generator_of(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def add_hard_negatives(picture: Picture, name: str) -> Iterator[Picture]:
    """An undamaged photo as it is, with things of a scene that resemble damage, and such things on plain ground.

    The plain ground is the photo blurred, by night with stars, crossed by lines, and with crisp lamps. The same for
    the same name.
    """
    yield picture
    generator = _generator_of(name)
    light = np.array(to_light(picture[0]))
    light = np.repeat(light, 3, axis=2) if light.shape[2] == 1 else light
    plain = _blur(light[:_PLAIN_SIDE, :_PLAIN_SIDE], generator.uniform(10, 60))
    for kind in generator.choice(sorted(NEGATIVES), int(generator.integers(2, 5)), replace=False):
        NEGATIVES[kind](light, generator)
    yield _develop(light, generator)
    for draw in (_draw_night, _draw_lines, draw_lamps):
        scene = plain.copy()
        draw(scene, generator)
        yield _develop(_blur(scene, generator.uniform(0.3, 1.2)), generator)


def _blur(light: Light, sigma: float) -> Light:
    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32)


def _develop(light: Light, generator: np.random.Generator) -> Picture:
    """Light (H, W, 3) with grain in 8 bits, sometimes in black and white, and its empty truth."""
    grain = _blur(generator.standard_normal(light.shape, np.float32), 0.6)
    if generator.random() < 0.3:
        light, grain = (np.repeat(plane[..., 1:2], 3, axis=2) for plane in (light, grain))
    noisy = np.clip(light + np.float32(generator.uniform(0, 0.05)) * grain, 0, 1)
    return np.round(noisy * 255).astype(np.uint8), np.zeros(light.shape[:2], np.uint8)


def _draw_night(light: Light, generator: np.random.Generator) -> None:
    light *= np.float32(generator.uniform(0.05, 0.5))
    for kind in generator.choice(NIGHT, int(generator.integers(1, 3)), p=(0.4, 0.4, 0.2)):
        NEGATIVES[kind](light, generator)


def _draw_lines(light: Light, generator: np.random.Generator) -> None:
    for kind in generator.choice(_PLAIN_LINES, 2, replace=False):
        NEGATIVES[kind](light, generator)
    height, width = light.shape[:2]
    for _ in range(int(generator.integers(1, 6))):
        first, second = ((int(generator.integers(width)), int(generator.integers(height))) for _ in range(2))
        low, high = (0.7, 1.0) if generator.random() < 0.7 else (0.0, 0.3)
        colour, thickness = tuple(generator.uniform(low, high, 3).tolist()), int(generator.integers(1, 9))
        if generator.random() < 0.6:
            cv2.line(light, first, second, colour, thickness, cv2.LINE_AA)
        else:  # a circle of a court, or an arc of it
            axes = int(generator.integers(20, width // 2)), int(generator.integers(20, height // 2))
            cv2.ellipse(light, first, axes, 0, 0, int(generator.choice([180, 360])), colour, thickness, cv2.LINE_AA)


def draw_lamps(light: Light, generator: np.random.Generator) -> None:
    """Crisp lamps on light (H, W, 3), in place: bright discs of one size, often in a row."""
    light *= np.float32(generator.uniform(0.1, 1.0))
    count, radius = int(generator.integers(5, 60)), generator.uniform(1.2, 9)
    height, width = light.shape[:2]
    in_a_row = np.full(count, generator.uniform(0.25, 0.75) * height) + generator.uniform(-6, 6, count)
    rows = generator.uniform(0, height, count) if generator.random() < 0.5 else in_a_row
    colour = np.array([1.0, generator.uniform(0.8, 1), generator.uniform(0.5, 1)])
    for row, column in zip(rows, generator.uniform(0, width, count), strict=True):
        centre, reach = (round(column * 16), round(row * 16)), round(radius * generator.uniform(0.7, 1.3) * 16)
        shade = tuple((colour * generator.uniform(0.8, 1)).tolist())
        cv2.circle(light, centre, reach, shade, -1, cv2.LINE_AA, 4)


def _to_eight_bit(pixels: Pixels) -> Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    eight_bit: Pixels = np.clip(to_light(pixels) * 255 + 0.5, 0, 255).astype(np.uint8)
    return eight_bit


def shrink_picture(picture: Picture, generator: np.random.Generator) -> Picture:
    """A scan as on a web page: shrunk by 1.5 to 3, sharpened, JPEG; marks that vanish are ignored."""
    pixels, truth = picture
    factor = generator.uniform(1.5, 3.0)
    size = max(1, int(pixels.shape[1] / factor)), max(1, int(pixels.shape[0] / factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), generator.uniform(0.7, 1.2))
    sharp = np.clip(small + generator.uniform(0, 1.2) * (small - blurred), 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(80, 95))]
    _, encoded = cv2.imencode(".jpg", sharp[..., ::-1] if sharp.ndim == 3 else sharp, quality)
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))
    web = np.ascontiguousarray(decoded[..., ::-1] if decoded.ndim == 3 else decoded[..., None])
    return web, _shrink_truth(truth, size)


def _shrink_truth(truth: Truth, size: tuple[int, int]) -> Truth:
    damage, ignored = (
        cv2.resize((truth == label).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for label in (Label.damage, Label.ignore)
    )
    small = np.where(damage >= 0.3, Label.damage, np.where(ignored > 0.3, Label.ignore, Label.background))
    around = cv2.dilate((small == Label.damage).astype(np.uint8), np.ones((5, 5), np.uint8))
    vanished = cv2.dilate(((damage > 0) & (around == 0)).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(vanished > 0, Label.ignore, small).astype(np.uint8)


def invert_picture(picture: Picture, generator: np.random.Generator) -> Picture:
    """A part of a scan as its negative, with another gamma."""
    pixels, truth = picture
    top, left = (int(generator.integers(0, max(1, length - _CROP + 1))) for length in truth.shape)
    window = slice(top, top + _CROP), slice(left, left + _CROP)
    steps = (255 * (np.arange(256) / 255.0) ** generator.uniform(0.8, 1.25)).astype(np.uint8)
    negative: Pixels = steps[255 - pixels[window]]
    return negative, np.ascontiguousarray(truth[window])
