"""Run any generator over a scan of any size: tiles with a halo, borders repeated, depth and channels converted.

The answer does not depend on the tile size. Nothing is composited here: the caller decides where the change is large
enough to be meant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from redust.core.arrays import DamageMap, Light, Pixels, check_pixels, from_light, three_channels, to_light
from redust.core.engines import Generator
from redust.core.errors import EngineError
from redust.core.tiles import Tile, round_up, tiles, window

_DEFAULT_TILE = 1024


def run_generator(
    generator: Generator,
    pixels: Pixels,
    *,
    damage: DamageMap | None = None,
    tile: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Pixels, DamageMap]:
    """Let a generator restore a whole scan.

    Parameters
    ----------
    generator
        Any generator; its `needs` are provided for.
    pixels : (H, W, C) uint8, uint16 or float32
        Not changed.
    damage : (H, W) float32 in 0..1, optional
        What a detector says; needed if `generator.needs.attention`, not looked at if not.
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
        If the generator fails or breaks its contract, or wants a damage map and gets none.
    """
    check_pixels(pixels)
    if generator.needs.attention and damage is None:
        raise EngineError(f"The generator {generator.name} wants a damage map. Detect first, and give it `damage`.")
    restored = np.empty_like(pixels)
    change = np.empty(pixels.shape[:2], np.float32)
    cut = list(_cut((pixels.shape[0], pixels.shape[1]), tile or generator.needs.per_tile or _DEFAULT_TILE, generator))
    for number, one in enumerate(cut, start=1):
        light = to_light(np.nan_to_num(window(pixels, one), posinf=1.0, neginf=0.0))
        seen = to_light(window(damage, one)) if damage is not None and generator.needs.attention else None
        off = (_answer(generator, light, seen) - light)[one.core_in_window]
        np.clip(np.abs(off).max(axis=2), 0.0, 1.0, out=change[one.core])
        restored[one.core] = _added(pixels[one.core], off)
        if progress:
            progress(number / len(cut))
    return restored, change


def _added(pixels: Pixels, off: Light) -> Pixels:
    """Pixels changed by light `off`: float keeps what lies outside 0..1."""
    if pixels.dtype == np.float32:
        return np.asarray(np.nan_to_num(pixels) + off, np.float32)
    return from_light(to_light(pixels) + off, pixels.dtype)


def _cut(shape: tuple[int, int], side: int, generator: Generator) -> list[Tile]:
    """Tiles whose windows are at least the generator's minimum."""
    needs = generator.needs
    least = round_up(needs.minimum, needs.multiple_of)
    side = max(side, needs.minimum - 2 * round_up(needs.context, needs.multiple_of))
    return [
        Tile(
            one.row, one.column, one.height, one.width, one.top, one.left,
            max(one.bottom, one.top + least), max(one.right, one.left + least),
        )
        for one in tiles(shape, side, halo=needs.context, multiple_of=needs.multiple_of)
    ]  # fmt: skip


def _answer(generator: Generator, light: Light, damage: DamageMap | None) -> Light:
    """The generator's answer in the channel count of `light`: grey is repeated and the answer averaged."""
    count, needs = light.shape[2], generator.needs
    if count in needs.channels:
        return _asked(generator, light, damage)
    if count == 1:
        grey: Light = _asked(generator, three_channels(light), damage).mean(axis=2, keepdims=True)
        return grey
    return np.concatenate([_asked(generator, light[..., one, None].copy(), damage) for one in range(count)], axis=2)


def _asked(generator: Generator, light: Light, damage: DamageMap | None) -> Light:
    """The generator's answer, checked: an engine that breaks its contract is named."""
    given = light if damage is None else np.concatenate([light, damage[..., None]], axis=2)
    given.flags.writeable = False
    found = generator.generate(given)
    good = isinstance(found, np.ndarray) and found.dtype == np.float32 and found.shape == light.shape
    if not good or not np.isfinite(found).all():
        raise EngineError(
            f"The generator {generator.name} broke its contract: expected finite float32 of {light.shape}. "
            "Report this to its author, or choose another."
        )
    clipped: Light = np.clip(found, 0.0, 1.0)
    return clipped
