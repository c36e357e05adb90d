"""What corrections teach: the candidate regions of corrected scans, labelled by what became of them.

A person corrects some regions and means others like them. So the labels spread first: of all that is marked, what is
likelier one of the dropped counts as dropped too, and the same for what was marked by hand, by linear discriminant
analysis repeated until nothing moves (self-training). Trees are then fitted to labels without contradictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels
from redust.core.labels import Label
from redust.core.settings import Sensitivity
from redust.decision.candidates import find_candidates, measure_tone
from redust.decision.region_features import measure_regions
from redust.decision.regions import Regions
from redust.studio.corrections import PixelState, States
from redust.studio.open_scan import OpenScan, is_marked
from redust.studio.refusals import BadRequest
from redust.training.region_samples import label_regions
from redust.training.region_trees import FittedTrees, RegionSample, fit_trees

_FOLDS = 4  # parts that the regions of all scans are split into
_ROUNDS, _ALIKE = 10, 0.6  # of the analysis; likelihood from which on a region counts as alike
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


def label_scan(opened: OpenScan, pixels: Pixels) -> LabelledRegions:
    """Measure and label the candidate regions of a scan that is detected and decided; `pixels` as detectors get it."""
    height, width = opened.shape
    bins = opened.map_bins(slice(0, height), slice(0, width))
    if bins is None:
        raise BadRequest("The scan is not searched for damage yet. Wait until it is.")
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


def spread_corrections(scan: LabelledRegions) -> NDArray[np.int16]:
    """The labels, those of corrected regions spread to others like them; (count,) int16.

    Raises
    ------
    BadRequest
        If nothing that can be learnt was corrected.
    """
    labels = scan.labels.copy()
    learnt = scan.corrected & (labels != Label.ignore)
    if not learnt.any():
        raise BadRequest("No region that can be told apart was corrected. Drop or mark some, then teach again.")
    for label, opposite in ((Label.background, Label.damage), (Label.damage, Label.background)):
        taught, doubtful = learnt & (scan.labels == label), ~scan.corrected & (scan.labels == opposite)
        if taught.any() and doubtful.any():
            labels[_find_alike(scan.values, taught, doubtful)] = label
    return labels


def _find_alike(
    values: NDArray[np.float32], taught: NDArray[np.bool_], doubtful: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of the doubtful regions are likelier alike to the taught ones than to each other, (count,) bool."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    (rows,) = np.nonzero(taught | doubtful)
    is_taught, features = taught[rows], values[rows]
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    alike = is_taught.copy()
    for _ in range(_ROUNDS):
        analysis = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
        likelihood = analysis.fit(features, alike).predict_proba(features)[:, 1]
        updated = is_taught | (likelihood > _ALIKE)
        if updated.all() or np.array_equal(updated, alike):
            break
        alike = updated
    result = np.zeros(len(values), np.bool_)
    result[rows] = alike & ~is_taught
    return result


def fit_corrections(scans: Sequence[LabelledRegions]) -> tuple[FittedTrees, dict[Sensitivity, float]]:
    """Fit trees to corrected scans, and choose the scores from which on a region counts as damage.

    Raises
    ------
    BadRequest
        If nothing that can be learnt was corrected.
    TrainingError
        If there is no damage, or nothing else, to learn from.
    """
    joined = LabelledRegions(*(
        np.concatenate([getattr(scan, name) for scan in scans]) for name in LabelledRegions.__dataclass_fields__
    ))  # fmt: skip
    labels = spread_corrections(joined)
    samples = [
        RegionSample(f"part-{fold}", 1.0, joined.values[fold::_FOLDS], labels[fold::_FOLDS]) for fold in range(_FOLDS)
    ]
    fitted = fit_trees(samples, folds=_FOLDS)
    return fitted, choose_levels(fitted, samples)


def choose_levels(fitted: FittedTrees, samples: Sequence[RegionSample]) -> dict[Sensitivity, float]:
    """The levels: ``normal`` parts damage from what is none best; the others by how much of the latter scores above."""
    scores, labels = np.concatenate(fitted.scores), np.concatenate([sample.labels for sample in samples])
    damaged, sound = labels == Label.damage, labels == Label.background
    order = np.argsort(-scores)
    hits, falses = np.cumsum(damaged[order]), np.cumsum(sound[order])
    f1 = 2 * hits / (hits + falses + np.count_nonzero(damaged) + 1e-9)
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
