"""A region's company: how many others are near, and how alike they are.

Dust falls at random: its specks differ in size, contrast and direction. A scene repeats itself: gaps between stones,
leaves and bars lie side by side, of one size, in one direction. Sums over neighbours come from box filters over a grid
of blocks, so no pair of regions is ever compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.decision.candidates import BLOCK

Sums: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = dict[str, Sums]

NEAR, FAR = 9, 33  # blocks of 8 pixels: sides of the squares in which company is counted
_EVEN_ODDS = 8.1  # map_max at a probability of 0.5
_SETTLED = 3.0  # likely neighbours from which on their likeness means something


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Sums over the regions around each region.

    Parameters
    ----------
    x, y : (count,) float64
        Middles of the regions, in pixels.
    blocks
        (height, width) of the scan in blocks of 8 pixels.
    """

    x: Sums
    y: Sums
    blocks: tuple[int, int]

    def sum_square(self, weight: Sums, side: int) -> Sums:
        """The weight of the regions in the square of `side` blocks around each, its own included; (count,)."""
        rows, columns = self.y.astype(np.int64) // BLOCK, self.x.astype(np.int64) // BLOCK
        grid = np.zeros(self.blocks)
        np.add.at(grid, (rows, columns), weight)
        total = cv2.boxFilter(grid, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(total, np.float64).reshape(self.blocks)[rows, columns]

    def sum_neighbours(self, weight: Sums, side: int) -> Sums:
        """The same without its own, at least 0."""
        return np.maximum(self.sum_square(weight, side) - weight, 0)


def company_columns(columns: Columns, angle: Sums, around: Neighbourhood) -> Columns:
    """Company in numbers and in likeness.

    Parameters
    ----------
    columns
        Of shape, map and light.
    angle
        Direction of each region's longer axis, radians.
    around
        Where the regions lie.
    """
    unit = np.ones(len(angle))
    chance = 1 / (1 + np.exp(_EVEN_ODDS - columns["map_max"]))
    sign = np.sign(columns["signed_contrast"])
    weight = chance * np.minimum(columns["hat_max"] / 6, 1)
    balance = float((sign * weight).sum() / (weight.sum() + _SETTLED))
    of_either_sign = [around.sum_neighbours(chance * (sign == polarity), FAR) for polarity in (1, -1)]
    return {
        "crowd_far": np.log1p(around.sum_neighbours(unit, FAR)),
        "strong_near": np.log1p(around.sum_neighbours(chance, NEAR)),
        "strong_alike": np.log1p(np.where(sign > 0, *of_either_sign)),
        "strong_share": around.sum_neighbours(chance, FAR) / around.sum_square(unit, FAR),
        "with_majority": sign * balance,
        "hat_to_usual": columns["hat_max"] / (float(np.percentile(columns["hat_max"], 90)) + 1),
        "aligned": _alignment(chance * (1 - np.exp(-columns["elongation"])), angle, around),
    } | _likeness(columns, chance, around)


def _alignment(weight: Sums, angle: Sums, around: Neighbourhood) -> Sums:
    """How much of the company lies in a region's own direction, -1 (across) to 1; 0 for round or lone regions."""
    along, across = (
        around.sum_square(weight * part, FAR) - weight * part for part in (np.cos(2 * angle), np.sin(2 * angle))
    )
    agreement = along * np.cos(2 * angle) + across * np.sin(2 * angle)
    return agreement / (around.sum_neighbours(weight, FAR) + _SETTLED / 3)


def _likeness(columns: Columns, chance: Sums, around: Neighbourhood) -> Columns:
    """Spread of length and contrast among likely neighbours, near 1 for few of them."""
    total = around.sum_square(chance, FAR)
    likeness = {}
    for name, source in (("length_spread", columns["length"]), ("contrast_spread", np.log(columns["contrast"] + 0.1))):
        mean = around.sum_square(chance * source, FAR) / (total + 1e-9)
        square = around.sum_square(chance * source**2, FAR) / (total + 1e-9)
        variance = np.maximum(square - mean**2, 0)
        likeness[name] = np.sqrt((variance * total + _SETTLED) / (total + _SETTLED))
    return likeness
