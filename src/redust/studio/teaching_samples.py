"""What corrections teach: the candidate regions of corrected scans, labelled by what became of them.

Regions that a person corrected, and all others as they are marked now. The few corrected ones count as much as all
others together, and each several times, or no leaf of a tree could hold them; so regions like them follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from redust.core.labels import Label
from redust.core.settings import Sensitivity
from redust.decision.candidates import find_candidates, measure_tone
from redust.decision.region_features import measure_regions
from redust.decision.regions import Regions
from redust.studio.corrections import PixelState, States
from redust.studio.open_scan import OpenScan, is_marked
from redust.studio.refusals import BadRequest
from redust.training.region_trees import FittedTrees, RegionSample, fit_trees
from redust.training.regions import label_regions

_FOLDS = 4  # parts that the regions of all scans are split into
_COPIES = 8  # of each corrected region
_MIN_LEVEL, _MAX_LEVEL = 0.02, 0.98
_FALSE_RATIO = {Sensitivity.shy: 0.2, Sensitivity.eager: 6.0}  # unmarked regions that score above, beside `normal`


@dataclass(frozen=True, eq=False)
class LabelledRegions:
    """The candidate regions of a corrected scan.

    Parameters
    ----------
    values : (count, features) float32
    labels : (count,) int16
        :class:`Label` of each.
    corrected : (count,) bool
        Whether a person has corrected it.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int16]
    corrected: NDArray[np.bool_]


def label_scan(opened: OpenScan) -> LabelledRegions:
    """Measure and label the candidate regions of a scan that is detected and decided."""
    height, width = opened.shape
    bins = opened.map_bins(slice(0, height), slice(0, width))
    if bins is None:
        raise BadRequest("The scan is not searched for damage yet. Wait until it is.")
    pixels = opened.scan().pixels
    tone = measure_tone(pixels)
    regions = Regions(find_candidates(bins, tone))
    table = measure_regions(regions, pixels, bins, tone)
    states = opened.states(slice(0, height), slice(0, width))
    corrections = opened.corrections.window(slice(0, height), slice(0, width))
    truth = np.where(is_marked(states), np.uint8(Label.damage), np.uint8(Label.background))
    truth[states == PixelState.protected] = Label.ignore
    corrected = _touches(regions, (corrections == PixelState.by_hand) | (corrections == PixelState.off))
    rows = table.has_evidence
    return LabelledRegions(table.values[rows], label_regions(regions, truth)[rows], corrected[rows])


def _touches(regions: Regions, area: States | NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which regions hold a pixel of an area, (count,) bool."""
    touched = np.zeros(regions.count + 1, np.bool_)
    for rows, labels in regions.bands():
        touched[labels[area[rows]]] = True
    return touched[1:]


def make_samples(scans: Sequence[LabelledRegions]) -> list[RegionSample]:
    """The samples to fit trees to.

    Raises
    ------
    BadRequest
        If nothing that can be learnt was corrected.
    """
    values, labels, corrected = (
        np.concatenate([getattr(scan, name) for scan in scans]) for name in ("values", "labels", "corrected")
    )
    learnt = corrected & (labels != Label.ignore)
    if not learnt.any():
        raise BadRequest("No region that can be told apart was corrected. Drop or mark some, then teach again.")
    samples = []
    uncorrected = np.flatnonzero(~corrected)
    for fold in range(_FOLDS):
        rows = uncorrected[fold::_FOLDS]
        samples.append(RegionSample(f"scans-{fold}", 1.0, values[rows], labels[rows]))
    weight = max(1.0, len(uncorrected) / (np.count_nonzero(learnt) * _COPIES))
    for copy in range(_COPIES):
        taught = RegionSample(f"corrections-{copy}", 1.0, values[learnt], labels[learnt])
        samples.append(replace(taught, weight=weight))
    return samples


def fit_corrections(scans: Sequence[LabelledRegions]) -> tuple[FittedTrees, dict[Sensitivity, float]]:
    """Fit trees to corrected scans, and choose the scores from which on a region counts as damage.

    Raises
    ------
    BadRequest
        As :func:`make_samples`.
    TrainingError
        If there is no damage, or nothing else, to learn from.
    """
    samples = make_samples(scans)
    fitted = fit_trees(samples, folds=_FOLDS)
    return fitted, choose_levels(fitted, samples)


def choose_levels(fitted: FittedTrees, samples: Sequence[RegionSample]) -> dict[Sensitivity, float]:
    """The levels: ``normal`` parts damage from what is none best; the others by how much of the latter scores above."""
    scores, labels = np.concatenate(fitted.scores), np.concatenate([sample.labels for sample in samples])
    weights = np.concatenate([np.full(len(sample.labels), sample.weight) for sample in samples])
    damaged, sound = labels == Label.damage, labels == Label.background
    order = np.argsort(-scores)
    hits, falses = np.cumsum((weights * damaged)[order]), np.cumsum((weights * sound)[order])
    f1 = 2 * hits / (hits + falses + (weights * damaged).sum() + 1e-9)
    normal = float(np.clip(scores[order][int(np.argmax(f1))], _MIN_LEVEL, _MAX_LEVEL))
    false_scores = np.sort(scores[sound])[::-1]
    above = int(np.count_nonzero(false_scores >= normal))
    levels = {Sensitivity.normal: normal}
    for sensitivity, ratio in _FALSE_RATIO.items():
        index = round(above * ratio)
        level = float(false_scores[index]) if index < len(false_scores) else _MIN_LEVEL
        levels[sensitivity] = float(np.clip(level, _MIN_LEVEL, 0.999))
    levels[Sensitivity.shy] = max(levels[Sensitivity.shy], (1 + normal) / 2)
    levels[Sensitivity.eager] = min(levels[Sensitivity.eager], normal / 2)
    return {name: round(levels[name], 4) for name in Sensitivity}
