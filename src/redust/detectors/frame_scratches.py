"""Detect scratches that run straight through the whole frame, whatever lies under them.

Film is scratched along its travel, from one end of the frame to the other. Over a busy background a network with a
receptive field of 200 pixels takes such a scratch for an edge of the scene; over the whole frame it is plain, for no
edge of a scene crosses sky, wall and face alike. Light is averaged in cells of 32 pixels along a row (or column), a
cell is compared with its flanks in units of how much cells differ around it, and nearly level lines are tried through
the whole frame. A line is accepted if it stands out in nearly every cell, over a background that changes along it and
is alike on both sides, and if it is not one of many: a ledge, a horizon, a row of bricks and a gap between planks are
not.

The bounds were set on 375 undamaged photos so that none of them is marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, DamageMap, Pixels, check_pixels, full_scale
from redust.core.tiles import Rectangle, bands

_SIDE = 1600  # pixels of the shorter side, to which large scans are downscaled
_CELL = 32  # pixels along the line
_MIN_CELLS = 12  # a shorter line proves nothing
_MAX_TILT = 0.015  # rows per column: scans are seldom more askew
_FLANKS = (3, 4, 5)  # rows from the line
_NOISE_ROWS = 31  # rows in which it is measured how much cells differ
_NOISE_FLOOR = 0.0015  # light: cells that differ less count as differing so much
_CLIP = 4.0  # deviations: no single cell makes a line
_SUPPORTING = 1.0  # deviations from which a cell supports the line

# What an accepted line must reach.
_STRENGTH = 3.5  # deviations, the mean over all cells
_SUPPORT = 0.93  # share of the cells
_SPREAD = 0.06  # of light, how much the background along it changes: half of what its middle 70 percent span
_CORRELATION = 0.8  # of both flanks along it
_MAX_FLANK_DIFFERENCE = 0.12  # of light, mean difference of both flanks
_CANDIDATE = (1.5, 0.8)  # strength and support of what may be a line
_MAX_CANDIDATES = 6  # of one direction: more are the scene
_PROFILE = 8  # rows to each side in which its width is measured
_RIM = 0.25  # of its height

_Floats: TypeAlias = NDArray[np.float32]
_Positions: TypeAlias = NDArray[np.float64]
_Flanks: TypeAlias = tuple[_Floats, _Floats]


@dataclass(frozen=True, eq=False)
class Line:
    """A line through a scan.

    Parameters
    ----------
    points : (N, 2) float64
        Row and column of points along it.
    bright
        Whether it is brighter than its flanks.
    width
        Pixels to mark across.
    """

    points: _Positions
    bright: bool
    width: int = 3


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A line through all cells: its row in each, whether it is brighter, and whether it keeps the bounds."""

    rows: NDArray[np.intp]
    bright: bool
    accepted: bool


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
    level_cells, upright_cells = _average_cells(pixels, factor)
    upright = _find_level_lines(np.swapaxes(pixels, 0, 1), upright_cells, factor)
    level = _find_level_lines(pixels, level_cells, factor)
    return level + [replace(line, points=line.points[:, ::-1]) for line in upright]


def mark_lines(
    tiles: Iterable[tuple[Rectangle, DamageMap]], lines: Sequence[Line], shape: tuple[int, int]
) -> Iterator[tuple[Rectangle, DamageMap]]:
    """The tiles of a damage map of `shape` (height, width), with the lines marked as certain damage in place."""
    line_pixels = [pixels_of_line(line, shape) for line in lines]
    for (rows, columns), damage in tiles:
        for line_rows, line_columns in line_pixels:
            inside = (line_rows >= rows.start) & (line_rows < rows.stop)
            inside &= (line_columns >= columns.start) & (line_columns < columns.stop)
            damage[line_rows[inside] - rows.start, line_columns[inside] - columns.start] = 1
        yield (rows, columns), damage


def pixels_of_line(line: Line, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels to mark, each (N, width)."""
    across = np.arange(line.width) - line.width // 2
    rows, columns = np.rint(line.points).astype(np.int64).T
    steep = abs(rows[-1] - rows[0]) > abs(columns[-1] - columns[0])
    rows = rows[:, None] + (np.zeros_like(across) if steep else across)
    columns = columns[:, None] + (across if steep else np.zeros_like(across))
    return np.clip(rows, 0, shape[0] - 1), np.clip(columns, 0, shape[1] - 1)


def _find_level_lines(pixels: Pixels, cells: _Floats, factor: int) -> list[Line]:
    """The lines along rows."""
    lines: list[Line] = []
    for candidate in _find_candidates(cells):
        columns, middle = _trace_line(candidate, factor, pixels.shape[1])
        for offset, width in _find_runs(_profile_line(pixels, columns, middle, factor), candidate.bright, factor):
            rows = middle + offset
            if all(np.abs(line.points[:, 0] - rows).mean() >= factor for line in lines):  # not found by its twin
                lines.append(Line(np.stack((rows, columns), axis=1), candidate.bright, width))
    return lines


def _average_cells(pixels: Pixels, factor: int) -> tuple[_Floats, _Floats]:
    """The light of cells along rows (rows, columns / 32) and along columns (columns, rows / 32), both downscaled."""
    height, width = (side // factor for side in pixels.shape[:2])
    length = _CELL * factor
    across = np.empty((height, width // _CELL), np.float32)
    down = np.empty((width, height // _CELL), np.float32)
    for top in range(0, height * factor, length):
        light = _to_luma(pixels[top : min(top + length, height * factor)])
        rows = light[:, : width * factor].reshape(-1, factor, width * factor).mean(axis=1)
        band = slice(top // factor, top // factor + len(rows))
        across[band] = rows[:, : across.shape[1] * length].reshape(len(rows), -1, length).mean(axis=2)
        if top // length < down.shape[1]:
            down[:, top // length] = rows.mean(axis=0).reshape(width, factor).mean(axis=1)
    return across, down


def _to_luma(pixels: Pixels) -> _Floats:
    """Luma (H, W) in 0..1 of pixels (H, W, C); NaN becomes 0."""
    scale = np.float32(1.0 / full_scale(pixels.dtype))
    light = pixels[..., 0] * scale if pixels.shape[2] == 1 else pixels.astype(np.float32) @ (LUMA * scale)
    return np.clip(np.nan_to_num(light.astype(np.float32, copy=False)), 0.0, 1.0)


def _find_candidates(cells: _Floats) -> list[_Candidate]:
    """The lines through all cells (rows, cells along) that keep the bounds, unless they are many."""
    if cells.shape[1] < _MIN_CELLS or cells.shape[0] < _NOISE_ROWS:
        return []
    flanks = _average_rows(cells, [-distance for distance in _FLANKS]), _average_rows(cells, list(_FLANKS))
    difference = np.abs(cells - _average_rows(cells, [-1, 1]))
    noise = cv2.blur(difference, (1, _NOISE_ROWS), borderType=cv2.BORDER_REPLICATE) + _NOISE_FLOOR
    noise = np.asarray(noise, np.float32)
    candidates = [line for bright in (True, False) for line in _try_polarity(cells, flanks, noise, bright)]
    return [line for line in candidates if line.accepted] if len(candidates) <= _MAX_CANDIDATES else []


def _try_polarity(cells: _Floats, flanks: _Flanks, noise: _Floats, bright: bool) -> Iterator[_Candidate]:
    """What may be a line of one polarity, by the cells' flanks and by how much cells differ around them."""
    above, below = flanks
    height = cells - np.maximum(above, below) if bright else np.minimum(above, below) - cells
    strength = np.asarray(np.clip(height / noise, -_CLIP, _CLIP), np.float32)
    for rows, mean in _find_straight(strength):
        neighbours = np.stack([_cells_of_line(strength, rows + step) for step in (-1, 0, 1)])
        rows = np.clip(rows + neighbours.argmax(axis=0) - 1, 0, len(cells) - 1)
        supporting = neighbours.max(axis=0) > _SUPPORTING
        if supporting.mean() >= _CANDIDATE[1]:
            strong = mean >= _STRENGTH and supporting.mean() >= _SUPPORT
            sides = _cells_of_line(above, rows), _cells_of_line(below, rows)
            yield _Candidate(rows, bright, strong and _crosses_scene(*sides, supporting))


def _average_rows(cells: _Floats, steps: list[int]) -> _Floats:
    """The mean of the rows so many steps away; beyond the frame its border is repeated."""
    rows = np.arange(len(cells))
    total = sum((cells[np.clip(rows + step, 0, len(cells) - 1)] for step in steps), np.float32(0))
    return np.asarray(total / np.float32(len(steps)), np.float32)


def _cells_of_line(cells: _Floats, rows: NDArray[np.intp]) -> _Floats:
    """The cells of a line."""
    return cells[np.clip(rows, 0, len(cells) - 1), np.arange(cells.shape[1])]


def _find_straight(strength: _Floats) -> Iterator[tuple[NDArray[np.intp], float]]:
    """Rows of the straight lines with the highest mean strength, within a row, and that mean; the strongest first."""
    height, count = strength.shape
    widened = np.asarray(cv2.dilate(strength, np.ones((3, 1), np.uint8)), np.float32)
    best = np.full(height, -_CLIP, np.float32)
    falls = np.zeros(height, np.intp)
    max_fall = int(_MAX_TILT * count * _CELL)
    for fall in range(-max_fall, max_fall + 1, 2):
        mean = _average_along(widened, _line_offsets(fall, count))
        better = mean > best
        best[better], falls[better] = mean[better], fall
    taken = np.zeros(height, np.bool_)
    for row in np.argsort(-best, kind="stable"):
        if best[row] < _CANDIDATE[0]:
            return
        if not taken[max(0, row - 2) : row + 3].any():
            taken[row] = True
            yield np.clip(row + _line_offsets(int(falls[row]), count), 0, height - 1), float(best[row])


def _line_offsets(fall: int, count: int) -> NDArray[np.intp]:
    """By how many rows each of `count` cells lies off the middle of a line that falls by so many."""
    return np.rint(fall * (np.arange(count) / (count - 1) - 0.5)).astype(np.intp)


def _average_along(strength: _Floats, offsets: NDArray[np.intp]) -> _Floats:
    """The mean along a line through each row; beyond the frame cells count as opposing it."""
    height, count = strength.shape
    reach = int(np.abs(offsets).max())
    padded = np.pad(strength, ((reach, reach), (0, 0)), constant_values=-_CLIP)
    total = np.zeros(height, np.float32)
    for column, offset in enumerate(offsets.tolist()):
        total += padded[reach + offset : reach + offset + height, column]
    return np.asarray(total / count, np.float32)


def _crosses_scene(above: _Floats, below: _Floats, supporting: NDArray[np.bool_]) -> bool:
    """Whether the background changes along a line and goes on across it, by the light of both flanks."""
    first, second = above[supporting], below[supporting]
    low, high = np.quantile((first + second) / 2, (0.15, 0.85))
    if (high - low) / 2 < _SPREAD or np.abs(above - below).mean() > _MAX_FLANK_DIFFERENCE:
        return False
    return bool(np.corrcoef(first, second)[0, 1] >= _CORRELATION)


def _trace_line(line: _Candidate, factor: int, length: int) -> tuple[NDArray[np.intp], _Positions]:
    """Columns along a line in the scan, and its row at each of them."""
    middles = (np.arange(len(line.rows)) + 0.5) * _CELL * factor - 0.5
    smooth = np.convolve(np.pad(line.rows.astype(np.float64), 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    along = np.arange(length)
    return along, np.interp(along, middles, smooth * factor + (factor - 1) / 2)


def _profile_line(
    pixels: Pixels, along: NDArray[np.intp], across: NDArray[np.float64], factor: int
) -> NDArray[np.float64]:
    """The mean light of a line and of the rows beside it."""
    reach = _PROFILE * factor
    profile = np.zeros(2 * reach + 1)
    for band in bands(len(along)):
        rows = np.rint(across[band]).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
        profile += _to_luma(pixels[np.clip(rows, 0, pixels.shape[0] - 1), along[band, None]]).sum(axis=0)
    return profile / len(along)


def _find_runs(profile: NDArray[np.float64], bright: bool, factor: int) -> Iterator[tuple[int, int]]:
    """What stands out across: how far off the middle of each run lies, and its width; scratches come in pairs."""
    flanks = np.linspace(profile[:factor].mean(), profile[-factor:].mean(), len(profile))
    height = profile - flanks if bright else flanks - profile
    (marked,) = np.nonzero(height > _RIM * height.max())
    for run in np.split(marked, np.flatnonzero(np.diff(marked) > 1) + 1):
        yield int(run[0]) - len(profile) // 2 + len(run) // 2, len(run)
