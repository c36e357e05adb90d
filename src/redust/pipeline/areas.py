"""Where a person has decided: the whole mask, areas to add, areas to protect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from redust.core.arrays import Mask, check_mask
from redust.files import read_mask


@dataclass(frozen=True, eq=False)
class Areas:
    """What a person has decided. It is taken at its word: neither filtered nor grown.

    Parameters
    ----------
    only : (H, W) bool, optional
        The whole mask; nothing is detected.
    add : (H, W) bool, optional
        Repaired whatever the detector says.
    protect : (H, W) bool, optional
        Never touched; it wins over `only` and `add`.
    """

    only: Mask | None = None
    add: Mask | None = None
    protect: Mask | None = None

    def apply(self, mask: Mask) -> Mask:
        """Add and protect: a new mask, or `mask` itself where the person has said nothing.

        Raises
        ------
        ValueError
            If an area's size differs from the mask's.
        """
        shape = mask.shape[0], mask.shape[1]
        if self.add is not None:
            check_mask(self.add, shape)
            mask = mask | self.add
        if self.protect is not None:
            check_mask(self.protect, shape)
            mask = mask & ~self.protect
        return mask

    @classmethod
    def read(cls, shape: tuple[int, int], *, index: int = 0, **areas: Path | Mask | None) -> Self:
        """Read `only`, `add` and `protect` where they are files; check them where they are arrays.

        `index` says which of the pages of a scan they are for; see :func:`redust.files.masks.read_mask`.

        Raises
        ------
        MaskMismatch
            If a file's size is not `shape` (height, width).
        TypeError, ValueError
            If an array is not bool or not of `shape`.
        """
        return cls(**{name: _area(area, shape, index) for name, area in areas.items()})


def _area(area: Path | Mask | None, shape: tuple[int, int], index: int) -> Mask | None:
    if area is None:
        return None
    if isinstance(area, np.ndarray):
        check_mask(area, shape)
        return area
    return read_mask(area, shape, index=index)
