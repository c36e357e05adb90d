"""Run any detector over a scan of any size: tiles with a halo, borders repeated, depth and channels converted.

Memory is bounded by the tile; a detector that also runs at half the size (:mod:`redust.detectors.multiscale`) needs an
eighth of a damage map besides. The answer does not depend on the tile size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from redust.core.arrays import LUMA, DamageMap, Light, Pixels, check_pixels
from redust.core.engines import Detector, Needs
from redust.core.errors import ScanError
from redust.core.tiles import Rectangle, Tile
from redust.core.tiling import check_answer, count_tiles, plan_tiles, read_light, run_tiled
from redust.detectors.multiscale import (
    CoarseLogits,
    Logits,
    average_scales,
    clipped_logits,
    downscaled_shape,
    downscaled_tile_side,
    downscaled_window,
)

ReadChannel: TypeAlias = Callable[[Tile], Light]


def detect_damage(
    detector: Detector,
    pixels: Pixels,
    *,
    tile: int | None = None,
    progress: Callable[[float], None] | None = None,
    infrared: ReadChannel | None = None,
) -> DamageMap:
    """Predict the damage map of a whole scan.

    Parameters
    ----------
    detector
        Any detector; its needs are provided for.
    pixels : (H, W, C) uint8, uint16 or float32
    tile
        Side of a tile's core in pixels; the detector's own choice unless given.
    progress
        Called with the share done, 0..1, after each tile.
    infrared
        Reads the channel, (h, w, 1) float32 in 0..1, of a tile's window for a detector that takes infrared.

    Returns
    -------
    damage : (H, W) float32 in 0..1

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    ScanError
        If it takes infrared and there is none.
    """
    return join_tiles(iter_damage_tiles(detector, pixels, tile=tile, progress=progress, infrared=infrared), pixels)


def join_tiles(tiles: Iterator[tuple[Rectangle, DamageMap]], pixels: Pixels) -> DamageMap:
    """One damage map (H, W) of the tiles of a scan."""
    damage = np.empty(pixels.shape[:2], np.float32)
    for rectangle, tile_map in tiles:
        damage[rectangle] = tile_map
    return damage


def iter_damage_tiles(
    detector: Detector,
    pixels: Pixels,
    *,
    tile: int | None = None,
    progress: Callable[[float], None] | None = None,
    infrared: ReadChannel | None = None,
) -> Iterator[tuple[Rectangle, DamageMap]]:
    """Predict the damage map of a scan tile by tile: the map takes more memory than an 8-bit scan.

    Parameters
    ----------
    detector, pixels, tile, progress, infrared
        As for :func:`detect_damage`.

    Yields
    ------
    rectangle : (rows, columns)
        The rectangles cover each pixel once.
    damage : (h, w) float32 in 0..1
        The map's values there.

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    ScanError
        If it takes infrared and there is none.
    """
    check_pixels(pixels)
    shape, needs = (pixels.shape[0], pixels.shape[1]), detector.spec.needs
    side = downscaled_tile_side(tile)
    coarse_plans = {
        factor: plan_tiles(downscaled_shape(shape, factor), needs, side) for factor in needs.scales if factor > 1
    }
    plan = plan_tiles(shape, needs, tile)
    report_tile = count_tiles(len(plan) + sum(map(len, coarse_plans.values())), progress)
    coarse = [
        CoarseLogits(
            factor, needs.weight_of(factor), _detect_coarse(detector, pixels, factor, coarse_plan, report_tile)
        )
        for factor, coarse_plan in coarse_plans.items()
    ]
    predict = partial(predict_window, detector)
    read_window = _window_reader(detector, pixels, infrared)
    for core, damage in run_tiled(plan, read_window, predict, report_tile):
        yield core.core, average_scales(damage, core, coarse) if coarse else damage


def _window_reader(detector: Detector, pixels: Pixels, infrared: ReadChannel | None) -> Callable[[Tile], Light]:
    """Reads the light of a tile's window, with the channel of infrared where the detector takes it."""
    if not detector.spec.needs.infrared:
        return partial(read_light, pixels)
    if infrared is None:
        raise ScanError(
            f"The detector {detector.spec.name} goes by infrared, and the scan has none. Name the file that holds it "
            "with --infrared FILE, or choose another detector."
        )
    return lambda tile: np.concatenate([read_light(pixels, tile), infrared(tile)], axis=2)


def predict_patch(detector: Detector, pixels: Pixels) -> DamageMap:
    """Predict the damage map of a small crop of a scan by itself: at full size only, in one piece, without a halo.

    Parameters, answer and errors are those of :func:`detect_damage`.
    """
    plan = plan_tiles(
        (pixels.shape[0], pixels.shape[1]), replace(detector.spec.needs, context=0), max(pixels.shape[:2])
    )
    ((_, damage),) = run_tiled(plan, partial(read_light, pixels), partial(predict_window, detector))
    return damage


def predict_window(detector: Detector, light: Light) -> DamageMap:
    """The damage map (h, w) of one window of light (h, w, C), checked and clipped to 0..1."""
    matched = match_channels(light, detector.spec.needs)
    matched.flags.writeable = False
    return check_answer("detector", detector.spec.name, detector.detect(matched), light.shape[:2])


def match_channels(light: Light, needs: Needs) -> Light:
    """Light (H, W, C) with a channel count the engine takes: luma of colour, grey repeated; infrared stays last."""
    if needs.infrared:
        return np.concatenate(
            [match_channels(light[..., :-1], replace(needs, infrared=False)), light[..., -1:]], axis=2
        )
    channels = light.shape[2]
    if channels in needs.channels:
        return light
    if channels == 3:
        grey: Light = (light @ LUMA)[..., None]
        return grey
    return np.repeat(light, 3, axis=2)


def _detect_coarse(
    detector: Detector, pixels: Pixels, factor: int, plan: list[Tile], report_tile: Callable[[], None]
) -> Logits:
    """The logits of a scan downscaled by `factor`, in half precision: 1 / (2 factor^2) of a damage map's memory."""
    logits = np.empty(downscaled_shape((pixels.shape[0], pixels.shape[1]), factor), np.float16)

    def read_window(tile: Tile) -> Light:
        return downscaled_window(pixels, tile, factor)

    for tile, damage in run_tiled(plan, read_window, partial(predict_window, detector), report_tile):
        logits[tile.core] = clipped_logits(damage)
    return logits
