"""Draw a scan of film with its infrared channel: dyes that hardly absorb infrared, dust that does, and noise.

Light through film is multiplied by every layer, so all is drawn as optical density (base 10). A dye adds the picture to
red, green and blue, and a small share of it to infrared (crosstalk); dust on the film adds to all four. Silver absorbs
infrared as it does light, and so does most of the cyan dye of Kodachrome: there infrared shows the picture.

Source of the ranges: contrast and noise of infrared on a Coolscan 5000 and a Plustek 8200i, measured in
https://github.com/marcinz606/NegPy/pull/715; film dyes in infrared, A. Edgar, US patent 5,266,805 (1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, Plane
from redust.synthesis.line_shapes import draw_short_hairs
from redust.synthesis.painting import Canvas, Coverage, blur_coverage, fractal_noise, smooth_noise
from redust.synthesis.spot_shapes import draw_dust

_FULL = 65535.0
_BASE = 0.006  # light that the densest part of a negative lets through: white in its positive
_EDGES = 24  # straight edges of a scene
_LENS = 0.7  # sigma in pixels of the scanner's lens in light
_INFRARED_LENS = 1.0  # the same in infrared, which is less in focus
_VISIBLE = 0.06  # density of dust from which a pixel counts as damaged


class FilmStock(StrEnum):
    """What the picture is made of."""

    dyes = "dyes"
    kodachrome = "kodachrome"
    silver = "silver"


#: Share of the density of red, green and blue that infrared gets too.
_CROSSTALK = {
    FilmStock.dyes: (0.08, 0.01, 0.0),
    FilmStock.kodachrome: (0.55, 0.12, 0.05),
    FilmStock.silver: (0.0, 0.95, 0.0),
}


@dataclass(frozen=True, eq=False)
class InfraredFrame:
    """A scan with its infrared channel, and where it is damaged.

    Parameters
    ----------
    pixels : (H, W, 3) uint16
    infrared : (H, W) uint16
    damage : (H, W) bool
    clean : (H, W, 3) uint16
        The scan without dust.
    """

    pixels: Pixels
    infrared: Plane
    damage: Mask
    clean: Pixels


@dataclass(frozen=True)
class InfraredScanner:
    """How a scanner records infrared.

    Parameters
    ----------
    noise
        Standard deviation of infrared density: 0.02 on a Coolscan, 0.002 on others.
    contrast
        Density in infrared as a share of what it should be: about 0.8 on a Coolscan, 0.1 on a Plustek.
    shift : (rows, columns)
        By how many pixels infrared lies lower and further right than light.
    gamma
        Of the encoding of light; infrared is linear.
    inverted
        Whether light is that of a negative turned into a positive: dust is bright.
    """

    noise: float = 0.02
    contrast: float = 0.8
    shift: tuple[float, float] = (0.0, 0.0)
    gamma: float = 1.0
    inverted: bool = False


def draw_infrared_frame(
    canvas: Canvas, scanner: InfraredScanner | None = None, *, stock: FilmStock = FilmStock.dyes, seed: int = 0
) -> InfraredFrame:
    """Draw one frame of film as scanned.

    Parameters
    ----------
    canvas : (height, width)
    scanner
        Aligned, linear and fairly noisy unless given.
    stock
        What the picture is made of.
    seed
        Decides everything random.
    """
    scanner, rng = scanner or InfraredScanner(), np.random.default_rng(seed)
    picture = _draw_picture(canvas, rng, grey=stock is FilmStock.silver)
    dust = _draw_dust_density(canvas, rng)
    infrared = np.float32(scanner.contrast) * (picture @ np.array(_CROSSTALK[stock], np.float32) + dust) + 0.1
    light = blur_coverage(dust, _LENS)[..., None] + cv2.GaussianBlur(picture, (0, 0), _LENS)
    light_noise = (0.004 * rng.standard_normal(light.shape)).astype(np.float32)
    return InfraredFrame(
        _encode_light(np.asarray(light + light_noise), scanner),
        _encode_infrared(infrared, scanner, rng),
        blur_coverage(dust, _LENS) >= _VISIBLE,
        _encode_light(np.asarray(cv2.GaussianBlur(picture, (0, 0), _LENS) + light_noise), scanner),
    )


def _draw_picture(canvas: Canvas, rng: np.random.Generator, *, grey: bool) -> NDArray[np.float32]:
    """Density of a scene and of its grain, (H, W, 3): gradients, texture and straight edges."""
    planes = []
    common = fractal_noise(canvas, 0.3 * min(canvas), rng)
    for _ in range(1 if grey else 3):
        plane = 0.8 + 0.25 * common + 0.2 * fractal_noise(canvas, 0.2 * min(canvas), rng)
        planes.append(plane + 0.03 * rng.standard_normal(canvas))
    picture = np.stack(planes * (3 if grey else 1), axis=2).astype(np.float32)
    rows, columns = np.mgrid[: canvas[0], : canvas[1]].astype(np.float32)
    for _ in range(_EDGES):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(0, max(canvas))
        inside = rows * np.cos(angle) + columns * np.sin(angle) > offset
        step = rng.normal(0, 0.15, 1 if grey else 3)
        picture += inside[..., None] * step.astype(np.float32)
    texture = np.clip(smooth_noise(canvas, 0.25 * min(canvas), rng), 0, None) * smooth_noise(canvas, 3, rng)
    return np.clip(picture + 0.12 * texture[..., None], 0.05, 2.2).astype(np.float32)


def _draw_dust_density(canvas: Canvas, rng: np.random.Generator) -> Coverage:
    """Density of specks and fibres, some of them translucent, 0..2."""
    coverage = np.maximum(draw_dust(canvas, 1.0, rng), draw_short_hairs(canvas, 0.7, rng))
    depth = np.clip(0.9 + 0.5 * smooth_noise(canvas, 40, rng), 0.35, 1.8)
    return np.asarray(coverage * depth, np.float32)


def _encode_light(density: NDArray[np.float32], scanner: InfraredScanner) -> Pixels:
    light = np.power(10.0, -density / scanner.gamma)
    if scanner.inverted:
        light = _BASE / np.maximum(np.power(10.0, -density), _BASE)
    return np.asarray(np.rint(np.clip(light, 0, 1) * _FULL), np.uint16)


def _encode_infrared(density: NDArray[np.float32], scanner: InfraredScanner, rng: np.random.Generator) -> Plane:
    """Infrared light, moved, blurred and with noise."""
    move = np.array([[1, 0, scanner.shift[1]], [0, 1, scanner.shift[0]]])
    moved = cv2.warpAffine(density, move, density.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    blurred = cv2.GaussianBlur(moved, (0, 0), _INFRARED_LENS)
    noisy = blurred + scanner.noise * rng.standard_normal(density.shape)
    return np.rint(np.clip(np.power(10.0, -noisy), 0, 1) * _FULL).astype(np.uint16)
