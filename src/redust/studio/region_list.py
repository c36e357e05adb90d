"""The regions of a scan as a person sees them: marked automatically, dropped, protected, or marked by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from redust.decision.sensitivity_steps import LAST_STEP
from redust.decision.shape_classes import CLASSES
from redust.studio.corrections import Corrections, PixelState
from redust.studio.database import TILE
from redust.studio.decisions import RegionList, list_regions
from redust.studio.open_scan import OpenScan
from redust.studio.records import RegionRecord, RegionState

Integers: TypeAlias = NDArray[np.int64]

_STATES = {
    PixelState.untouched: RegionState.marked,
    PixelState.by_hand: RegionState.by_hand,
    PixelState.off: RegionState.dropped,
    PixelState.protected: RegionState.protected,
}
_CERTAIN = LAST_STEP + 1


@dataclass(frozen=True, eq=False)
class ShownRegions:
    """Regions with their states.

    Parameters
    ----------
    regions
        The automatic ones, then those marked by hand.
    states : (count,) uint8
        :class:`PixelState` of each.
    """

    regions: RegionList
    states: NDArray[np.uint8]

    @property
    def is_marked(self) -> NDArray[np.bool_]:
        """Which of them are to be repaired."""
        return np.asarray((self.states == PixelState.untouched) | (self.states == PixelState.by_hand))


def show_regions(opened: OpenScan) -> ShownRegions | None:
    """All regions of a scan; None where the whole scan is not decided."""
    decision = opened.decision
    if decision is None:
        return None
    automatic, by_hand = decision.regions, _list_by_hand(opened.corrections)
    states = _states_at(opened.corrections, automatic.positions)
    painted_over = states == PixelState.by_hand  # then part of a region by hand
    joined = RegionList(*(
        np.concatenate([getattr(automatic, name)[~painted_over], getattr(by_hand, name)])
        for name in RegionList.__dataclass_fields__
    ))  # fmt: skip
    return ShownRegions(
        joined, np.concatenate([states[~painted_over], np.full(len(by_hand.areas), PixelState.by_hand, np.uint8)])
    )


def count_marked_regions(opened: OpenScan) -> int | None:
    """How many regions are to be repaired; None where the whole scan is not decided."""
    shown = show_regions(opened)
    return None if shown is None else int(np.count_nonzero(shown.is_marked))


def _states_at(corrections: Corrections, positions: Integers) -> NDArray[np.uint8]:
    """The corrections at pixels, (count,) uint8."""
    states = np.zeros(len(positions), np.uint8)
    tiles = positions // TILE
    for (row, column), tile in corrections.tiles.items():
        (inside,) = np.nonzero((tiles[:, 0] == row) & (tiles[:, 1] == column))
        states[inside] = tile[positions[inside, 0] % TILE, positions[inside, 1] % TILE]
    return states


def _list_by_hand(corrections: Corrections) -> RegionList:
    """The regions that were marked by hand."""
    indices = [index for index, tile in corrections.tiles.items() if (tile == PixelState.by_hand).any()]
    if not indices:
        none = np.zeros(0, np.int64)
        return RegionList(np.zeros((0, 4), np.int64), none, none.astype(np.int8), none, np.zeros((0, 2), np.int64))
    low, high = np.min(indices, axis=0) * TILE, (np.max(indices, axis=0) + 1) * TILE
    high = np.minimum(high, corrections.shape)
    window = corrections.window(slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    mask = window == PixelState.by_hand
    regions = list_regions(mask, np.full(mask.shape, _CERTAIN, np.uint8))
    return RegionList(
        regions.boxes + np.tile(low, 2), regions.areas, regions.classes, regions.steps, regions.positions + low
    )


def sort_regions(shown: ShownRegions, order: str) -> Integers:
    """The indices of regions in an order: ``doubt`` (nearest to the level first), ``size`` or ``position``."""
    regions = shown.regions
    if order == "size":
        return np.argsort(-regions.areas, kind="stable")
    if order == "position":
        return np.lexsort((regions.boxes[:, 1], regions.boxes[:, 0]))
    return np.argsort(regions.steps, kind="stable")


def describe_region(shown: ShownRegions, index: int) -> RegionRecord:
    """One region as the API shows it; its confidence is the share of the slider's steps that mark it."""
    regions = shown.regions
    top, left, bottom, right = (int(side) for side in regions.boxes[index])
    row, column = (int(value) for value in regions.positions[index])
    return RegionRecord(
        id=f"{column}_{row}", damage_class=CLASSES[int(regions.classes[index])].value, area=int(regions.areas[index]),
        box=(left, top, right - left, bottom - top), point=(column, row),
        confidence=round(int(regions.steps[index]) / _CERTAIN, 4), state=_STATES[PixelState(int(shown.states[index]))],
    )  # fmt: skip
