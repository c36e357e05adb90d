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
from itertools import accumulate, islice

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from redust.core.arrays import Mask, Pixels, check_mask, check_pixels
from redust.core.composite import composite
from redust.core.engines import Inpainter, Needs
from redust.core.errors import EngineError, MaskMismatch
from redust.core.tiles import Place, bands, mirrored, round_up, tiles
from redust.inpainters.fill_windows import Region, coarse, regions
from redust.inpainters.grain import grained
from redust.inpainters.translucency import NEEDS, can_tell, recovered
from redust.inpainters.wide import core_within, doubled, halved, wide_windows

# Regions handed to a thread at a time: one speck is too little work to be worth the hand-over, and of many in one hand
# the other threads wait for the last.
_BATCH = 4
_CORE_TILE = 512
_FILL_TIME, _RECOVER_TIME, _GRAIN_TIME = 3, 1, 2  # roughly, as parts of each other
_LEAST_CONTEXT = 2  # a region must hold something sound, whatever its engine asks for


def fill_damage(
    inpainter: Inpainter,
    pixels: Pixels,
    mask: Mask,
    *,
    recover: bool = False,
    grain: float = 0.0,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Pixels:
    """Fill the masked pixels of a scan.

    Parameters
    ----------
    inpainter
        The engine; see :func:`redust.inpainters.make_inpainter`.
    pixels : (H, W, C) uint8, uint16 or float32
        Not changed. What lies under the mask has no influence, unless it is to be recovered; float pixels that are
        not finite are taken as damaged too, but only filled where masked.
    mask : (H, W) bool
        True where to fill.
    recover
        Put back what still shines through translucent damage; see :mod:`redust.inpainters.translucency`.
    grain : 0..1
        How much of the surroundings' grain what is filled gets; see :mod:`redust.inpainters.grain`.
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
        times = [_FILL_TIME, _RECOVER_TIME if recover else 0, _GRAIN_TIME if grain else 0]
        to_fill, to_recover, to_grain = _shared(progress or _unheard, times)
        _fill(inpainter, filled, mask, hole, _workers(inpainter, threads), to_fill)
        if recover:
            _recover(pixels, filled, mask, hole, threads or _cores(), to_recover)
        if grain:
            _add_grain(filled, mask, hole, grain, threads or _cores(), to_grain)
    return filled


def _unheard(_: float) -> None:
    """Nobody asked for progress."""


def _shared(progress: Callable[[float], None], times: list[int]) -> list[Callable[[float], None]]:
    """The progress of steps that follow each other, each of which tells 0..1, by how long they take."""
    whole, ends = sum(times), list(accumulate(times))

    def step(before: int, time: int) -> Callable[[float], None]:
        return lambda done: progress((before + time * done) / whole)

    return [step(end - time, time) for end, time in zip(ends, times, strict=True)]


def _fill(
    inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask, workers: int, progress: Callable[[float], None]
) -> None:
    """Fill `mask` in place; `hole`, all that is damaged, holds at least the mask and not all pixels."""
    mask, hole = _fill_cores(inpainter, filled, mask, hole, workers)

    def fill(region: Region) -> None:
        patch = fill_region(inpainter, filled[region.window], hole[region.window])
        composite(filled, patch, region.target, (region.top, region.left))

    _each_region(fill, mask, _needs(inpainter), workers, progress)


def _recover(
    pixels: Pixels, filled: Pixels, mask: Mask, hole: Mask, workers: int, progress: Callable[[float], None]
) -> None:
    """Put back what shines through, in place. Regions look at what was filled around: first all is told, then put."""
    told: list[tuple[Region, Pixels]] = []

    def tell(region: Region) -> None:
        if can_tell(region.target):
            window = region.window
            patch = recovered(pixels[window], filled[window], hole[window], region.target)
            # The pixels alone are kept: windows would take more memory than the scan.
            told.append((region, patch[region.target]))

    _each_region(tell, mask, NEEDS, workers, progress)
    for region, values in told:
        patch = np.empty_like(filled[region.window])
        patch[region.target] = values
        composite(filled, patch, region.target, (region.top, region.left))


def _add_grain(
    filled: Pixels, mask: Mask, hole: Mask, amount: float, workers: int, progress: Callable[[float], None]
) -> None:
    """Grain `mask` in place. A region looks at sound pixels and its own: others may be grained meanwhile."""

    def add(region: Region) -> None:
        composite(filled, grained(filled, hole, region, amount), region.target, (region.top, region.left))

    _each_region(add, mask, Needs(), workers, progress)


def _each_region(
    work: Callable[[Region], None], mask: Mask, needs: Needs, workers: int, progress: Callable[[float], None]
) -> None:
    """Do something with each region of a mask, in parallel, and tell the share of its pixels that are done."""
    done, total = 0, max(int(np.count_nonzero(mask)), 1)

    def whole(batch: list[Region]) -> int:
        for region in batch:
            work(region)
        return sum(int(np.count_nonzero(region.target)) for region in batch)

    for count in _in_parallel(whole, _batches(regions(mask, needs)), workers):
        done += count
        progress(done / total)


def _fill_cores(inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask, workers: int) -> tuple[Mask, Mask]:
    """Fill what lies too deep in a hole for the engine to see sound pixels; returns what is left of mask and hole."""
    reach = _needs(inpainter).context
    rest, unknown = mask, hole
    for box, window in wide_windows(hole, reach):
        if rest is mask:  # the first: copies are made for wide holes only, and one where both are the same
            rest = mask.copy()
            unknown = rest if hole is mask else hole.copy()
        half = _filled_half(inpainter, filled, mask, hole, (box, window), workers)
        for place in _tiles_of(box):
            core = core_within(hole, place, reach)
            wanted = core & mask[place]
            if wanted.any():
                seen = doubled(half, (_shifted(place[0], window[0]), _shifted(place[1], window[1])))
                composite(filled, seen, wanted, (place[0].start, place[1].start))
            rest[place] &= ~core
            unknown[place] &= ~wanted
    return rest, unknown


def _filled_half(
    inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask, where: tuple[Place, Place], workers: int
) -> Pixels:
    """A window at half the size, filled where the core in its box is interpolated from."""
    _, window = where
    half, half_hole = halved(filled[window], hole[window])
    wanted = _looked_at(mask, hole, where, _needs(inpainter).context)
    wanted &= half_hole
    _fill(inpainter, half, wanted, half_hole, workers, _unheard)
    return half


def _looked_at(mask: Mask, hole: Mask, where: tuple[Place, Place], reach: int) -> Mask:
    """The pixels of a window at half the size that interpolation of the core in its box looks at."""
    box, window = where
    near = np.zeros([-(-(side.stop - side.start) // 2) for side in window], np.uint8)
    for place in _tiles_of(box):
        cells = coarse(core_within(hole, place, reach) & mask[place], 2)
        row, column = (_shifted(side, outer).start // 2 for side, outer in zip(place, window, strict=True))
        near[row : row + cells.shape[0], column : column + cells.shape[1]] = cells
    return cv2.dilate(near, np.ones((3, 3), np.uint8)).view(np.bool_)


def _tiles_of(box: Place) -> Iterator[Place]:
    """A box in tiles that start at even rows and columns, as boxes and windows do: a tear's box may be the frame."""
    rows, columns = box
    for tile in tiles((rows.stop - rows.start, columns.stop - columns.start), _CORE_TILE):
        top, left = rows.start + tile.row, columns.start + tile.column
        yield slice(top, top + tile.height), slice(left, left + tile.width)


def _shifted(side: slice, window: slice) -> slice:
    """A side of a box as seen from a window that holds it."""
    return slice(side.start - window.start, side.stop - window.start)


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
    clean[hole] = np.array(cv2.mean(pixels, (~hole).view(np.uint8))[: pixels.shape[2]]).astype(pixels.dtype)
    return clean


def _damaged(pixels: Pixels, mask: Mask) -> Mask:
    """Where there is nothing to fill from: the mask, and float pixels that are not finite."""
    if pixels.dtype != np.float32:
        return mask
    hole = mask.copy()
    for rows in bands(mask.shape[0]):
        hole[rows] |= ~np.isfinite(pixels[rows]).all(axis=2)
    return hole


def _check_depth(inpainter: Inpainter, pixels: Pixels) -> None:
    depth = pixels.dtype.name
    if depth not in inpainter.needs.depths:
        raise EngineError(
            f"The fill `{inpainter.name}` takes {', '.join(inpainter.needs.depths)}, this scan is {depth}. "
            "Choose another fill: nothing is converted in silence."
        )


def _needs(inpainter: Inpainter) -> Needs:
    """The engine's needs, with the least context that shows it something sound."""
    return replace(inpainter.needs, context=max(inpainter.needs.context, _LEAST_CONTEXT))


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
    return threads or _cores()


def _cores() -> int:
    """As many as the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
