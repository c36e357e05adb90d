"""Augmentation of a picture together with its mask.

Geometry is one affine sampling of both, so they cannot drift apart; changes of light concern the picture alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from redust.core.arrays import LUMA, Light, Pixels, three_channels, to_light
from redust.core.labels import Label, Truth
from redust.core.settings import TTA_COUNTS
from redust.core.tiles import Tile, window
from redust.training.config import Augmentation

Centre = tuple[float, float]
Affine = NDArray[np.float64]
UPRIGHT: Affine = np.eye(2)
DIHEDRAL_COUNT = max(TTA_COUNTS)
_RARE = 0.15
_QUANTILES = 2**16


@dataclass(frozen=True)
class Strength:
    """The bounds of an augmentation.

    Parameters
    ----------
    rotations
        Angles in degrees, either way; half of the patches get none.
    brightness, gamma
        Largest shift of light in 0..1, and largest change of gamma in octaves.
    noise, blur
        Largest standard deviations, in light and in pixels.
    jpeg_quality
        The lowest; 100 never compresses.
    """

    rotations: tuple[float, ...] = ()
    brightness: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    jpeg_quality: int = 100


STRENGTHS = {
    Augmentation.none: None,
    Augmentation.flips: Strength(),
    Augmentation.tone: Strength(brightness=0.05, gamma=0.3),
    Augmentation.full: Strength((10.0, 15.0, 20.0), 0.1, 0.5, 0.03, 0.7, 60),
}


def choose_centre(
    truth: Truth, patch: int, foreground: float, rng: np.random.Generator, *, shift: bool = False
) -> Centre:
    """Choose the centre (row, column) of a patch.

    Parameters
    ----------
    truth : (H, W) uint8
    patch
        Side in pixels. Along an axis shorter than it, the patch begins with the picture, as a tile does, and
        repeats its border beyond it.
    foreground : 0..1
        Probability to centre it near a damaged pixel, if there is one.
    shift
        Along such a short axis, let the patch begin anywhere before the picture instead.
    """
    target: list[float | None] = [None, None]
    if foreground and rng.random() < foreground:
        damaged = np.flatnonzero(truth == Label.damage)
        if damaged.size:
            pixel = np.unravel_index(int(rng.choice(damaged)), truth.shape)
            target = [float(coordinate) + rng.uniform(-patch / 4, patch / 4) for coordinate in pixel]
    first = [
        _choose_start(length - patch, patch, centre, shift, rng)
        for length, centre in zip(truth.shape, target, strict=True)
    ]
    return first[0] + (patch - 1) / 2, first[1] + (patch - 1) / 2


def _choose_start(room: int, patch: int, centre: float | None, shift: bool, rng: np.random.Generator) -> int:
    """The first pixel of a patch along one axis: a whole number, so that an upright patch is copied exactly."""
    if room <= 0:
        return int(rng.integers(room, 1)) if shift else 0
    return int(rng.integers(room + 1)) if centre is None else int(np.clip(round(centre - patch / 2), 0, room))


def choose_rotation(rotations: tuple[float, ...], rng: np.random.Generator) -> Affine:
    """A rotation with flips, (2, 2): from offsets in the patch to offsets in the picture, both (x, y)."""
    angle, flip = 90.0 * int(rng.integers(4)), float(rng.choice((-1.0, 1.0)))
    if rotations and rng.random() < 0.5:
        angle += float(rng.choice(rotations)) * float(rng.choice((-1.0, 1.0)))
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    # Quarter turns exactly: 6e-17 instead of 0 would blur by interpolation.
    return np.array([[cosine * flip, -sine], [sine * flip, cosine]]).round(12)


def choose_window(
    truth: Truth, patch: int, foreground: float, augment: Augmentation, rng: np.random.Generator
) -> tuple[Centre, Affine]:
    """Centre and rotation of a patch: see :func:`choose_centre` and :func:`choose_rotation`."""
    strength = STRENGTHS[augment]
    centre = choose_centre(truth, patch, foreground, rng, shift=strength is not None)
    return centre, choose_rotation(strength.rotations, rng) if strength else UPRIGHT


def crop_patch(pixels: Pixels, truth: Truth, centre: Centre, rotation: Affine, patch: int) -> tuple[Pixels, Truth]:
    """Sample a rotated patch from a picture and its mask.

    Parameters
    ----------
    pixels : (H, W, C)
    truth : (H, W) uint8
    centre : (row, column)
    rotation : (2, 2)
        See :func:`choose_rotation`.

    Returns
    -------
    pixels, truth : (patch, patch, C) and (patch, patch)
        Sampled linearly and by the nearest pixel; beyond the border both repeat it.
    """
    reach = int(np.ceil(patch * np.abs(rotation).sum(axis=1).max() / 2)) + 2
    top, left = int(centre[0]) - reach, int(centre[1]) - reach
    side = 2 * reach + 1
    tile = Tile(0, 0, side, side, top, left, top + side, left + side)
    middle = (patch - 1) / 2
    offset = np.array([centre[1] - left, centre[0] - top]) - rotation @ np.array([middle, middle])
    matrix = np.column_stack([rotation, offset])
    size, inverse = (patch, patch), cv2.WARP_INVERSE_MAP
    rotated = cv2.warpAffine(np.ascontiguousarray(window(pixels, tile)), matrix, size, flags=cv2.INTER_LINEAR | inverse)
    mask = cv2.warpAffine(np.ascontiguousarray(window(truth, tile)), matrix, size, flags=cv2.INTER_NEAREST | inverse)
    return rotated.reshape(patch, patch, -1), mask.astype(np.uint8, copy=False)


def augment_light(light: Light, augment: Augmentation, grey_share: float, rng: np.random.Generator) -> Light:
    """Change colour, tone, noise, sharpness and compression of a patch (H, W, 3) in 0..1; a new array."""
    strength = STRENGTHS[augment]
    if strength is None:
        return light
    if grey_share and rng.random() < grey_share:
        light = remove_colour(light, rng)
    light = light ** np.float32(2.0 ** rng.uniform(-strength.gamma, strength.gamma))
    light = light + np.float32(rng.uniform(-strength.brightness, strength.brightness))
    if strength.blur and rng.random() < _RARE:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.2, strength.blur)).astype(np.float32, copy=False)
    if strength.noise and rng.random() < 0.5:
        deviation = np.float32(rng.uniform(0, strength.noise))
        light = light + deviation * _draw_normal(light.shape, rng)
    light = np.clip(light, 0.0, 1.0)
    if strength.jpeg_quality < 100 and rng.random() < _RARE:
        light = compress_jpeg(light, int(rng.integers(strength.jpeg_quality, 101)))
    return light


def remove_colour(light: Light, rng: np.random.Generator) -> Light:
    """A patch (H, W, 3) in black-and-white, as films differ in spectral sensitivity: luma or a single channel."""
    weights = LUMA if rng.random() < 0.5 else np.eye(3, dtype=np.float32)[rng.integers(3)]
    return three_channels((light @ weights)[..., None])


def _draw_normal(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Normally distributed to 4.3 deviations, from a table: five times as fast as NumPy's own."""
    numbers = rng.integers(0, _QUANTILES, shape, dtype=np.uint16)
    drawn: NDArray[np.float32] = _normal_quantiles().take(numbers)
    return drawn


@cache
def _normal_quantiles() -> NDArray[np.float32]:
    shares = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    quantiles: NDArray[np.float32] = torch.special.ndtri(shares).float().numpy()
    return quantiles


def compress_jpeg(light: Light, quality: int) -> Light:
    """`light` (H, W, 3) in 0..1 after JPEG compression of this quality, 1..100."""
    _, code = cv2.imencode(
        ".jpg", np.rint(light[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None
    return to_light(decoded[..., ::-1])


def apply_dihedral(planes: Tensor, index: int) -> Tensor:
    """One of the eight D4 transforms of square planes (..., H, H): quarter turns; from index 4 on mirrored as well."""
    quarters = torch.rot90(planes, index % 4, (-2, -1))
    return quarters.flip(-1) if index >= 4 else quarters


def invert_dihedral(planes: Tensor, index: int) -> Tensor:
    """The inverse of :func:`apply_dihedral`."""
    return torch.rot90(planes.flip(-1) if index >= 4 else planes, -(index % 4), (-2, -1))
