"""Long faint lines: what no pixel shows, summed along a line stands out.

A scratch a tenth as deep as the light is hardly more than the grain of one pixel, but ten times the noise of a sum
over a hundred. Sums along all straight segments of 64 columns (or rows) come from the fast approximate Radon transform
(Brady, SIAM J. Comput. 27, 1998, doi:10.1137/S0097539793256673): each from two halves, six additions per pixel and
quarter of the circle. A segment that stands out from the sums around it and from both its flanks is a seed; a seed is
followed in both directions as long as it goes on, and the line is kept if it is long, straight, thin, faint and
even, with flanks alike and nothing of its kind beside it: what a wire, an edge or a plank of the scene is not.

The stage looks at the whole scan, in blocks that lie on a grid of their own: the answer knows of no tile. It holds one
byte per pixel of the scan, and one block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, DamageMap, Pixels, check_pixels, full_scale
from redust.core.grades import GRADES, Grades
from redust.core.tiles import bands, with_margin

_LENGTH = 64  # columns (or rows) of a segment
_BLOCK = 1024  # pixels: a multiple of the length
_UNIT = 32  # steps of the residual per deviation of the noise around it
_CLIP = 3.0  # deviations: no single pixel makes a line
_BUSY = 31  # pixels: window of the local noise
_FLOOR = 0.004  # light: grounds cleaner than this count as noisy as this
_APART = 4  # pixels from a line to its flank
_SEED = 5.0  # deviations of the sums around it
_CELL = 128  # pixels along which the deviation of sums is measured
_STEP = 32  # pixels by which a line is followed
_SIDE = 24  # pixels across, to each side, that are looked at

# What a line must keep, as shares of its height, all found on drawn lines and undamaged photos.
_LEAST_LENGTH = 140  # pixels
_MOST_HEIGHT = 1.2  # deviations of the noise: what stands out more a network sees by itself
_MOST_CONTRAST = 0.25  # of the light around it, the mean over three pixels
_UNEVEN = 0.6  # deviation between pieces of 32 pixels
_BESIDE = 0.3  # the strongest other line within 24 pixels
_RIM = -0.1  # what is left 3 and 4 pixels from it: a thin line has pulled the ground up, and its rims lie below
_TILTED = 1.2  # difference of the light of both flanks
_BENT = 2.5  # pixels off a straight line
_LOOSER = 2.5  # for a seed, which is short and therefore noisy, by how much wider the bounds are

Residual = NDArray[np.int8]
Sums = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Line:
    """A line found.

    Parameters
    ----------
    points : (N, 2) float64
        Row and column of points along it.
    bright
        Whether it is brighter than its flanks.
    width
        Pixels to mark across.
    """

    points: NDArray[np.float64]
    bright: bool
    width: int = 3


def residual(pixels: Pixels) -> Residual:
    """What is finer than about five pixels, in 32nds of the deviation of the noise around it.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32

    Returns
    -------
    residual : (H, W) int8
        Clipped to 3 deviations.
    """
    check_pixels(pixels)
    found = np.empty(pixels.shape[:2], np.int8)
    for rows in bands(pixels.shape[0]):
        seen, core = with_margin(rows, 2 * _BUSY, pixels.shape[0])  # an even margin: halves lie on one grid
        light = grey(pixels[seen])
        detail = light - _ground(light)
        noise = cv2.blur(np.abs(detail), (_BUSY, _BUSY), borderType=cv2.BORDER_REPLICATE)
        scale = np.float32(_UNIT) / (np.float32(1.2533) * noise + np.float32(_FLOOR))
        found[rows] = np.rint(np.clip(detail * scale, -_CLIP * _UNIT, _CLIP * _UNIT))[core]
    return found


def grey(pixels: Pixels) -> NDArray[np.float32]:
    """Luma (H, W) in 0..1 of pixels (H, W, C); what is no number is dark."""
    scale = np.float32(1.0 / full_scale(pixels.dtype))
    light = pixels[..., 0] * scale if pixels.shape[2] == 1 else pixels.astype(np.float32) @ (LUMA * scale)
    return np.clip(np.nan_to_num(light.astype(np.float32, copy=False)), 0.0, 1.0)


def _ground(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median over 10 x 10 pixels, taken at half the size."""
    height, width = light.shape
    even = cv2.copyMakeBorder(light, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    half = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(cv2.medianBlur(half, 5), (even.shape[1], even.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth[:height, :width], np.float32)


def segment_sums(values: Sums, length: int = _LENGTH) -> Sums:
    """Sums along all segments that fall by 0 to `length` - 1 rows over `length` columns.

    Parameters
    ----------
    values : (rows, columns) int16
        Columns are a multiple of `length`, a power of 2. The sums must fit.

    Returns
    -------
    sums : (length, columns / length, rows) int16
        By the fall, the strip of columns, and the row in which it begins; nothing lies below the last row.
    """
    sums = np.ascontiguousarray(values.T)[None]
    while sums.shape[0] < length:
        falls, strips, rows = sums.shape
        wider = np.empty((2 * falls, strips // 2, rows), np.int16)
        for fall in range(falls):
            left, right = sums[fall, 0::2], sums[fall, 1::2]
            for more in (0, 1):
                both, down = wider[2 * fall + more], fall + more
                both[:, rows - down :] = left[:, rows - down :]
                np.add(left[:, : rows - down], right[:, down:], out=both[:, : rows - down])
        sums = wider
    return sums


@dataclass(frozen=True)
class _Turn:
    """How a picture is turned for lines to run from left to right and fall by up to 45 degrees."""

    transposed: bool
    flipped: bool


_TURNS = tuple(_Turn(transposed, flipped) for transposed in (False, True) for flipped in (False, True))


@dataclass(frozen=True)
class _Seed:
    """A segment: where it is in the scan (transposed or not), and by how many deviations it stands out."""

    strength: float
    transposed: bool
    sign: int
    first: int  # along
    start: float  # across, at `first`
    slope: float


def _seeds(values: Residual, row: int, column: int) -> Iterator[_Seed]:
    """The strongest segments that begin in one block."""
    for turn in _TURNS:
        across, along = (column, row) if turn.transposed else (row, column)
        turned = values.T if turn.transposed else values
        height, width = turned.shape
        first, last = max(0, across - _LENGTH - 2 * _APART), min(height, across + _BLOCK + _LENGTH + 2 * _APART)
        part = turned[first:last, along : min(width, along + _BLOCK) // _LENGTH * _LENGTH].astype(np.int16)
        if min(part.shape) < _LENGTH:
            continue
        part = part[::-1] if turn.flipped else part
        wide = 2 * part
        wide[1:] += part[:-1]
        wide[:-1] += part[1:]
        sums = segment_sums(wide)
        for strength, sign, strip, start, fall in _peaks(sums):
            begin = last - 1 - start if turn.flipped else first + start
            slope = (-fall if turn.flipped else fall) / (_LENGTH - 1)
            if across <= begin < across + _BLOCK:
                yield _Seed(strength, turn.transposed, sign, along + strip * _LENGTH, begin, slope)


def _peaks(sums: Sums) -> list[tuple[float, int, int, int, int]]:
    """The strongest segments of each cell: strength, sign, strip, row in which it begins, fall."""
    falls, _, rows = sums.shape
    found = []
    for top in range(_APART, rows - _APART - falls, _CELL):
        bottom = min(top + _CELL, rows - _APART - falls)
        here = np.abs(sums[:, :, top:bottom])
        usual = 1.4826 * np.median(here[::4, :, ::4], axis=(0, 2)) + 1.0
        fall, strip, start = np.nonzero(here > (_SEED * usual)[:, None])
        if not len(fall):
            continue
        start = start + top
        middle = sums[fall, strip, start].astype(np.float64)
        sign = np.sign(middle)
        flank = np.maximum(sign * sums[fall, strip, start - _APART], sign * sums[fall, strip, start + _APART])
        strength = (np.abs(middle) - np.maximum(flank, 0)) / usual[strip]
        good = np.flatnonzero(strength > _SEED)
        taken: dict[int, int] = {}
        for index in good[np.argsort(-strength[good], kind="stable")]:
            one = int(strip[index])
            if taken.get(one, 0) < 2:
                taken[one] = taken.get(one, 0) + 1
                found.append((float(strength[index]), int(sign[index]), one, int(start[index]), int(fall[index])))
    return found


def _across(
    array: NDArray[Any], along: NDArray[np.int64], middle: NDArray[np.floating[Any]], side: int = _SIDE
) -> NDArray[np.float32]:
    """A line straightened: (n, 2 side + 1) float32, from `side` pixels above it to as many below."""
    whole = np.floor(middle).astype(np.int64)
    part = (middle - whole).astype(np.float32)[:, None]
    rows = np.clip(whole[:, None] + np.arange(-side, side + 2), 0, array.shape[0] - 1)
    seen = array[rows, along[:, None]].astype(np.float32)
    return np.asarray(seen[:, :-1] * (1 - part) + seen[:, 1:] * part, np.float32)


def _thin(profile: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over (1, 2, 1) of a profile's neighbours; one less at both ends."""
    return np.asarray((profile[..., :-2] + 2 * profile[..., 1:-1] + profile[..., 2:]) / 4, np.float32)


class _Path:
    """A line as it is followed: the places that were looked at, and how strong it was there."""

    def __init__(self, values: NDArray[np.int8], seed: _Seed) -> None:
        self.values, self.sign = values, seed.sign
        self.nodes: list[tuple[float, float]] = []
        for half in (0, 1):
            first = seed.first + half * _STEP
            offset, _ = self.look(first, seed.start + (first - seed.first) * seed.slope, seed.slope)
            middle = first + (_STEP - 1) / 2
            self.nodes.append((middle, seed.start + (middle - seed.first) * seed.slope + offset))
        for ahead in (True, False):
            self.follow(ahead)

    def look(self, first: int, start: float, slope: float) -> tuple[int, float]:
        """Where across the line is best within a pixel, and how many deviations it has there."""
        along = np.arange(first, first + _STEP)
        profile = self.sign * _thin(_across(self.values, along, start + (along - first) * slope, 2).mean(axis=0))
        best = int(np.argmax(profile))
        return best - 1, float(profile[best]) / (0.61 * _UNIT / _STEP**0.5)

    def follow(self, ahead: bool) -> None:
        """Go on in one direction until it is not there twice."""
        missed: list[tuple[float, float]] = []
        while len(missed) < 2:
            known = self.nodes[-4:] if ahead else self.nodes[:4]
            slope, level = _through(known)
            end = (self.nodes[-1] if ahead else self.nodes[0])[0]
            middle = end + (len(missed) + 1) * (_STEP if ahead else -_STEP)
            first = int(middle - (_STEP - 1) / 2)
            start = level + slope * first
            if first < 0 or first + _STEP > self.values.shape[1] or not 0 <= start < self.values.shape[0]:
                return
            offset, strength = self.look(first, start, slope)
            if strength < 2.0:
                missed.append((middle, level + slope * middle))
                continue
            new = [*missed, (middle, level + slope * middle + offset)]
            self.nodes = [*self.nodes, *new] if ahead else [*new[::-1], *self.nodes]
            missed = []

    def whole(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Every place along it, and where it is across."""
        along, across = np.array(self.nodes).T
        places = np.arange(int(along[0] - (_STEP - 1) / 2), int(along[-1] + (_STEP + 1) / 2))
        if len(along) > 3:
            across = np.convolve(np.pad(across, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
        inner = np.interp(places, along, across)
        first, last = places < along[0], places > along[-1]
        inner[first] += (places[first] - along[0]) * _through(self.nodes[:4])[0]
        inner[last] += (places[last] - along[-1]) * _through(self.nodes[-4:])[0]
        return places, inner


def _through(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and level of the straight line nearest to some places."""
    along, across = zip(*places, strict=True)
    mean, level = sum(along) / len(along), sum(across) / len(across)
    slope = sum((x - mean) * y for x, y in places) / sum((x - mean) ** 2 for x in along)
    return slope, level - slope * mean


def _height_and_neighbours(profile: NDArray[np.float32], slope: float) -> tuple[NDArray[np.float32], ...]:
    """Of profiles (..., 49): the height in their middle, the most at its rims, the most farther away."""
    thin = _thin(profile)
    middle, longer = _SIDE - 1, float(np.hypot(1, slope))  # a profile crosses a slanting line askew
    near, away, beyond = round(3 * longer), round(4 * longer), round(6 * longer)
    rims = thin[..., [middle - away, middle - near, middle + near, middle + away]].max(axis=-1)
    left, right = np.abs(thin[..., : middle - beyond + 1]), np.abs(thin[..., middle + beyond :])
    far = np.maximum(left.max(axis=-1), right.max(axis=-1))
    return thin[..., middle], rims, far


def _promising(values: Residual, seeds: list[_Seed]) -> Iterator[_Seed]:
    """The seeds that may become lines: thin, and nothing of their kind beside them."""
    for seed in seeds:
        turned = values.T if seed.transposed else values
        along = np.arange(seed.first, seed.first + _LENGTH)
        band = _across(turned, along, seed.start + (along - seed.first) * seed.slope)
        height, rims, far = _height_and_neighbours(seed.sign * band.mean(axis=0) / _UNIT, seed.slope)
        if 0 < height <= 1.5 * _MOST_HEIGHT and rims <= 0.2 * height and far <= _LOOSER * _BESIDE * height:
            yield seed


def _is_line(
    values: Residual, pixels: Pixels, sign: int, along: NDArray[np.int64], across: NDArray[np.float64]
) -> bool:
    """Whether what was followed keeps all bounds; `values` and `pixels` turned as it is."""
    if np.hypot(along[-1] - along[0], across[-1] - across[0]) < _LEAST_LENGTH:
        return False
    slope, level = _through(list(zip(along.tolist(), across.tolist(), strict=True)))
    if np.quantile(np.abs(level + slope * along - across), 0.95) > _BENT:
        return False
    band = sign * _across(values, along, across) / _UNIT
    height, rims, far = _height_and_neighbours(band.mean(axis=0), slope)
    if not 0 < height <= _MOST_HEIGHT or rims > _RIM * height / (1 + slope**2) or far > _BESIDE * height:
        return False
    pieces = band[: len(along) // _STEP * _STEP].reshape(-1, _STEP, band.shape[1]).mean(axis=1)
    heights, _, _ = _height_and_neighbours(pieces, slope)
    return bool(heights.std() <= _UNEVEN * heights.mean()) and _faint_on_even_ground(pixels, sign, along, across)


def _faint_on_even_ground(pixels: Pixels, sign: int, along: NDArray[np.int64], across: NDArray[np.float64]) -> bool:
    """Whether the light of both flanks is alike, and the line little brighter or darker than they are."""
    rows = np.clip(np.rint(across).astype(np.int64)[:, None] + np.arange(-7, 8), 0, pixels.shape[0] - 1)
    light = grey(pixels[rows, along[:, None]]).mean(axis=0)
    left, right = float(light[:5].mean()), float(light[10:].mean())
    contrast = sign * (float(light[6:9].mean()) - (left + right) / 2)
    return 0 < contrast <= _MOST_CONTRAST * max(float(light.mean()), 0.05) and abs(left - right) <= _TILTED * contrast


def find_lines(pixels: Pixels, *, threads: int | None = None) -> list[Line]:
    """Find the long faint lines of a scan.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
    threads
        Threads to use; all cores unless given.

    Returns
    -------
    lines : list of Line
    """
    values = residual(pixels)
    height, width = values.shape
    corners = [(row, column) for row in range(0, height, _BLOCK) for column in range(0, width, _BLOCK)]

    def of_block(corner: tuple[int, int]) -> list[_Seed]:
        return list(_promising(values, list(_seeds(values, *corner))))

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        seeds = [seed for found in pool.map(of_block, corners) for seed in found]
    seen = np.zeros(values.shape, np.bool_)
    lines = []
    for seed in sorted(seeds, key=lambda one: -one.strength):
        turn: Callable[[NDArray[Any]], NDArray[Any]] = _transposed if seed.transposed else np.asarray
        if _known(turn(seen), seed):
            continue
        along, across = _Path(turn(values), seed).whole()
        _remember(turn(seen), along, across)
        along, across = _trimmed(turn(values), seed.sign, along, across)
        if _is_line(turn(values), turn(pixels), seed.sign, along, across):
            points = np.stack((along, across) if seed.transposed else (across, along), axis=1)
            lines.append(Line(points.astype(np.float64), seed.sign > 0))
    return lines


def _trimmed(
    values: Residual, sign: int, along: NDArray[np.int64], across: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A line without what was followed beyond its ends: pieces of 8 pixels with less than a third of its height."""
    thin = sign * _thin(_across(values, along, across, 1))[:, 0]
    there = thin[: len(thin) // 8 * 8].reshape(-1, 8).mean(axis=1) > thin.mean() / 3
    if not there.any():
        return along, across
    first, last = int(np.argmax(there)) * 8, (len(there) - int(np.argmax(there[::-1]))) * 8
    return along[first:last], across[first:last]


def _transposed(array: NDArray[Any]) -> NDArray[Any]:
    return np.swapaxes(array, 0, 1)


def _known(seen: NDArray[np.bool_], seed: _Seed) -> bool:
    """Whether the middle of a seed lies on a line that was followed."""
    row = round(seed.start + seed.slope * _LENGTH / 2)
    return bool(seen[min(max(row, 0), seen.shape[0] - 1), seed.first + _LENGTH // 2])


def _remember(seen: NDArray[np.bool_], along: NDArray[np.int64], across: NDArray[np.float64]) -> None:
    """Mark three pixels to each side of a line that was followed."""
    rows = np.rint(across).astype(np.int64)[:, None] + np.arange(-3, 4)
    seen[np.clip(rows, 0, seen.shape[0] - 1), along[:, None]] = True


def mark_lines(found: NDArray[np.bool_] | Grades | DamageMap, lines: Sequence[Line]) -> None:
    """Mark lines as certain damage, in place.

    Parameters
    ----------
    found : (H, W) bool, uint8 or float32
        A mask, a damage map in grades (:func:`redust.core.grades.grades`) or a damage map of the whole scan.
    lines
        What :func:`find_lines` or :func:`redust.detectors.through.find_through` gave.
    """
    certain = GRADES - 1 if found.dtype == np.uint8 else 1
    for line in lines:
        reach = np.arange(line.width) - line.width // 2
        rows, columns = np.rint(line.points).astype(np.int64).T
        steep = abs(rows[-1] - rows[0]) > abs(columns[-1] - columns[0])
        rows = rows[:, None] + (0 if steep else reach)
        columns = columns[:, None] + (reach if steep else 0)
        found[np.clip(rows, 0, found.shape[0] - 1), np.clip(columns, 0, found.shape[1] - 1)] = certain
