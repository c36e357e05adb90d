"""The array types of ReDust. The dtype carries the meaning.

=============  =======================  =======================================================
name           array                    meaning
=============  =======================  =======================================================
``Pixels``     (H, W, C) uint8, uint16  light as scanned; C is 1 (grey) or 3 (R, G, B)
               or float32
``Light``      (H, W, C) float32, 0..1  pixels of one tile on a common scale, for engines
``DamageMap``  (H, W) float32, 0..1     an opinion: how likely each pixel is damaged
``Mask``       (H, W) bool              a decision: True = repair here
``Plane``      (H, W), dtype of pixels  one more channel that travels along (alpha, infrared)
=============  =======================  =======================================================
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]
Plane: TypeAlias = NDArray[Any]
Light: TypeAlias = NDArray[np.float32]
DamageMap: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

PIXEL_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))

#: How much red, green and blue count towards the luma of colour (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def check_pixels(pixels: Pixels) -> None:
    """Refuse an array that is not pixels.

    Raises
    ------
    TypeError
        If the dtype is not uint8, uint16 or float32.
    ValueError
        If the shape is not (H, W, 1) or (H, W, 3), or an axis is empty.
    """
    if pixels.dtype not in PIXEL_DTYPES:
        raise TypeError(f"pixels must be uint8, uint16 or float32, not {pixels.dtype}")
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(f"pixels must have shape (H, W, 1) or (H, W, 3), not {pixels.shape}")


def check_mask(mask: Mask, shape: tuple[int, int]) -> None:
    """Refuse an array that is not a mask of `shape` (height, width).

    Raises
    ------
    TypeError
        If the dtype is not bool: an opinion or a 0/255 picture is no decision.
    ValueError
        If the size differs.
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"a mask must be bool, not {mask.dtype}; compare with a level first")
    if mask.shape != shape:
        raise ValueError(f"the mask is {mask.shape}, the pixels are {shape} (height, width)")


def check_damage(damage: DamageMap, shape: tuple[int, int]) -> None:
    """Refuse an array that is not a damage map of `shape` (height, width).

    Raises
    ------
    TypeError
        If the dtype is not float32.
    ValueError
        If the size differs or a value is NaN or outside 0..1.
    """
    if damage.dtype != np.float32:
        raise TypeError(f"a damage map must be float32, not {damage.dtype}")
    if damage.shape != shape:
        raise ValueError(f"the damage map is {damage.shape}, the pixels are {shape} (height, width)")
    low, high = float(damage.min()), float(damage.max())
    if not (low >= 0.0 and high <= 1.0):  # NaN fails both comparisons
        raise ValueError(f"a damage map must lie in 0..1, this one spans {low} to {high}")


def full_scale(dtype: np.dtype[Any]) -> float:
    """The value that means full light: 255, 65535, or 1.0 for float32."""
    return 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)


def to_light(pixels: Pixels) -> Light:
    """Put pixels on the common scale.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        Float pixels are taken as 0..1; what lies outside is clipped in the copy.

    Returns
    -------
    light : (H, W, C) float32 in 0..1
        Always a new array.
    """
    if pixels.dtype == np.float32:
        return np.clip(pixels, 0.0, 1.0)
    return np.multiply(pixels, np.float32(1.0 / full_scale(pixels.dtype)), dtype=np.float32)


def from_light(light: Light, dtype: np.dtype[Any]) -> Pixels:
    """Put light (H, W, C) in 0..1 on the scale of `dtype`, rounding to the nearest step."""
    if dtype == np.float32:
        return light.astype(np.float32, copy=True)
    scale = full_scale(dtype)
    pixels: Pixels = np.rint(np.clip(light, 0.0, 1.0) * np.float32(scale)).astype(dtype)
    return pixels


def three_channels(light: Light) -> Light:
    """Grey (H, W, 1) repeated to (H, W, 3); three channels as they are."""
    return np.repeat(light, 3, axis=2) if light.shape[2] == 1 else light
