"""Run an inpainting engine on a scan: cut windows with context, fill them in parallel, composite the results.

The engine only computes. This module meets its needs, checks what it returns, and writes pixels through
:func:`redust.core.composite.composite` only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
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
from redust.core.threads import count_cores
from redust.core.tiles import Rectangle, bands, mirrored, round_up, tiles
from redust.inpainters.fill_windows import FillWindow, cut_windows, max_pool
from redust.inpainters.grain import add_grain
from redust.inpainters.translucency import NEEDS, is_measurable, recover_translucency
from redust.inpainters.wide_holes import core_in_box, downsample_hole, upsample_window, wide_windows

# Windows per task: one speck is too little work for a task of its own; with many, the other threads wait for the last.
_BATCH = 4
_CORE_TILE = 512
_FILL_TIME, _RECOVER_TIME, _GRAIN_TIME = 3, 1, 2  # rough relative durations
_LEAST_CONTEXT = 2  # a window must hold a sound pixel, whatever its engine needs


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
        Not changed. Masked pixels have no influence unless `recover` is on. Float pixels that are not finite count as
        damaged, but are filled only where masked.
    mask : (H, W) bool
        True where to fill.
    recover
        Recover what translucent damage still shows; see :mod:`redust.inpainters.translucency`.
    grain : 0..1
        Share of the surrounding grain that is added to filled pixels; see :mod:`redust.inpainters.grain`.
    threads
        Number of windows filled at once; one per core unless given. The result does not depend on it.
    progress
        Called with the share done, 0..1, in the calling thread.

    Returns
    -------
    filled : (H, W, C), dtype of `pixels`
        A new array; outside the mask it equals `pixels`.

    Raises
    ------
    TypeError, ValueError
        If `pixels` or `mask` have the wrong dtype or shape.
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
    hole = _find_hole(pixels, mask)
    if hole.all():
        raise MaskMismatch("The mask leaves no sound pixel to fill from. Use a higher level, or another mask.")
    # Windows are small: BLAS threads within one spend longer waiting for each other than computing.
    with threadpool_limits(1, user_api="blas"):
        times = [_FILL_TIME, _RECOVER_TIME if recover else 0, _GRAIN_TIME if grain else 0]
        on_fill, on_recover, on_grain = _split_progress(progress or _ignore_progress, times)
        _fill_mask(inpainter, filled, mask, hole, _workers_for(inpainter, threads), on_fill)
        if recover:
            _recover_mask(pixels, filled, mask, hole, threads or count_cores(), on_recover)
        if grain:
            _grain_mask(filled, mask, hole, grain, threads or count_cores(), on_grain)
    return filled


def _ignore_progress(_: float) -> None:
    """The progress callback when the caller gives none."""


def _split_progress(progress: Callable[[float], None], times: list[int]) -> list[Callable[[float], None]]:
    """Progress callbacks (0..1) of consecutive steps, weighted by their durations."""
    total, ends = sum(times), list(accumulate(times))

    def scale_step(before: int, time: int) -> Callable[[float], None]:
        return lambda done: progress((before + time * done) / total)

    return [scale_step(end - time, time) for end, time in zip(ends, times, strict=True)]


def _fill_mask(
    inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask, workers: int, progress: Callable[[float], None]
) -> None:
    """Fill `mask` in place; `hole`, all damaged pixels, contains the mask and leaves some pixel sound."""
    mask, hole = _fill_cores(inpainter, filled, mask, hole, workers)

    def fill_one_window(window: FillWindow) -> None:
        patch = fill_window(inpainter, filled[window.window], hole[window.window])
        composite(filled, patch, window.target, (window.top, window.left))

    _for_each_window(fill_one_window, mask, _needs_of(inpainter), workers, progress)


def _recover_mask(
    pixels: Pixels, filled: Pixels, mask: Mask, hole: Mask, workers: int, progress: Callable[[float], None]
) -> None:
    """Recover translucent damage in place. Windows read their filled neighbours, so none is written before the last."""
    recovered: list[tuple[FillWindow, Pixels]] = []

    def compute_window(window: FillWindow) -> None:
        if is_measurable(window.target):
            inside = window.window
            patch = recover_translucency(pixels[inside], filled[inside], hole[inside], window.target)
            # Only the target's pixels are kept: windows would take more memory than the scan.
            recovered.append((window, patch[window.target]))

    _for_each_window(compute_window, mask, NEEDS, workers, progress)
    for window, values in recovered:
        patch = np.empty_like(filled[window.window])
        patch[window.target] = values
        composite(filled, patch, window.target, (window.top, window.left))


def _grain_mask(
    filled: Pixels, mask: Mask, hole: Mask, amount: float, workers: int, progress: Callable[[float], None]
) -> None:
    """Add grain to `mask` in place. A window reads sound pixels and its target only, so windows are independent."""

    def grain_window(window: FillWindow) -> None:
        composite(filled, add_grain(filled, hole, window, amount), window.target, (window.top, window.left))

    _for_each_window(grain_window, mask, Needs(), workers, progress)


def _for_each_window(
    process: Callable[[FillWindow], None], mask: Mask, needs: Needs, workers: int, progress: Callable[[float], None]
) -> None:
    """Process each window of a mask in parallel and report the share of masked pixels done."""
    done, total = 0, max(int(np.count_nonzero(mask)), 1)

    def process_batch(batch: list[FillWindow]) -> int:
        for window in batch:
            process(window)
        return sum(int(np.count_nonzero(window.target)) for window in batch)

    for count in _map_in_order(process_batch, _batches_of(cut_windows(mask, needs)), workers):
        done += count
        progress(done / total)


def _fill_cores(inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask, workers: int) -> tuple[Mask, Mask]:
    """Fill hole pixels too deep for the engine to reach sound ones, in place; returns the remaining mask and hole."""
    reach = _needs_of(inpainter).context
    left_mask, left_hole = mask, hole
    for box, window in wide_windows(hole, reach):
        if left_mask is mask:  # the first: copies are made for wide holes only, and one where both are the same
            left_mask = mask.copy()
            left_hole = left_mask if hole is mask else hole.copy()
        half = _fill_at_half_size(inpainter, filled, mask, hole, (box, window), workers)
        for tile in _tiles_of(box):
            core = core_in_box(hole, tile, reach)
            target = core & mask[tile]
            if target.any():
                patch = upsample_window(half, (_relative_to(tile[0], window[0]), _relative_to(tile[1], window[1])))
                composite(filled, patch, target, (tile[0].start, tile[1].start))
            left_mask[tile] &= ~core
            left_hole[tile] &= ~target
    return left_mask, left_hole


def _fill_at_half_size(
    inpainter: Inpainter, filled: Pixels, mask: Mask, hole: Mask,
    box_and_window: tuple[Rectangle, Rectangle], workers: int,
) -> Pixels:  # fmt: skip
    """A window at half the size, filled where the core in its box is interpolated from."""
    _, window = box_and_window
    half, half_hole = downsample_hole(filled[window], hole[window])
    target = _interpolation_support(mask, hole, box_and_window, _needs_of(inpainter).context)
    target &= half_hole
    _fill_mask(inpainter, half, target, half_hole, workers, _ignore_progress)
    return half


def _interpolation_support(mask: Mask, hole: Mask, box_and_window: tuple[Rectangle, Rectangle], reach: int) -> Mask:
    """The pixels of a window at half the size that interpolation of the core in its box reads."""
    box, window = box_and_window
    support = np.zeros([-(-(side.stop - side.start) // 2) for side in window], np.uint8)
    for tile in _tiles_of(box):
        cells = max_pool(core_in_box(hole, tile, reach) & mask[tile], 2)
        row, column = (_relative_to(side, outer).start // 2 for side, outer in zip(tile, window, strict=True))
        support[row : row + cells.shape[0], column : column + cells.shape[1]] = cells
    return cv2.dilate(support, np.ones((3, 3), np.uint8)).view(np.bool_)


def _tiles_of(box: Rectangle) -> Iterator[Rectangle]:
    """Cut a box into tiles that start at even rows and columns, as boxes and windows do; it may be the whole frame."""
    rows, columns = box
    for tile in tiles((rows.stop - rows.start, columns.stop - columns.start), _CORE_TILE):
        top, left = rows.start + tile.row, columns.start + tile.column
        yield slice(top, top + tile.height), slice(left, left + tile.width)


def _relative_to(side: slice, window: slice) -> slice:
    """One side of a box in the coordinates of a window that contains it."""
    return slice(side.start - window.start, side.stop - window.start)


def fill_window(inpainter: Inpainter, pixels: Pixels, hole: Mask) -> Pixels:
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
        If the engine returns another shape or dtype, or values that are not finite.
    """
    height, width = hole.shape
    rows, columns = _padding_indices(inpainter, height), _padding_indices(inpainter, width)
    padded, padded_hole = erase_hole(pixels, hole)[rows][:, columns], hole[rows][:, columns]
    groups = _split_channels(inpainter, padded)
    patches = [_check_result(inpainter, group, inpainter.fill(group, padded_hole)) for group in groups]
    patch = patches[0] if len(patches) == 1 else np.concatenate(patches, axis=2)
    return patch[:height, :width, : pixels.shape[2]]


def erase_hole(pixels: Pixels, hole: Mask) -> Pixels:
    """A copy of `pixels` with the mean of the sound ones in the hole, so that nothing of the damage is left."""
    clean = pixels.copy()
    clean[hole] = np.array(cv2.mean(pixels, (~hole).view(np.uint8))[: pixels.shape[2]]).astype(pixels.dtype)
    return clean


def _find_hole(pixels: Pixels, mask: Mask) -> Mask:
    """The pixels that cannot be filled from: the mask, and float pixels that are not finite."""
    if pixels.dtype != np.float32:
        return mask
    hole = mask.copy()
    for rows in bands(mask.shape[0]):
        hole[rows] |= ~np.isfinite(pixels[rows]).all(axis=2)
    return hole


def _check_depth(inpainter: Inpainter, pixels: Pixels) -> None:
    depth = pixels.dtype.name
    if depth not in inpainter.spec.needs.depths:
        raise EngineError(
            f"The fill `{inpainter.spec.name}` takes {', '.join(inpainter.spec.needs.depths)}, this scan is {depth}. "
            "Choose another fill: nothing is converted in silence."
        )


def _needs_of(inpainter: Inpainter) -> Needs:
    """The engine's needs, with at least the context that contains a sound pixel."""
    return replace(inpainter.spec.needs, context=max(inpainter.spec.needs.context, _LEAST_CONTEXT))


def _padding_indices(inpainter: Inpainter, length: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Indices that lengthen a side to what the engine needs, mirrored at its end."""
    needs = inpainter.spec.needs
    return mirrored(0, round_up(max(length, needs.minimum), needs.multiple_of), length)


def _split_channels(inpainter: Inpainter, pixels: Pixels) -> list[Pixels]:
    """The window in a channel count the engine takes: unchanged, grey repeated, or each channel by itself."""
    accepted, count = inpainter.spec.needs.channels, pixels.shape[2]
    if count in accepted:
        return [pixels]
    if count == 1:
        return [np.repeat(pixels, 3, axis=2)]
    return [np.ascontiguousarray(pixels[..., channel, None]) for channel in range(count)]


def _check_result(inpainter: Inpainter, pixels: Pixels, filled: Pixels) -> Pixels:
    """The engine's result for `pixels`, if it keeps the contract."""
    valid = isinstance(filled, np.ndarray) and filled.shape == pixels.shape and filled.dtype == pixels.dtype
    if not valid or not np.isfinite(filled).all():
        raise EngineError(
            f"The fill `{inpainter.spec.name}` broke its contract: expected finite {pixels.dtype} of {pixels.shape}. "
            "Choose another fill, and tell its author."
        )
    return filled


def _workers_for(inpainter: Inpainter, threads: int | None) -> int:
    """The number of threads: as given, else one per core; one for an engine that is not thread-safe."""
    if not inpainter.spec.needs.threadsafe:
        return 1
    return threads or count_cores()


def _batches_of(windows: Iterator[FillWindow]) -> Iterator[list[FillWindow]]:
    while batch := list(islice(windows, _BATCH)):
        yield batch


def _map_in_order(
    process: Callable[[list[FillWindow]], int], batches: Iterator[list[FillWindow]], workers: int
) -> Iterator[int]:
    """Map over batches in threads, in order, with few batches pending: memory does not grow with the mask."""
    with ThreadPoolExecutor(workers, thread_name_prefix="fill") as pool:
        pending: deque[Future[int]] = deque()
        try:
            for batch in batches:
                pending.append(pool.submit(process, batch))
                if len(pending) >= 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
