"""The task regions: a classifier of regions, fitted to a detector's maps of scans with masks.

There are two committees of trees. One knows ordinary scans, with few marks. The other tells, on heavily damaged scans,
what the detector marks rightly from parts of the scene. :class:`redust.decision.region_classifier.RegionThreshold` says
how they decide together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from redust import __version__
from redust.core.atomic import whole_files
from redust.core.engines import Detector
from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.core.settings import Sensitivity
from redust.decision.region_features import FEATURES
from redust.models.card import CARD_NAME, FLOAT32, ModelCard, read_card, sha256_of
from redust.training.region_samples import MapCache, Source, collect_samples
from redust.training.region_trees import (
    FittedTrees,
    RegionSample,
    ScanKind,
    Scores,
    doubt_labels,
    fit_trees,
    trees_to_onnx,
)

FOLDER = "regions"
FALSE_SPOTS = {Sensitivity.shy: 0.1, Sensitivity.normal: 0.5, Sensitivity.eager: 3.0}
"""False spots per megapixel of sound scans at each sensitivity."""

PIXEL_SHARE, SCENE_LEVEL = 0.0005, 0.17
"""From which estimated share of damage on pixels are thresholded too, and the least score of their regions."""

_HEAVY_FOLDS = 3

_WEIGHTS_FILE = "model.onnx"
_MIN_SCORED = 0.02  # no level lies lower: what scores less is never marked


@dataclass(frozen=True, eq=False)
class FittedKinds:
    """The trees of ordinary scans, and those of heavily damaged ones where any was there to learn from."""

    ordinary: FittedTrees
    heavy: FittedTrees | None = None

    @property
    def committees(self) -> list[list[Any]]:
        """scikit-learn's classifiers, by kind."""
        return [trees.committee for trees in (self.ordinary, self.heavy) if trees is not None]

    def acceptance(self, number: int, sample: RegionSample, sensitivity: Sensitivity) -> Scores:
        """The highest level at which each region of a sample is damage, out of fold; see `ScoredRegions.accept`."""
        scores = self.ordinary.scores[number]
        marked = sample.marked.get(sensitivity)
        if self.heavy is None or marked is None:
            return scores
        return np.maximum(scores, np.where(marked, self.heavy.scores[number], 0))


def fit_kinds(samples: Sequence[RegionSample]) -> tuple[FittedKinds, list[RegionSample]]:
    """Fit the trees of each kind, twice: what the first hold for damage, where people may have missed it, is ignored.

    Returns
    -------
    fitted
    samples
        As they were learnt.
    """
    samples = doubt_labels(samples, fit_trees(samples))
    ordinary = fit_trees(samples)
    if not any(sample.kinds == {ScanKind.heavy} for sample in samples):
        return FittedKinds(ordinary), samples
    return FittedKinds(ordinary, fit_trees(samples, ScanKind.heavy, folds=_HEAVY_FOLDS)), samples


def calibrate_levels(
    fitted: FittedKinds, samples: Sequence[RegionSample], calibrating: Sequence[bool]
) -> dict[Sensitivity, float]:
    """The scores from which on scans show so many false spots per megapixel, by scores out of fold.

    The false spots are those of the calibrating scans; of all, where there are none.
    """
    chosen = [number for number, calibrates in enumerate(calibrating) if calibrates or not any(calibrating)]
    megapixels = sum(samples[number].megapixels for number in chosen)
    levels = {}
    for sensitivity, rate in FALSE_SPOTS.items():
        false_scores = [
            fitted.acceptance(number, samples[number], sensitivity)[samples[number].labels == Label.background]
            for number in chosen
        ]
        scores = np.sort(np.concatenate(false_scores))[::-1]
        allowed = int(rate * megapixels)
        level = float(scores[allowed]) + 1e-4 if allowed < len(scores) else _MIN_SCORED
        levels[sensitivity] = round(min(max(level, _MIN_SCORED), 0.999), 4)
    return levels


def write_classifier(
    folder: Path, fitted: FittedKinds, levels: dict[Sensitivity, float], facts: dict[str, Any]
) -> ModelCard:
    """Write a classifier as a model folder; it appears whole or not at all."""
    content = trees_to_onnx(fitted.committees)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_files(folder, CARD_NAME) as draft:
        (draft / _WEIGHTS_FILE).write_bytes(content)
        card = ModelCard(
            name="regions",
            task="regions",
            architecture="boosted trees",
            options={"features": list(FEATURES)} | _kind_options(fitted),
            parameters=sum(int(member.n_iter_) for committee in fitted.committees for member in committee),
            normalisation="features of regions, float32",
            halo=0,
            level=levels[Sensitivity.normal],
            levels=levels,
            files={FLOAT32: _WEIGHTS_FILE},
            sha256={FLOAT32: sha256_of(draft / _WEIGHTS_FILE)},
            **facts,
        )
        card.to_folder(draft)
    return card


def _kind_options(fitted: FittedKinds) -> dict[str, float]:
    """When a scan is heavily damaged; nothing where no trees know such scans."""
    return {} if fitted.heavy is None else {"pixel_share": PIXEL_SHARE, "scene_level": SCENE_LEVEL}


def refuse_full_folder(folder: Path) -> None:
    """Refuse to write a model where something is.

    Raises
    ------
    TrainingError
        If there is something in `folder` already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"{folder} is not empty. Choose another folder for the model.")


def copy_detector(source: Path, folder: Path) -> None:
    """Copy a detector's model folder, its card naming the classifier that will lie within.

    Raises
    ------
    TrainingError
        As :func:`refuse_full_folder`.
    """
    refuse_full_folder(folder)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FOLDER))
    read_card(source).model_copy(update={"regions": FOLDER}).to_folder(folder)


def learn_regions(
    sources: Sequence[Source],
    folder: Path,
    detector: Detector,
    *,
    roll_pattern: str = "",
    mask_level: int | None = None,
    cache: Path | None = None,
    facts: dict[str, Any] | None = None,
    progress: Callable[[float], None] | None = None,
) -> ModelCard:
    """Fit a classifier to a detector's maps of scans with masks, and write both as a model folder.

    Parameters
    ----------
    folder
        Where the detector's model is copied to, the classifier in its folder ``regions``.
    roll_pattern
        A regular expression; scans for whose name it matches the same are of one roll. Unless given, names that differ
        in their last number are.
    mask_level
        Threshold for grey masks; else they hold 0, 128 (ignored) and 255.
    cache
        A folder that keeps damage maps, so that a stopped run goes on and a second one is quick.
    facts
        Further fields of the classifier's card, such as ``data`` and ``licence``.
    progress
        Called with the share of the scans that are measured.

    Returns
    -------
    card
        The classifier's.

    Raises
    ------
    TrainingError
        If there is too little to learn from, or `folder` holds something.
    """
    source = detector.spec.folder
    if source is None:
        raise TrainingError(f"{detector.spec.name} is no network with a model folder. Choose such a detector.")
    refuse_full_folder(folder)
    samples, calibrating = collect_samples(
        sources, MapCache(detector, cache), roll_pattern=roll_pattern, mask_level=mask_level, progress=progress
    )
    fitted, samples = fit_kinds(samples)
    levels = calibrate_levels(fitted, samples, calibrating)
    known = {
        "summary": f"Judges the regions of the damage maps of {detector.spec.name}.",
        "calibrated_on": f"False spots per megapixel out of fold: {_describe_rates()}.",
        "made_with": f"ReDust {__version__}",
    }
    copy_detector(source, folder)
    return write_classifier(folder / FOLDER, fitted, levels, known | (facts or {}))


def _describe_rates() -> str:
    return ", ".join(f"{name.value} {rate:g}" for name, rate in FALSE_SPOTS.items())
