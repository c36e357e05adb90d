"""Run any generator over a scan of any size: tiles with a halo, borders repeated, depth and channels converted.

The answer does not depend on the tile size. Nothing is composited here: the caller decides where the change is large
enough to count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from redust.core.arrays import DamageMap, Light, Pixels, check_pixels, from_light, three_channels, to_light
from redust.core.engines import Generator
from redust.core.errors import EngineError
from redust.core.tiles import Tile, window
from redust.core.tiling import check_answer, count_tiles, plan_tiles, run_tiled


def run_generator(
    generator: Generator,
    pixels: Pixels,
    *,
    damage: DamageMap | None = None,
    tile: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Pixels, DamageMap]:
    """Restore a whole scan with a generator.

    Parameters
    ----------
    generator
        Any generator; its needs are provided for.
    pixels : (H, W, C) uint8, uint16 or float32
        Not changed.
    damage : (H, W) float32 in 0..1, optional
        A detector's damage map; required if the generator's needs have `attention`, ignored if not.
    tile
        Side of a tile's core in pixels; the generator's own choice unless given.
    progress
        Called with the share done, 0..1, after each tile.

    Returns
    -------
    restored : (H, W, C), dtype of `pixels`
        The raw answer, everywhere.
    change : (H, W) float32 in 0..1
        By how much light it differs from the scan, in the channel where it differs most.

    Raises
    ------
    EngineError
        If the generator fails or breaks its contract, or needs a damage map and gets none.
    """
    check_pixels(pixels)
    needs = generator.spec.needs
    if needs.attention and damage is None:
        raise EngineError(
            f"The generator {generator.spec.name} needs a damage map. Detect first, and pass it as `damage`."
        )
    attention = damage if needs.attention else None
    plan = plan_tiles((pixels.shape[0], pixels.shape[1]), needs, tile)
    restored, change = np.empty_like(pixels), np.empty(pixels.shape[:2], np.float32)

    def read_window(tile: Tile) -> Light:
        return _read_window(pixels, attention, tile)

    def compute_change(light: Light) -> Light:
        return _compute_change(generator, light)

    for core, difference in run_tiled(plan, read_window, compute_change, count_tiles(len(plan), progress)):
        np.clip(np.abs(difference).max(axis=2), 0.0, 1.0, out=change[core.core])
        restored[core.core] = _add_light(pixels[core.core], difference)
    return restored, change


def _read_window(pixels: Pixels, damage: DamageMap | None, tile: Tile) -> Light:
    """The light of a window, (h, w, C), or with its damage map as one more channel, (h, w, C + 1)."""
    light = to_light(np.nan_to_num(window(pixels, tile), posinf=1.0, neginf=0.0))
    return light if damage is None else np.concatenate([light, to_light(window(damage, tile))[..., None]], axis=2)


def _add_light(pixels: Pixels, difference: Light) -> Pixels:
    """Pixels changed by a difference of light: float keeps what lies outside 0..1."""
    if pixels.dtype == np.float32:
        return np.asarray(np.nan_to_num(pixels) + difference, np.float32)
    return from_light(to_light(pixels) + difference, pixels.dtype)


def _compute_change(generator: Generator, window_light: Light) -> Light:
    """The generator's answer less the light, in its channel count: grey is repeated and the answer averaged."""
    needs = generator.spec.needs
    count = window_light.shape[2] - needs.attention
    light, damage = window_light[..., :count], window_light[..., count:]
    if count in needs.channels:
        restored = _generate(generator, light, damage)
    elif count == 1:
        restored = _generate(generator, three_channels(light), damage).mean(axis=2, keepdims=True)
    else:
        planes = [_generate(generator, light[..., index, None], damage) for index in range(count)]
        restored = np.concatenate(planes, axis=2)
    return np.asarray(restored - light, np.float32)


def _generate(generator: Generator, light: Light, damage: Light) -> Light:
    """The generator's answer, checked; `damage` has one channel, or none."""
    model_input = np.concatenate([light, damage], axis=2)
    model_input.flags.writeable = False
    return check_answer("generator", generator.spec.name, generator.generate(model_input), light.shape)
