"""Connected damage, counted and measured in bands of rows.

Labels of a whole scan would take four bytes per pixel, more than the scan itself may. Here they exist for
one band at a time; a union-find joins what bands cut through, so the answer does not depend on the band.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.core.tiles import bands

Labels = NDArray[np.int32]
Sums = NDArray[np.float64]

_BAND, _BAND_PIXELS = 512, 5 << 19  # rows of a band, and pixels of the bands of wide scans


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a mask: masked pixels that touch, also at corners.

    Parameters
    ----------
    mask : (H, W) bool
    rows
        Height of a band in pixels; it changes memory, not the answer. 512, and less for scans wider than 5,120 pixels,
        unless given.
    """

    mask: Mask
    rows: int = 0
    _starts: list[int] = field(init=False, repr=False)
    _region_of: Labels = field(init=False, repr=False)
    _boxes: NDArray[np.int64] = field(init=False, repr=False)
    _areas: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.rows:
            object.__setattr__(self, "rows", max(1, min(_BAND, _BAND_PIXELS // max(self.mask.shape[1], 1))))
        joined = _UnionFind()
        starts: list[int] = []
        measures: list[NDArray[np.int64]] = []
        above: Labels | None = None
        for band in bands(self.mask.shape[0], self.rows):
            starts.append(joined.total)
            labels, stats = _measure_band(self.mask[band])
            start = joined.add_labels(len(stats))
            if above is not None:
                joined.join_rows(above, _offset_labels(labels[0], start))
            above = _offset_labels(labels[-1], start)
            measures.append(stats + np.array([0, band.start, 0, 0, 0]))
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_region_of", joined.number_labels())
        self._gather(np.concatenate(measures))

    def _gather(self, measures: NDArray[np.int64]) -> None:
        """From left, top, width, height and area of each label in each band to those of regions."""
        left, top, width, height, area = measures.T
        region = self._region_of[1:] - 1
        low = np.full((self.count, 2), np.iinfo(np.int64).max)
        high = np.zeros((self.count, 2), np.int64)
        total = np.zeros(self.count, np.int64)
        np.minimum.at(low, region, np.stack([top, left], axis=1))
        np.maximum.at(high, region, np.stack([top + height, left + width], axis=1))
        np.add.at(total, region, area)
        object.__setattr__(self, "_boxes", np.hstack([low, high]))
        object.__setattr__(self, "_areas", total)

    @property
    def count(self) -> int:
        """How many regions there are."""
        return int(self._region_of.max(initial=0))

    def bands(self) -> Iterator[tuple[slice, Labels]]:
        """Go through the scan from the top.

        Yields
        ------
        rows : slice
        labels : (h, W) int32
            0 where the mask is False, else the region's number, 1..count.
        """
        for band, labels, region_of in self._label_bands():
            yield band, region_of[labels]

    def _label_bands(self) -> Iterator[tuple[slice, Labels, Labels]]:
        """Bands of rows, their own labels (h, W), and the region of each of these; background stays 0."""
        for band, start in zip(bands(self.mask.shape[0], self.rows), self._starts, strict=True):
            count, labels = _label_band(self.mask[band])
            yield band, labels, np.concatenate([self._region_of[:1], self._region_of[start + 1 : start + 1 + count]])

    def sizes(self) -> NDArray[np.int64]:
        """The number of pixels of each region, (count,) int64."""
        return self._areas

    def boxes(self) -> NDArray[np.int64]:
        """Where each region lies, (count, 4) int64: top, left, bottom, right, the last two exclusive."""
        return self._boxes

    def keep(self, selected: NDArray[np.bool_]) -> Mask:
        """The mask of the regions for which `selected`, (count,) bool, is True."""
        return self.add_to(np.zeros_like(self.mask), selected)

    def add_to(self, mask: Mask, selected: NDArray[np.bool_]) -> Mask:
        """Add the regions for which `selected`, (count,) bool, is True to a mask (H, W), in place; returns it."""
        lookup = np.concatenate([[False], selected])
        for band, labels, region_of in self._label_bands():
            mask[band] |= lookup[region_of][labels]
        return mask

    def remove_from(self, mask: Mask, selected: NDArray[np.bool_]) -> Mask:
        """Take the regions for which `selected`, (count,) bool, is True out of a mask (H, W), in place; returns it.

        The mask may be that of these regions, which are of no further use then.
        """
        lookup = np.concatenate([[True], ~selected])
        for band, labels, region_of in self._label_bands():
            mask[band] &= lookup[region_of][labels]
        return mask


def _label_band(mask: Mask) -> tuple[int, Labels]:
    """Number the regions of one band: how many, and (h, W) int32 labels 0..count."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count - 1, np.asarray(labels, dtype=np.int32)


def _measure_band(mask: Mask) -> tuple[Labels, NDArray[np.int64]]:
    """Number the regions of one band: (h, W) int32 labels 0..n; left, top, width, height and area, (n, 5) int64."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(labels, dtype=np.int32), stats[1:].astype(np.int64)


def _offset_labels(labels: Labels, start: int) -> Labels:
    """Labels of a band as labels of the scan: background stays 0."""
    return np.where(labels > 0, labels + np.int32(start), np.int32(0))


class _UnionFind:
    """A union-find over the labels of all bands."""

    def __init__(self) -> None:
        self.total = 0
        self._parent: dict[int, int] = {}

    def add_labels(self, count: int) -> int:
        """Make room for `count` labels; the number before the first."""
        start = self.total
        self.total += count
        return start

    def join_rows(self, above: Labels, below: Labels) -> None:
        """Join the labels of two neighbouring rows (W,) where they touch, corners included."""
        wide = np.pad(above, 1)
        pairs = [np.stack([wide[shift : shift + below.size], below]) for shift in range(3)]
        both = np.concatenate(pairs, axis=1)
        both = both[:, (both > 0).all(axis=0)]
        for first, second in np.unique(both, axis=1).T.tolist():
            self._join_roots(self._find_root(first), self._find_root(second))

    def number_labels(self) -> Labels:
        """The region's number, 1..count, for each label 0..total; 0 for 0."""
        roots = np.arange(self.total + 1, dtype=np.int64)
        for label in self._parent:
            roots[label] = self._find_root(label)
        is_root = roots == np.arange(self.total + 1)
        is_root[0] = False
        number: Labels = np.cumsum(is_root, dtype=np.int32)[roots]
        number[0] = 0
        return number

    def _find_root(self, label: int) -> int:
        path = []
        while label in self._parent:
            path.append(label)
            label = self._parent[label]
        for step in path:
            self._parent[step] = label
        return label

    def _join_roots(self, first: int, second: int) -> None:
        if first != second:
            self._parent[max(first, second)] = min(first, second)
