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

_BAND = 512


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a mask: masked pixels that touch, also at corners.

    Parameters
    ----------
    mask : (H, W) bool
    rows
        Height of a band in pixels; it changes memory, not the answer.
    """

    mask: Mask
    rows: int = _BAND
    _starts: list[int] = field(init=False, repr=False)
    _region_of: Labels = field(init=False, repr=False)

    def __post_init__(self) -> None:
        joined = _Joined()
        starts: list[int] = []
        above: Labels | None = None
        for band in bands(self.mask.shape[0], self.rows):
            starts.append(joined.total)
            count, labels = _label(self.mask[band])
            labels = _offset(labels, joined.add(count))
            if above is not None:
                joined.touch(above, labels[0])
            above = labels[-1].copy()
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_region_of", joined.numbered())

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
        for band, start in zip(bands(self.mask.shape[0], self.rows), self._starts, strict=True):
            _, labels = _label(self.mask[band])
            yield band, self._region_of[_offset(labels, start)]

    def sizes(self) -> NDArray[np.int64]:
        """The number of pixels of each region, (count,) int64."""
        total = np.zeros(self.count + 1, np.int64)
        for _, labels in self.bands():
            total += np.bincount(labels[labels > 0], minlength=self.count + 1)
        return total[1:]

    def boxes(self) -> NDArray[np.int64]:
        """Where each region lies, (count, 4) int64: top, left, bottom, right, the last two exclusive."""
        low = np.full((self.count, 2), np.iinfo(np.int64).max)
        high = np.zeros((self.count, 2), np.int64)
        for band, labels in self.bands():
            rows, columns = np.nonzero(labels)
            if rows.size:
                region = labels[rows, columns] - 1
                order = np.argsort(region, kind="stable")
                starts = np.flatnonzero(np.diff(region[order], prepend=-1))
                here = region[order][starts]
                for axis, places in enumerate((rows + band.start, columns)):
                    in_order = places[order]
                    low[here, axis] = np.minimum(low[here, axis], np.minimum.reduceat(in_order, starts))
                    high[here, axis] = np.maximum(high[here, axis], np.maximum.reduceat(in_order, starts) + 1)
        return np.hstack([low, high])

    def keep(self, wanted: NDArray[np.bool_]) -> Mask:
        """The mask of the regions for which `wanted`, (count,) bool, is True."""
        lookup = np.concatenate([[False], wanted])
        kept = np.empty_like(self.mask)
        for band, labels in self.bands():
            kept[band] = lookup[labels]
        return kept


def _label(mask: Mask) -> tuple[int, Labels]:
    """Number the regions of one band: how many, and (h, W) int32 labels 0..count."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count - 1, np.asarray(labels, dtype=np.int32)


def _offset(labels: Labels, start: int) -> Labels:
    """Labels of a band as labels of the scan: background stays 0."""
    return np.where(labels > 0, labels + np.int32(start), np.int32(0))


class _Joined:
    """A union-find over the labels of all bands."""

    def __init__(self) -> None:
        self.total = 0
        self._parent: dict[int, int] = {}

    def add(self, count: int) -> int:
        """Make room for `count` labels; the number before the first."""
        start = self.total
        self.total += count
        return start

    def touch(self, above: Labels, below: Labels) -> None:
        """Join the labels of two neighbouring rows (W,) where they touch, corners included."""
        wide = np.pad(above, 1)
        pairs = [np.stack([wide[shift : shift + below.size], below]) for shift in range(3)]
        both = np.concatenate(pairs, axis=1)
        both = both[:, (both > 0).all(axis=0)]
        for first, second in np.unique(both, axis=1).T.tolist():
            self._join(self._root(first), self._root(second))

    def numbered(self) -> Labels:
        """The region's number, 1..count, for each label 0..total; 0 for 0."""
        roots = np.arange(self.total + 1, dtype=np.int64)
        for label in self._parent:
            roots[label] = self._root(label)
        own = roots == np.arange(self.total + 1)
        own[0] = False
        number: Labels = np.cumsum(own, dtype=np.int32)[roots]
        number[0] = 0
        return number

    def _root(self, label: int) -> int:
        path = []
        while label in self._parent:
            path.append(label)
            label = self._parent[label]
        for step in path:
            self._parent[step] = label
        return label

    def _join(self, first: int, second: int) -> None:
        if first != second:
            self._parent[max(first, second)] = min(first, second)
