"""Which fill a choosing engine takes for how many regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.core.tiles import with_margin
from redust.decision.regions import Regions

_FAR = 64  # pixels: what is wider than twice that is measured as that wide


def count_fills(mask: Mask, choice: Callable[[float], str]) -> dict[str, int]:
    """Count the regions of a mask by what fills them.

    Parameters
    ----------
    mask : (H, W) bool
        As it is filled: grown.
    choice
        What fills a region that is so many pixels wide where it is widest.
    """
    return dict(Counter(choice(float(width)) for width in measure_widths(Regions(mask))))


def measure_widths(found: Regions) -> NDArray[np.float64]:
    """How wide each region is where it is widest, in pixels: (count,). No array is of the scan's size."""
    widest = np.zeros(found.count + 1)
    for rows, labels in found.bands():
        outer, inner = with_margin(rows, _FAR, found.mask.shape[0])
        distance = cv2.distanceTransform(found.mask[outer].view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[inner]
        marked = labels > 0
        np.maximum.at(widest, labels[marked], 2.0 * distance[marked] - 1)
    return widest[1:]
