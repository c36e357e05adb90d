"""Scratches that run straight through the whole frame, whatever lies under them.

Film is scratched along its travel, from one end of the frame to the other. Over busy ground a network that sees 200
pixels takes such a scratch for an edge of the scene; seen whole it is plain, for nothing of a scene crosses sky, wall
and face alike. Light is averaged in cells of 32 pixels along a row (or column), a cell is compared with its flanks
in units of how much cells differ around it, and lines nearly level are tried through the whole frame. Kept is what
stands out in nearly every cell, over ground that changes along it and is alike on both sides, and is not one of many:
what a ledge, a horizon, a row of bricks and a gap between planks are not.

The bounds were set on 375 undamaged photos so that none of them is marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels, check_pixels
from redust.core.tiles import bands
from redust.detectors.line_marks import Line, grey

_SIDE = 1600  # pixels of the shorter side, to which large scans are shrunk
_CELL = 32  # pixels along the line
_FEWEST = 12  # cells: a shorter line proves nothing
_TILT = 0.015  # rows per column: scans are seldom more askew
_FLANKS = (3, 4, 5)  # rows from the line
_AROUND = 31  # rows in which it is measured how much cells differ
_FLOOR = 0.0015  # light: cells that differ less count as differing so much
_CLIP = 4.0  # deviations: no single cell makes a line
_THERE = 1.0  # deviations from which a cell supports it

# What a line must keep.
_STRENGTH = 3.5  # deviations, the mean over all cells
_SUPPORT = 0.93  # share of the cells
_SPREAD = 0.06  # of light, how much the ground along it changes: half of what its middle 70 percent span
_ALIKE = 0.8  # correlation of both flanks along it
_APART = 0.12  # of light, mean difference of both flanks
_LOOSE = (1.5, 0.8)  # strength and support of what else may be a line
_MOST = 6  # of those in one direction: more are the scene
_PROFILE = 8  # rows to each side in which its width is measured
_RIM = 0.25  # of its height

_Floats: TypeAlias = NDArray[np.float32]
_Places: TypeAlias = NDArray[np.float64]
_Flanks: TypeAlias = tuple[_Floats, _Floats]


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A line through all cells: its row in each, whether it is brighter, and whether it keeps the bounds."""

    rows: NDArray[np.intp]
    bright: bool
    kept: bool


def find_frame_scratches(pixels: Pixels) -> list[Line]:
    """Find the scratches that run through a whole scan, level or upright within a degree.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32

    Returns
    -------
    lines : list of Line
        Each from one side of the scan to the other. None where a side has fewer than 384 pixels.
    """
    check_pixels(pixels)
    factor = max(1, min(pixels.shape[:2]) // _SIDE)
    level, upright = _cells(pixels, factor)
    turned = _found(np.swapaxes(pixels, 0, 1), upright, factor)
    return _found(pixels, level, factor) + [replace(one, points=one.points[:, ::-1]) for one in turned]


def _found(pixels: Pixels, cells: _Floats, factor: int) -> list[Line]:
    """The lines along rows."""
    found: list[Line] = []
    for one in _lines(cells):
        along, middle = _traced(one, factor, pixels.shape[1])
        for off, width in _runs(_profile(pixels, along, middle, factor), one.bright, factor):
            across = middle + off
            if all(np.abs(other.points[:, 0] - across).mean() >= factor for other in found):  # not seen by its pair
                found.append(Line(np.stack((across, along), axis=1), one.bright, width))
    return found


def _cells(pixels: Pixels, factor: int) -> tuple[_Floats, _Floats]:
    """The light of cells along rows (rows, columns / 32) and along columns (columns, rows / 32), both shrunk."""
    height, width = (side // factor for side in pixels.shape[:2])
    length = _CELL * factor
    across = np.empty((height, width // _CELL), np.float32)
    down = np.empty((width, height // _CELL), np.float32)
    for top in range(0, height * factor, length):
        light = grey(pixels[top : min(top + length, height * factor)])
        rows = light[:, : width * factor].reshape(-1, factor, width * factor).mean(axis=1)
        places = slice(top // factor, top // factor + len(rows))
        across[places] = rows[:, : across.shape[1] * length].reshape(len(rows), -1, length).mean(axis=2)
        if top // length < down.shape[1]:
            down[:, top // length] = rows.mean(axis=0).reshape(width, factor).mean(axis=1)
    return across, down


def _lines(cells: _Floats) -> list[_Candidate]:
    """The lines through all cells (rows, cells along) that keep the bounds, unless they are many."""
    if cells.shape[1] < _FEWEST or cells.shape[0] < _AROUND:
        return []
    flanks = _mean_of(cells, [-far for far in _FLANKS]), _mean_of(cells, list(_FLANKS))
    differing = np.abs(cells - _mean_of(cells, [-1, 1]))
    usual = np.asarray(cv2.blur(differing, (1, _AROUND), borderType=cv2.BORDER_REPLICATE) + _FLOOR, np.float32)
    loose = [one for bright in (True, False) for one in _candidates(cells, flanks, usual, bright)]
    return [one for one in loose if one.kept] if len(loose) <= _MOST else []


def _candidates(cells: _Floats, flanks: _Flanks, usual: _Floats, bright: bool) -> Iterator[_Candidate]:
    """What may be a line of one polarity, by the cells' flanks and by how much cells differ around them."""
    above, below = flanks
    height = cells - np.maximum(above, below) if bright else np.minimum(above, below) - cells
    strength = np.asarray(np.clip(height / usual, -_CLIP, _CLIP), np.float32)
    for rows, mean in _straight(strength):
        near = np.stack([_at(strength, rows + step) for step in (-1, 0, 1)])
        rows = np.clip(rows + near.argmax(axis=0) - 1, 0, len(cells) - 1)
        there = near.max(axis=0) > _THERE
        if there.mean() >= _LOOSE[1]:
            strong = mean >= _STRENGTH and there.mean() >= _SUPPORT
            kept = strong and _through_a_scene(_at(above, rows), _at(below, rows), there)
            yield _Candidate(rows, bright, kept)


def _mean_of(cells: _Floats, steps: list[int]) -> _Floats:
    """The mean of the rows so many steps away; beyond the frame its border goes on."""
    rows = np.arange(len(cells))
    total = sum((cells[np.clip(rows + step, 0, len(cells) - 1)] for step in steps), np.float32(0))
    return np.asarray(total / np.float32(len(steps)), np.float32)


def _at(cells: _Floats, rows: NDArray[np.intp]) -> _Floats:
    """The cells of a line."""
    return cells[np.clip(rows, 0, len(cells) - 1), np.arange(cells.shape[1])]


def _straight(strength: _Floats) -> Iterator[tuple[NDArray[np.intp], float]]:
    """Rows of the straight lines with the highest mean strength, within a row, and that mean; the strongest first."""
    height, count = strength.shape
    widened = np.asarray(cv2.dilate(strength, np.ones((3, 1), np.uint8)), np.float32)
    best = np.full(height, -_CLIP, np.float32)
    falls = np.zeros(height, np.intp)
    most = int(_TILT * count * _CELL)
    for fall in range(-most, most + 1, 2):
        mean = _mean_along(widened, _offsets(fall, count))
        better = mean > best
        best[better], falls[better] = mean[better], fall
    taken = np.zeros(height, np.bool_)
    for row in np.argsort(-best, kind="stable"):
        if best[row] < _LOOSE[0]:
            return
        if not taken[max(0, row - 2) : row + 3].any():
            taken[row] = True
            yield np.clip(row + _offsets(int(falls[row]), count), 0, height - 1), float(best[row])


def _offsets(fall: int, count: int) -> NDArray[np.intp]:
    """By how many rows each of `count` cells lies off the middle of a line that falls by so many."""
    return np.rint(fall * (np.arange(count) / (count - 1) - 0.5)).astype(np.intp)


def _mean_along(strength: _Floats, offsets: NDArray[np.intp]) -> _Floats:
    """The mean along a line through each row; what lies beyond the frame speaks against it."""
    height, count = strength.shape
    reach = int(np.abs(offsets).max())
    padded = np.pad(strength, ((reach, reach), (0, 0)), constant_values=-_CLIP)
    total = np.zeros(height, np.float32)
    for column, offset in enumerate(offsets.tolist()):
        total += padded[reach + offset : reach + offset + height, column]
    return np.asarray(total / count, np.float32)


def _through_a_scene(above: _Floats, below: _Floats, there: NDArray[np.bool_]) -> bool:
    """Whether the ground changes along a line and goes on across it, by the light of both flanks."""
    one, other = above[there], below[there]
    low, high = np.quantile((one + other) / 2, (0.15, 0.85))
    if (high - low) / 2 < _SPREAD or np.abs(above - below).mean() > _APART:
        return False
    return bool(np.corrcoef(one, other)[0, 1] >= _ALIKE)


def _traced(line: _Candidate, factor: int, length: int) -> tuple[NDArray[np.intp], _Places]:
    """Every place along a line in the scan, and where it is across."""
    middles = (np.arange(len(line.rows)) + 0.5) * _CELL * factor - 0.5
    smooth = np.convolve(np.pad(line.rows.astype(np.float64), 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    along = np.arange(length)
    return along, np.interp(along, middles, smooth * factor + (factor - 1) / 2)


def _profile(pixels: Pixels, along: NDArray[np.intp], across: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """The mean light of a line and of the rows beside it."""
    reach = _PROFILE * factor
    profile = np.zeros(2 * reach + 1)
    for part in bands(len(along)):
        rows = np.rint(across[part]).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
        profile += grey(pixels[np.clip(rows, 0, pixels.shape[0] - 1), along[part, None]]).sum(axis=0)
    return profile / len(along)


def _runs(profile: NDArray[np.float64], bright: bool, factor: int) -> Iterator[tuple[int, int]]:
    """What stands out across: how far off the middle of each run lies, and its width; scratches come in pairs."""
    flanks = np.linspace(profile[:factor].mean(), profile[-factor:].mean(), len(profile))
    height = profile - flanks if bright else flanks - profile
    (marked,) = np.nonzero(height > _RIM * height.max())
    for run in np.split(marked, np.flatnonzero(np.diff(marked) > 1) + 1):
        yield int(run[0]) - len(profile) // 2 + len(run) // 2, len(run)
