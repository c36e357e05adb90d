"""Varying a picture and its mask together.

Geometry is one affine sampling of both, so they cannot drift apart; light changes the picture alone.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from redust.core.arrays import LUMA, Light, Pixels, three_channels, to_light
from redust.core.labels import Label, Truth
from redust.core.tiles import Tile, window
from redust.training.config import AugmentConfig

Centre = tuple[float, float]
Affine = NDArray[np.float64]
UPRIGHT: Affine = np.eye(2)
_RARELY = 0.15
_QUANTILES = 2**16


def choose_centre(truth: Truth, patch: int, focus: float, rng: np.random.Generator, *, shift: bool = False) -> Centre:
    """Where a patch is laid, as (row, column) of its centre.

    Parameters
    ----------
    truth : (H, W) uint8
    patch
        Side in pixels. Along an axis shorter than it, the patch begins with the picture, as a tile does, and
        repeats its border beyond it.
    focus : 0..1
        Probability to lay it over a damaged pixel, if there is one.
    shift
        Along such a short axis, let the patch begin anywhere before the picture instead.
    """
    wanted: list[float | None] = [None, None]
    if focus and rng.random() < focus:
        damaged = np.flatnonzero(truth == Label.damage)
        if damaged.size:
            spot = np.unravel_index(int(rng.choice(damaged)), truth.shape)
            wanted = [float(place) + rng.uniform(-patch / 4, patch / 4) for place in spot]
    first = [
        _first(length - patch, patch, place, shift, rng) for length, place in zip(truth.shape, wanted, strict=True)
    ]
    return first[0] + (patch - 1) / 2, first[1] + (patch - 1) / 2


def _first(room: int, patch: int, wanted: float | None, shift: bool, rng: np.random.Generator) -> int:
    """Where the patch begins along one axis: on a whole pixel, so that an upright one is copied exactly."""
    if room <= 0:
        return int(rng.integers(room, 1)) if shift else 0
    return int(rng.integers(room + 1)) if wanted is None else int(np.clip(round(wanted - patch / 2), 0, room))


def choose_turn(config: AugmentConfig, rng: np.random.Generator) -> Affine:
    """A rotation with flips, (2, 2): from offsets in the patch to offsets in the picture, both (x, y)."""
    angle, flip = 0.0, 1.0
    if config.flips:
        angle, flip = 90.0 * int(rng.integers(4)), float(rng.choice((-1.0, 1.0)))
    if config.rotations and rng.random() < 0.5:
        angle += float(rng.choice(config.rotations)) * float(rng.choice((-1.0, 1.0)))
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    # Quarter turns exactly: 6e-17 instead of 0 would blur by interpolation.
    return np.array([[cosine * flip, -sine], [sine * flip, cosine]]).round(12)


def choose_place(
    truth: Truth, patch: int, focus: float, config: AugmentConfig, rng: np.random.Generator
) -> tuple[Centre, Affine]:
    """Where a patch is laid and how it is turned: see :func:`choose_centre` and :func:`choose_turn`."""
    centre = choose_centre(truth, patch, focus, rng, shift=config.augment)
    return centre, choose_turn(config, rng) if config.augment else UPRIGHT


def cut(pixels: Pixels, truth: Truth, centre: Centre, turn: Affine, patch: int) -> tuple[Pixels, Truth]:
    """Cut a turned patch out of a picture and its mask.

    Parameters
    ----------
    pixels : (H, W, C)
    truth : (H, W) uint8
    centre : (row, column)
    turn : (2, 2)
        See :func:`choose_turn`.

    Returns
    -------
    pixels, truth : (patch, patch, C) and (patch, patch)
        Sampled linearly and by the nearest pixel; beyond the border both repeat it.
    """
    reach = int(np.ceil(patch * np.abs(turn).sum(axis=1).max() / 2)) + 2
    top, left = int(centre[0]) - reach, int(centre[1]) - reach
    side = 2 * reach + 1
    tile = Tile(0, 0, side, side, top, left, top + side, left + side)
    middle = (patch - 1) / 2
    offset = np.array([centre[1] - left, centre[0] - top]) - turn @ np.array([middle, middle])
    matrix = np.column_stack([turn, offset])
    size, inverse = (patch, patch), cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(np.ascontiguousarray(window(pixels, tile)), matrix, size, flags=cv2.INTER_LINEAR | inverse)
    mask = cv2.warpAffine(np.ascontiguousarray(window(truth, tile)), matrix, size, flags=cv2.INTER_NEAREST | inverse)
    return turned.reshape(patch, patch, -1), mask.astype(np.uint8, copy=False)


def vary_light(light: Light, config: AugmentConfig, rng: np.random.Generator) -> Light:
    """Change colour, brightness, tone, noise, sharpness and compression of a patch (H, W, 3) in 0..1; a new array."""
    if config.grey and rng.random() < config.grey:
        light = without_colours(light, rng)
    light = light ** np.float32(2.0 ** rng.uniform(-config.gamma, config.gamma))
    light = light + np.float32(rng.uniform(-config.brightness, config.brightness))
    if config.blur and rng.random() < _RARELY:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.2, max(0.2, config.blur))).astype(np.float32, copy=False)
    if config.noise and rng.random() < 0.5:
        deviation = np.float32(rng.uniform(0, config.noise))
        light = light + deviation * _normal(light.shape, rng)
    light = np.clip(light, 0.0, 1.0)
    if config.jpeg < 100 and rng.random() < _RARELY:
        light = through_jpeg(light, int(rng.integers(config.jpeg, 101)))
    return light


def without_colours(light: Light, rng: np.random.Generator) -> Light:
    """A patch (H, W, 3) in black-and-white, as films and plates differ in the colours they see: half of them luma, half
    the light of a single channel."""
    kept = LUMA if rng.random() < 0.5 else np.eye(3, dtype=np.float32)[rng.integers(3)]
    return three_channels((light @ kept)[..., None])


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Normally distributed to 4.3 deviations, looked up: five times as fast as NumPy's own."""
    numbers = rng.integers(0, _QUANTILES, shape, dtype=np.uint16)
    drawn: NDArray[np.float32] = _normal_quantiles().take(numbers)
    return drawn


@cache
def _normal_quantiles() -> NDArray[np.float32]:
    shares = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    quantiles: NDArray[np.float32] = torch.special.ndtri(shares).float().numpy()
    return quantiles


def through_jpeg(light: Light, quality: int) -> Light:
    """`light` (H, W, 3) in 0..1 as a JPEG of this quality, 1..100, gives it back."""
    _, code = cv2.imencode(
        ".jpg", np.rint(light[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None
    return to_light(decoded[..., ::-1])
