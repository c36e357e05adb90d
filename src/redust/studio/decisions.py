"""From a scan's damage map to what is repaired: of the whole scan for exports and counts, of a window for the slider.

Both go through the pipeline's own decision. A window's is that of the whole scan but for regions that leave it by more
than a margin, and without the over-detection guard, which looks at larger squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.scan import Scan
from redust.core.settings import DamageClass, RestoreSettings, Sensitivity
from redust.core.tiles import widen
from redust.decision.filters import filter_components
from redust.decision.regions import Regions
from redust.decision.sensitivity_steps import LAST_STEP, MarkedSteps, candidates_at, step_of
from redust.decision.shape_classes import CLASSES, classify_regions
from redust.pipeline.areas import Areas
from redust.pipeline.pipeline import Pipeline
from redust.studio.records import ScanChoices

Counts: TypeAlias = NDArray[np.int64]

_MARGIN = 64  # pixels around a window
_GRAIN = RestoreSettings.model_fields["grain"].default
_NAMED = {0: Sensitivity.shy, LAST_STEP: Sensitivity.eager}


def make_settings(choices: ScanChoices, base: RestoreSettings, level: float | None = None) -> RestoreSettings:
    """The settings of the command line that a scan's choices mean.

    Parameters
    ----------
    base
        The server's own, such as the detector.
    level
        That of the slider's position, where it lies between the levels that have a name.
    """
    step = step_of(choices.sensitivity)
    decided: dict[str, object] = {"level": level} if step not in (*_NAMED, LAST_STEP // 2) else {}
    if step in _NAMED:
        decided = {"sensitivity": _NAMED[step]}
    only = () if set(choices.classes) == set(DamageClass) else tuple(sorted(choices.classes))
    return RestoreSettings.of(**base.model_dump() | decided | {
        "grow": choices.grow, "min_size": choices.min_size or 1, "max_size": choices.max_size, "only": only,
        "polarity": choices.polarity, "fill": choices.fill, "grain": _GRAIN if choices.grain else 0.0,
    })  # fmt: skip


@dataclass(frozen=True, eq=False)
class RegionList:
    """The regions of a decision, before they are grown.

    Parameters
    ----------
    boxes : (count, 4) int64
        Top, left, bottom, right.
    areas : (count,) int64
        Pixels.
    classes : (count,) int8
        Places in :data:`redust.decision.shape_classes.CLASSES`.
    steps : (count,) int64
        How many steps of the slider mark its likeliest pixel.
    positions : (count, 2) int64
        Row and column of one of its pixels.
    """

    boxes: Counts
    areas: Counts
    classes: NDArray[np.int8]
    steps: Counts
    positions: Counts

    def counts(self) -> dict[str, int]:
        """How many there are of each class."""
        counted = np.bincount(self.classes, minlength=len(CLASSES))
        return {name.value: int(count) for name, count in zip(CLASSES, counted, strict=True)}


@dataclass(frozen=True, eq=False)
class Decision:
    """What is marked automatically on a whole scan.

    Parameters
    ----------
    mask : (H, W) bool
    regions
        Before growing.
    count
        Marked pixels.
    """

    mask: Mask
    regions: RegionList
    count: int
    warnings: list[str] = field(default_factory=list)


def decide_scan(
    marked_steps: MarkedSteps,
    scan: Scan,
    settings: RestoreSettings,
    step: int,
    checkpoint: Callable[[], None] | None = None,
) -> Decision:
    """Decide a whole scan, as a restoration with these settings would; `checkpoint` may end it half way."""
    decision = Pipeline(settings).method.decide(candidates_at(marked_steps, step), scan, Areas())
    if checkpoint is not None:
        checkpoint()
    regions = list_regions(decision.ungrown, marked_steps)
    return Decision(
        decision.mask, regions, int(np.count_nonzero(decision.mask)),
        decision.warnings(settings.max_tile_coverage),
    )  # fmt: skip


def decide_window(
    marked_steps: MarkedSteps, pixels: Pixels | None, settings: RestoreSettings, step: int, rows: slice, columns: slice
) -> Mask:
    """Decide a window at once, (h, w) bool; `pixels` of the scan where the polarity counts."""
    window, core = widen((rows, columns), _MARGIN, marked_steps.shape)
    decision = filter_components(
        candidates_at(marked_steps[window], step), grow=settings.grow, min_size=settings.min_size,
        max_size=settings.max_size, polarity=settings.polarity, only=settings.only, skip=settings.skip,
        pixels=None if pixels is None else pixels[window],
    )  # fmt: skip
    return decision.mask[core]


def list_regions(mask: Mask, marked_steps: MarkedSteps) -> RegionList:
    """Measure the regions of a mask, (H, W) bool."""
    regions = Regions(mask)
    steps, positions = np.zeros(regions.count + 1, np.int64), np.zeros(regions.count + 1, np.int64)
    for rows, labels in regions.bands():
        inside = np.flatnonzero(labels)
        region = labels.ravel()[inside]
        np.maximum.at(steps, region, marked_steps[rows].ravel()[inside].astype(np.int64))
        positions[region] = inside + rows.start * mask.shape[1]
    corners = np.stack(np.divmod(positions[1:], max(mask.shape[1], 1)), axis=1)
    return RegionList(regions.boxes(), regions.sizes(), classify_regions(mask), steps[1:], corners)
