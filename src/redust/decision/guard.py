"""Stop short where more is marked than damage looks like.

A detector that meets what it does not know (a halftone, a page of print, foliage) marks it all over. Then it is better
to leave that part of the scan alone, and say so, than to smear it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.decision.regions import Regions

# Real dirt seldom fills 5 % of a square of this side, while smaller squares are filled by one hair; see
# docs/decisions/0006-over-detection-guard.md. The squares have nothing to do with the tiles a detector is given.
_SIDE = 768
_LEAST_AREA = 256 * 256  # pixels: in a scan smaller than this a few spots are a large share, and mean little


@dataclass(frozen=True)
class GuardResult:
    """What was left alone.

    Parameters
    ----------
    squares
        Squares of the scan that are marked beyond the limit.
    of
        How many squares the scan has.
    regions
        How many regions were dropped for it.
    most
        The largest share of a square that was marked, 0..1.
    """

    squares: int = 0
    of: int = 0
    regions: int = 0
    most: float = 0.0

    def sentence(self, limit: float) -> str:
        """What to tell the user; empty if nothing was left alone."""
        if not self.regions:
            return ""
        where = "The scan is" if self.of == 1 else f"{self.squares} of the scan's {self.of} squares are"
        return (
            f"{where} marked by more than {limit:.1%} (up to {self.most:.1%}), more than damage looks like: "
            f"{self.regions} regions there were left alone. If they are damage, accept them with --max-tile-coverage 1 "
            "or add them with --add-mask; if not, protect them with --not-mask or raise the level."
        )


def apply_guard(mask: Mask, limit: float, protect: Mask | None = None) -> tuple[Mask, GuardResult]:
    """Drop what lies in squares that are marked beyond belief.

    Regions go as a whole, those of which more than half lies in such squares: a scratch that crosses one stays, and
    nothing is cut at a square's edge.

    Parameters
    ----------
    mask : (H, W) bool
        As decided, before growing.
    limit : above 0, up to 1
        The largest share of a square that may be marked.
    protect : (H, W) bool, optional
        Areas that will not be touched anyway: what is marked there does not count.

    Returns
    -------
    kept : (H, W) bool
        `mask` itself if nothing was dropped.
    spared : Spared
    """
    rows, columns = (_edges(length) for length in mask.shape)
    share = _shares(mask, protect, rows, columns)
    over = share > limit
    if not over.any():
        return mask, GuardResult()
    found = Regions(mask)
    wanted = ~_mostly_in(found, over, rows, columns)
    spared = GuardResult(int(over.sum()), over.size, int((~wanted).sum()), float(share.max()))
    return found.keep(wanted), spared


def _edges(length: int) -> NDArray[np.int64]:
    """Where squares begin along a side, and its end: all of nearly one size."""
    return np.linspace(0, length, max(1, round(length / _SIDE)) + 1).round().astype(np.int64)


def _shares(
    mask: Mask, protect: Mask | None, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The share of each square that is marked and not protected, one row of squares at a time."""
    marked = []
    for top, bottom in pairwise(rows):
        part = mask[top:bottom] if protect is None else mask[top:bottom] & ~protect[top:bottom]
        marked.append(np.add.reduceat(np.count_nonzero(part, axis=0), columns[:-1]))
    area = np.maximum(np.diff(rows)[:, None] * np.diff(columns), _LEAST_AREA)
    share: NDArray[np.float64] = np.asarray(marked, np.float64) / area
    return share


def _mostly_in(
    found: Regions, squares: NDArray[np.bool_], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """For each region whether more than half of it lies in these `squares`; (count,) bool."""
    height, width = found.mask.shape
    row_of = np.searchsorted(rows, np.arange(height), side="right") - 1
    column_of = np.searchsorted(columns, np.arange(width), side="right") - 1
    total, inside = np.zeros((2, found.count + 1), np.int64)
    for band, labels in found.bands():
        there = squares[row_of[band]][:, column_of]
        total += np.bincount(labels.ravel(), minlength=found.count + 1)
        inside += np.bincount(labels[there], minlength=found.count + 1)
    return 2 * inside[1:] > total[1:]
