"""The scene guard: leave alone what is print or an eye, and say so.

Letters and pupils have the contrast, size and sharpness of damage; what gives them away is their company. Letters stand
in a row, of one height, one colour and like strokes. Pupils are two round dark spots of one size side by side, with
like light around both, and no third near. Only boxes, areas and mean light of the marked regions are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, full_scale
from redust.core.tiles import with_margin
from redust.decision.regions import Regions, Sums

Pairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]

_CHUNK = 512  # regions that are compared with all at a time
_LEAST_SIDE = 8  # pixels: what is smaller is no letter
_MAX_FILL = 0.7  # share of its box that a letter covers at most
_ALIKE = 1.45  # ratio of heights of neighbouring letters at most
_OFF_LINE, _GAP = 0.3, 2.5  # heights: how far off the line, and how far on, the next letter lies at most
_SAME_LIGHT = 0.08  # of full scale
_LEAST_LETTERS = 6  # in a row
_LEAST_PUPIL, _MAX_PUPIL = 6, 80  # pixels across
_APART = 3.0, 14.0  # diameters between pupils
_TILT = 0.35  # of the distance
_PUPIL_DARKNESS = 0.12  # of full scale below the light around


@dataclass(frozen=True)
class SceneResult:
    """How many regions the scene guard left alone.

    Parameters
    ----------
    letters, pupils
    """

    letters: int = 0
    pupils: int = 0

    def warnings(self) -> list[str]:
        """A sentence for the user for each kind that was left alone."""
        kinds = (("lettering", self.letters), ("the pupils of eyes", self.pupils))
        return [
            f"{count} regions left alone: they look like {kind}. Repair them with --no-guard." for kind, count in kinds
            if count
        ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Marks:
    """The marked regions: centres, heights and widths, areas, and their light and that around them, 0..1."""

    rows: Sums
    columns: Sums
    heights: Sums
    widths: Sums
    areas: Sums
    light: Sums
    around: Sums

    @property
    def sides(self) -> Sums:
        return np.maximum(self.heights, self.widths)


def apply_scene_guard(mask: Mask, pixels: Pixels) -> tuple[Mask, SceneResult]:
    """Drop the regions of a mask (H, W) that look like lettering or like the pupils of a face."""
    regions = Regions(mask)
    if regions.count < 2:
        return mask, SceneResult()
    marks = _measure_marks(regions, pixels)
    letters = _find_letters(marks)
    pupils = _find_pupils(marks) & ~letters
    if not (letters | pupils).any():
        return mask, SceneResult()
    return regions.keep(~(letters | pupils)), SceneResult(int(letters.sum()), int(pupils.sum()))


def _measure_marks(regions: Regions, pixels: Pixels) -> _Marks:
    top, left, bottom, right = regions.boxes().T.astype(np.float64)
    light, around, ring = np.zeros((3, regions.count + 1))
    for rows, labels in regions.bands():
        if not labels.any():
            continue
        padded, core = with_margin(rows, 4, pixels.shape[0])
        near = cv2.dilate(labels.astype(np.float32), np.ones((7, 7), np.uint8))
        near[regions.mask[padded][core]] = 0
        inside, outside = np.nonzero(labels), np.nonzero(near)
        numbers = near[outside].astype(np.int64)
        light += np.bincount(labels[inside], weights=_grey_of(pixels[rows][inside]), minlength=len(light))
        around += np.bincount(numbers, weights=_grey_of(pixels[rows][outside]), minlength=len(light))
        ring += np.bincount(numbers, minlength=len(light))
    areas = regions.sizes().astype(np.float64)
    surroundings = around[1:] / np.maximum(ring[1:], 1)
    return _Marks((top + bottom) / 2, (left + right) / 2, bottom - top, right - left, areas, light[1:] / areas,
                  surroundings)  # fmt: skip


def _grey_of(samples: NDArray[np.generic]) -> NDArray[np.float32]:
    """The mean light, 0..1, of samples (count, C)."""
    return np.asarray(np.nan_to_num(samples.mean(axis=1, dtype=np.float32)) / full_scale(samples.dtype))


def _find_letters(marks: _Marks) -> NDArray[np.bool_]:
    """Which regions stand in a row of letters, (count,) bool; text runs across or down."""
    fill = marks.areas / (marks.heights * marks.widths)
    (chosen,) = np.nonzero((marks.sides >= _LEAST_SIDE) & (fill <= _MAX_FILL))
    found = np.zeros(len(fill), np.bool_)
    along, across, heights = marks.columns[chosen], marks.rows[chosen], marks.heights[chosen]
    for ahead, aside, size in ((along, across, heights), (across, along, marks.widths[chosen])):
        found[chosen[_in_long_rows(ahead, aside, size, marks.light[chosen])]] = True
    return found


def _in_long_rows(ahead: Sums, aside: Sums, size: Sums, light: Sums) -> NDArray[np.bool_]:
    """Which of some regions stand with enough others of their size and light on one line, (count,) bool."""
    count = len(ahead)
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, count, _CHUNK):
        chunk = np.arange(start, min(start + _CHUNK, count))[:, None]
        taller, lower = np.maximum(size[chunk], size), np.minimum(size[chunk], size)
        is_next = (taller <= _ALIKE * lower) & (np.abs(light[chunk] - light) <= _SAME_LIGHT)
        is_next &= np.abs(aside[chunk] - aside) <= _OFF_LINE * lower
        step = ahead - ahead[chunk]
        is_next &= (step > 0.2 * lower) & (step <= _GAP * taller)
        rows, columns = np.nonzero(is_next)
        first.append(rows + start)
        second.append(columns)
    row_of = _join_pairs((np.concatenate(first), np.concatenate(second)), count)
    return np.bincount(row_of, minlength=count)[row_of] >= _LEAST_LETTERS


def _join_pairs(pairs: Pairs, count: int) -> NDArray[np.int64]:
    """The least number in the group of each of `count` things that these pairs join, (count,)."""
    group = np.arange(count)
    while True:
        lowest = group.copy()
        for source, target in (pairs, pairs[::-1]):
            np.minimum.at(lowest, target, group[source])
        lowest = lowest[lowest]
        if (lowest == group).all():
            return group
        group = lowest


def _find_pupils(marks: _Marks) -> NDArray[np.bool_]:
    """Which regions are one of two round dark spots side by side, and no third, (count,) bool."""
    found = np.zeros(len(marks.areas), np.bool_)
    fill = marks.areas / (marks.heights * marks.widths)
    is_round = (np.abs(np.log(marks.heights / marks.widths)) < 0.35) & (fill > 0.6)
    is_dark = marks.around - marks.light > _PUPIL_DARKNESS
    (chosen,) = np.nonzero(is_round & is_dark & (marks.sides >= _LEAST_PUPIL) & (marks.sides <= _MAX_PUPIL))
    if not 2 <= len(chosen) <= _CHUNK:  # hundreds of round spots are no faces
        return found
    rows, columns, sides, around = (values[chosen] for values in (marks.rows, marks.columns, marks.sides, marks.around))
    distance = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    side = np.maximum(sides[:, None], sides)
    is_pair = (distance >= _APART[0] * side) & (distance <= _APART[1] * side)
    is_pair &= (np.abs(rows[:, None] - rows) <= _TILT * distance) & (side <= 1.3 * np.minimum(sides[:, None], sides))
    is_pair &= np.abs(around[:, None] - around) <= _SAME_LIGHT
    is_lone = (distance < 1.5 * _APART[1] * sides[:, None]).sum(axis=1) == 2
    is_pair &= is_lone[:, None] & is_lone
    found[chosen[is_pair.any(axis=1)]] = True
    return found
