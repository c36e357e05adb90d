"""Run any detector over a scan of any size: tiles with a halo, borders repeated, depth and channels converted.

Memory is bounded by the tile; a detector that also looks at half the size (:mod:`redust.detectors.multiscale`) needs an
eighth of a damage map besides. The answer does not depend on the tile size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np

from redust.core.arrays import LUMA, DamageMap, Light, Pixels, check_pixels, to_light
from redust.core.engines import Detector, Needs
from redust.core.errors import EngineError
from redust.core.tiles import Place, Tile, round_up, tiles, window
from redust.detectors.multiscale import (
    CoarseLogits,
    Logits,
    average_scales,
    clipped_logits,
    downscaled_shape,
    downscaled_tile_side,
    downscaled_window,
)

_DEFAULT_TILE = 1024


def detect_damage(
    detector: Detector,
    pixels: Pixels,
    *,
    tile: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> DamageMap:
    """Find the damage of a whole scan.

    Parameters
    ----------
    detector
        Any detector; its `needs` are provided for.
    pixels : (H, W, C) uint8, uint16 or float32
    tile
        Side of a tile's core in pixels; the detector's own choice unless given.
    progress
        Called with the share done, 0..1, after each tile.

    Returns
    -------
    damage : (H, W) float32 in 0..1

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    """
    check_pixels(pixels)
    damage = np.empty(pixels.shape[:2], np.float32)
    for place, found in iter_damage_tiles(detector, pixels, tile=tile, progress=progress):
        damage[place] = found
    return damage


def iter_damage_tiles(
    detector: Detector,
    pixels: Pixels,
    *,
    tile: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[tuple[Place, DamageMap]]:
    """Find the damage of a whole scan without holding the map, which takes more memory than an 8-bit scan.

    Parameters
    ----------
    detector, pixels, tile, progress
        As for :func:`detect_damage`.

    Yields
    ------
    place : (rows, columns)
        The places cover each pixel once.
    damage : (h, w) float32 in 0..1
        The map's values there.

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    """
    check_pixels(pixels)
    shape, needs = (pixels.shape[0], pixels.shape[1]), detector.needs
    shrunk = {
        factor: _cut(downscaled_shape(shape, factor), downscaled_tile_side(tile), needs)
        for factor in needs.scales
        if factor > 1
    }
    cut = _cut(shape, tile or needs.per_tile or _DEFAULT_TILE, needs)
    told = _counted(len(cut) + sum(map(len, shrunk.values())), progress)
    coarse = [
        CoarseLogits(factor, needs.weight_of(factor), _coarse(detector, pixels, factor, part, told))
        for factor, part in shrunk.items()
    ]
    for one in cut:
        found = _on_core(detector, to_light(window(pixels, one)), one)
        yield one.core, average_scales(found, one, coarse) if coarse else found
        told()


def predict_patch(detector: Detector, pixels: Pixels) -> DamageMap:
    """What a detector says of a small part of a scan by itself: at full size only, in one piece, nothing around it.

    Parameters, answer and errors are those of :func:`detect_damage`.
    """
    needs = replace(detector.needs, context=0)
    (one,) = _cut((pixels.shape[0], pixels.shape[1]), max(pixels.shape[:2]), needs)
    return _on_core(detector, to_light(window(pixels, one)), one)


def _coarse(detector: Detector, pixels: Pixels, factor: int, cut: list[Tile], told: Callable[[], None]) -> Logits:
    """The logits of a whole scan shrunk by `factor`, in half precision: a 1 / (2 factor^2) of a damage map's memory."""
    found = np.empty(downscaled_shape((pixels.shape[0], pixels.shape[1]), factor), np.float16)
    for one in cut:
        found[one.core] = clipped_logits(_on_core(detector, downscaled_window(pixels, one, factor), one))
        told()
    return found


def _counted(total: int, progress: Callable[[float], None] | None) -> Callable[[], None]:
    """A function to call after each of `total` pieces of work."""
    numbers = count(1)
    return lambda: progress(next(numbers) / total) if progress else None


def _cut(shape: tuple[int, int], side: int, needs: Needs) -> list[Tile]:
    """Tiles whose windows are at least the detector's minimum."""
    halo = needs.context
    side = max(side, needs.minimum - 2 * round_up(halo, needs.multiple_of))
    cut = list(tiles(shape, side, halo=halo, multiple_of=needs.multiple_of))
    return [_enlarged(one, needs) for one in cut]


def _enlarged(tile: Tile, needs: Needs) -> Tile:
    """Let a window reach farther down and right until it has the detector's minimum size."""
    least = round_up(needs.minimum, needs.multiple_of)
    bottom, right = max(tile.bottom, tile.top + least), max(tile.right, tile.left + least)
    return Tile(tile.row, tile.column, tile.height, tile.width, tile.top, tile.left, bottom, right)


def match_channels(light: Light, needs: Needs) -> Light:
    """Light (H, W, C) with a channel count the engine takes: luma of colour, grey repeated."""
    channels = light.shape[2]
    if channels in needs.channels:
        return light
    if channels == 3:
        grey: Light = (light @ LUMA)[..., None]
        return grey
    return np.repeat(light, 3, axis=2)


def _on_core(detector: Detector, light: Light, tile: Tile) -> DamageMap:
    """What the detector says of a tile's core, given the light of its window."""
    return _asked(detector, match_channels(light, detector.needs))[tile.core_in_window]


def _asked(detector: Detector, light: Light) -> DamageMap:
    """The detector's answer, checked: an engine that breaks its contract is named."""
    light.flags.writeable = False
    found = detector.detect(light)
    good = isinstance(found, np.ndarray) and found.dtype == np.float32 and found.shape == light.shape[:2]
    if not good or not np.isfinite(found).all():
        raise EngineError(
            f"The detector {detector.name} broke its contract: expected finite float32 of {light.shape[:2]}. "
            "Report this to its author, or choose another detector."
        )
    return np.clip(found, 0.0, 1.0)
