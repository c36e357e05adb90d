"""Runs a fill on a scan: regions with context, in parallel, composited.

The engine only computes. Here its needs are met, what it returns is checked, and
:func:`redust.core.composite.composite` alone writes the result.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from redust.core.arrays import Mask, Pixels, check_mask, check_pixels
from redust.core.composite import composite
from redust.core.engines import Inpainter
from redust.core.errors import EngineError, MaskMismatch
from redust.core.tiles import mirrored, round_up, tiles
from redust.inpainters.regions import Region, coarse, regions
from redust.inpainters.wide import core_of, doubled, halved, wide_windows

# Regions handed to a thread at a time: one speck is too little work to be worth the hand-over.
_BATCH = 16
_CORE_TILE = 512
_LEAST_CONTEXT = 2  # a region must hold something sound, whatever its engine asks for


def fill_damage(
    inpainter: Inpainter,
    pixels: Pixels,
    mask: Mask,
    *,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Pixels:
    """Fill the masked pixels of a scan.

    Parameters
    ----------
    inpainter
        The engine; see :func:`redust.inpainters.make_inpainter`.
    pixels : (H, W, C) uint8, uint16 or float32
        Not changed. What lies under the mask has no influence; float pixels that are not finite are
        taken as damaged too, but only filled where masked.
    mask : (H, W) bool
        True where to fill.
    threads
        How many regions are filled at once; all cores unless given. The result does not depend on it.
    progress
        Called with the share done, 0..1, in the calling thread.

    Returns
    -------
    filled : (H, W, C), dtype of `pixels`
        A new array; outside the mask it is identical to `pixels`.

    Raises
    ------
    TypeError, ValueError
        If `pixels` or `mask` are not what they should be.
    MaskMismatch
        If the mask leaves no sound pixel.
    EngineError
        If the engine does not take this depth, or breaks its contract.
    """
    check_pixels(pixels)
    check_mask(mask, pixels.shape[:2])
    _check_depth(inpainter, pixels)
    filled = pixels.copy()
    if not mask.any():
        return filled
    hole = _damaged(pixels, mask)
    if hole.all():
        raise MaskMismatch("The mask leaves no sound pixel to fill from. Use a higher level, or another mask.")
    # Regions are small: several threads inside one wait for each other longer than they compute.
    with threadpool_limits(1, user_api="blas"):
        _fill(inpainter, filled, mask, hole, _workers(inpainter, threads), progress or _unheard)
    return filled


def _unheard(_: float) -> None:
    """Nobody asked for progress."""


def _fill(
    inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask, workers: int, progress: Callable[[float], None]
) -> None:
    """Fill `mask` in place; `hole`, all that is damaged, holds at least the mask and not all pixels."""
    needs = replace(inpainter.needs, context=max(inpainter.needs.context, _LEAST_CONTEXT))
    core = core_of(hole, needs.context)
    if core.any():
        wanted = mask & core
        for window, own in wide_windows(core, needs.context):
            inner = np.zeros_like(wanted[window])
            inner[own] = wanted[window][own]
            _fill_core(inpainter, filled[window], inner, hole[window], workers)
        mask, hole = mask & ~core, hole & ~wanted
    done, total = 0, max(int(np.count_nonzero(mask)), 1)

    def work(batch: list[Region]) -> int:
        for region in batch:
            patch = fill_region(inpainter, filled[region.window], hole[region.window])
            composite(filled, patch, region.target, (region.top, region.left))
        return sum(int(np.count_nonzero(region.target)) for region in batch)

    for count in _in_parallel(work, _batches(regions(mask, needs)), workers):
        done += count
        progress(done / total)


def _fill_core(inpainter: Inpainter, filled: Pixels, core: Mask, hole: Mask, workers: int) -> None:
    """Fill what lies too deep in a hole for the engine to see sound pixels, by way of half the size."""
    half, half_hole = halved(filled, hole)
    wanted = cv2.dilate(coarse(core, 2), np.ones((3, 3), np.uint8)).astype(np.bool_)  # what interpolation looks at
    _fill(inpainter, half, wanted & half_hole, half_hole, workers, _unheard)
    for tile in tiles(core.shape, _CORE_TILE):
        if core[tile.core].any():
            composite(filled, doubled(half, tile.core), core[tile.core], (tile.row, tile.column))


def fill_region(inpainter: Inpainter, pixels: Pixels, hole: Mask) -> Pixels:
    """Fill one window: meet the engine's needs, call it, check what it returns.

    Parameters
    ----------
    inpainter
        The engine.
    pixels : (H, W, C) uint8, uint16 or float32
        A window of the scan. Not changed.
    hole : (H, W) bool
        True where `pixels` is damaged. At least one pixel is False.

    Returns
    -------
    filled : (H, W, C), dtype of `pixels`

    Raises
    ------
    EngineError
        If the engine returns another shape or depth, or values that are not finite.
    """
    height, width = hole.shape
    rows, columns = _padding(inpainter, height), _padding(inpainter, width)
    ground, damage = neutral(pixels, hole)[rows][:, columns], hole[rows][:, columns]
    channels = _as_taken(inpainter, ground)
    patches = [_checked(inpainter, part, inpainter.fill(part, damage)) for part in channels]
    patch = patches[0] if len(patches) == 1 else np.concatenate(patches, axis=2)
    return patch[:height, :width, : pixels.shape[2]]


def neutral(pixels: Pixels, hole: Mask) -> Pixels:
    """A copy of `pixels` with the mean of the sound ones under `hole`: nothing of the damage is left."""
    clean = pixels.copy()
    clean[hole] = pixels[~hole].mean(axis=0, dtype=np.float64).astype(pixels.dtype)
    return clean


def _damaged(pixels: Pixels, mask: Mask) -> Mask:
    """Where there is nothing to fill from: the mask, and float pixels that are not finite."""
    return mask if pixels.dtype != np.float32 else mask | ~np.isfinite(pixels).all(axis=2)


def _check_depth(inpainter: Inpainter, pixels: Pixels) -> None:
    depth = pixels.dtype.name
    if depth not in inpainter.needs.depths:
        raise EngineError(
            f"The fill `{inpainter.name}` takes {', '.join(inpainter.needs.depths)}, this scan is {depth}. "
            "Choose another fill: nothing is converted in silence."
        )


def _padding(inpainter: Inpainter, length: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices that lengthen a side to what the engine needs, mirrored at its end."""
    needs = inpainter.needs
    return mirrored(0, round_up(max(length, needs.minimum), needs.multiple_of), length)


def _as_taken(inpainter: Inpainter, pixels: Pixels) -> list[Pixels]:
    """The window in the channel counts the engine takes: as it is, grey repeated, or each channel alone."""
    taken, count = inpainter.needs.channels, pixels.shape[2]
    if count in taken:
        return [pixels]
    if count == 1:
        return [np.repeat(pixels, 3, axis=2)]
    return [np.ascontiguousarray(pixels[..., channel, None]) for channel in range(count)]


def _checked(inpainter: Inpainter, given: Pixels, filled: Pixels) -> Pixels:
    """What the engine returned, if it kept its contract."""
    good = isinstance(filled, np.ndarray) and filled.shape == given.shape and filled.dtype == given.dtype
    if not good or not np.isfinite(filled).all():
        raise EngineError(
            f"The fill `{inpainter.name}` broke its contract: expected finite {given.dtype} of {given.shape}. "
            "Choose another fill, and tell its author."
        )
    return filled


def _workers(inpainter: Inpainter, threads: int | None) -> int:
    """As many threads as asked for, else as the process may use; one for an engine that bears no more."""
    if not inpainter.needs.threadsafe:
        return 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads or allowed


def _batches(found: Iterable[Region]) -> Iterator[list[Region]]:
    rest = iter(found)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _in_parallel(work: Callable[[list[Region]], int], batches: Iterator[list[Region]], workers: int) -> Iterator[int]:
    """Run `work` on each batch, results in order, few batches waiting: a mask of a million specks takes no memory."""
    with ThreadPoolExecutor(workers, thread_name_prefix="fill") as pool:
        waiting: deque[Future[int]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(work, batch))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
