"""The over-detection guard: reject areas where more is marked than damage ever covers.

A detector that meets what it was not trained on (a halftone, a page of print, foliage) marks it all over. Then it is
better to leave that part of the scan as it is, and say so, than to smear it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.decision.regions import Regions

# Real dirt seldom covers 5 % of a square of this side, while smaller squares are filled by one hair; see
# docs/decisions/0006-over-detection-guard.md. The squares have nothing to do with the tiles of a detector.
_SIDE = 768
_MIN_AREA = 256 * 256  # pixels: in a scan smaller than this a few spots are a large share, and mean little


@dataclass(frozen=True)
class GuardResult:
    """What the guard rejected.

    Parameters
    ----------
    squares
        Squares of the scan that are marked beyond the limit.
    total_squares
        Squares of the scan.
    regions
        Regions that were dropped.
    max_coverage
        The largest share of a square that was marked, 0..1.
    """

    squares: int = 0
    total_squares: int = 0
    regions: int = 0
    max_coverage: float = 0.0

    def warnings(self, limit: float) -> list[str]:
        """A sentence for the user, if anything was rejected."""
        if not self.regions:
            return []
        several = f"{self.squares} of the scan's {self.total_squares} squares are"
        subject = "The scan is" if self.total_squares == 1 else several
        return [
            f"{subject} marked by more than {limit:.1%} (up to {self.max_coverage:.1%}), more than damage looks like: "
            f"{self.regions} regions there were left alone. If they are damage, accept them with --max-tile-coverage 1 "
            "or add them with --add-mask; if not, protect them with --not-mask or raise the level."
        ]


def apply_guard(mask: Mask, limit: float, protect: Mask | None = None) -> tuple[Mask, GuardResult]:
    """Drop the regions in squares that are marked beyond the limit.

    A region is dropped as a whole if more than half of it lies in such squares: a scratch that crosses one stays, and
    nothing is cut at a square's edge.

    Parameters
    ----------
    mask : (H, W) bool
        Before dilation.
    limit : above 0, up to 1
        The largest share of a square that may be marked.
    protect : (H, W) bool, optional
        Areas that will not be touched: what is marked there does not count.

    Returns
    -------
    mask : (H, W) bool
        `mask` itself if nothing was dropped.
    result : GuardResult
    """
    rows, columns = (_square_edges(length) for length in mask.shape)
    marked = _count_marked(mask, protect, rows, columns)
    area = np.diff(rows)[:, None] * np.diff(columns)
    over = marked / np.maximum(area, _MIN_AREA) > limit
    if not over.any():
        return mask, GuardResult()
    regions = Regions(mask)
    accepted = ~_mostly_inside(regions, over, rows, columns)
    result = GuardResult(int(over.sum()), over.size, int((~accepted).sum()), float((marked / area)[over].max()))
    return regions.keep(accepted), result


def _square_edges(length: int) -> NDArray[np.int64]:
    """Where squares begin along a side, and its end: all of nearly one size."""
    return np.linspace(0, length, max(1, round(length / _SIDE)) + 1).round().astype(np.int64)


def _count_marked(
    mask: Mask, protect: Mask | None, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The pixels of each square that are marked and not protected, one row of squares at a time."""
    counts = []
    for top, bottom in pairwise(rows):
        strip = mask[top:bottom] if protect is None else mask[top:bottom] & ~protect[top:bottom]
        counts.append(np.add.reduceat(np.count_nonzero(strip, axis=0), columns[:-1]))
    return np.asarray(counts, np.int64)


def _mostly_inside(
    regions: Regions, squares: NDArray[np.bool_], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """For each region whether more than half of it lies in these `squares`; (count,) bool."""
    height, width = regions.mask.shape
    row_of = np.searchsorted(rows, np.arange(height), side="right") - 1
    column_of = np.searchsorted(columns, np.arange(width), side="right") - 1
    total, inside = np.zeros((2, regions.count + 1), np.int64)
    for band, labels in regions.bands():
        in_squares = squares[row_of[band]][:, column_of]
        total += np.bincount(labels.ravel(), minlength=regions.count + 1)
        inside += np.bincount(labels[in_squares], minlength=regions.count + 1)
    return 2 * inside[1:] > total[1:]
