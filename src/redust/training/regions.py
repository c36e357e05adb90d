"""The task regions: a classifier of regions, fitted to a detector's maps of scans with masks.

Each scan is also learnt as people meet it elsewhere: shrunk, sharpened and compressed, as its negative, and with other
tones. A map that the detector learnt is too good to learn from: give scans that it was not trained on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from redust import __version__
from redust.core.atomic import whole_files
from redust.core.engines import Detector
from redust.core.errors import TrainingError
from redust.core.labels import Label, Truth
from redust.core.logits import quantise_logits
from redust.core.settings import Sensitivity
from redust.decision.candidates import find_candidates, measure_tone
from redust.decision.region_features import FEATURES, measure_regions
from redust.decision.regions import Regions
from redust.detectors.choose_view import choose_view
from redust.detectors.run_detector import detect_damage
from redust.files.pairs import PairPaths, read_picture, read_truth
from redust.models.card import CARD_NAME, FLOAT32, ModelCard, read_card, sha256_of
from redust.training.region_trees import (
    FittedTrees,
    RegionSample,
    doubt_labels,
    fit_trees,
    trees_to_onnx,
)
from redust.training.region_variants import Picture, vary_picture

FOLDER = "regions"
FALSE_SPOTS = {Sensitivity.shy: 0.3, Sensitivity.normal: 1.5, Sensitivity.eager: 5.0}
"""False spots per megapixel of sound scans at each sensitivity."""

_MIN_DAMAGED = 0.5  # share of a region within 2 pixels of true damage from which on it is damage
_MAX_IGNORED = 0.3  # share of a region that is not judged from which on it is not learnt
_DISC = (np.hypot(*np.ogrid[-2:3, -2:3]) <= 2).astype(np.uint8)
_WEIGHTS_FILE = "model.onnx"
_MIN_SCORED = 0.02  # no level lies lower: what scores less is never marked


@dataclass(frozen=True)
class Source:
    """Scans to learn from.

    Parameters
    ----------
    pairs
        Scans with masks; one without a mask is sound.
    weight
        Of each scan beside those of other sources.
    vary
        Gives the pictures that are learnt in place of each.
    has_unmarked
        Whether some of their damage may not be marked.
    by_area
        Whether large regions count more than specks: so a kind that is not the main one teaches its large marks, and
        leaves specks to the main one.
    calibrates
        Whether the false spots of its sound scans set the levels.
    """

    pairs: Sequence[PairPaths]
    weight: float = 1.0
    vary: Callable[[Picture, str], Iterator[Picture]] = field(default=lambda picture, name: vary_picture(picture, name))
    has_unmarked: bool = True
    by_area: bool = False
    calibrates: bool = False


def roll_of(name: str, pattern: str = "") -> str:
    """The roll that a scan belongs to: what the pattern matches of its name, or the name without its last number.

    >>> roll_of("Zorki1-14"), roll_of("HP5_scan"), roll_of("swiss-ui_japan2", "swiss-ui")
    ('Zorki1', 'HP5_scan', 'swiss-ui')
    """
    if pattern and (match := re.search(pattern, name)):
        return match.group()
    return re.sub(r"[-_ ]?\d+$", "", name) or name


def label_regions(regions: Regions, truth: Truth) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """The :class:`Label` of each region, (count,) int16, by what the truth (H, W) says of its pixels."""
    damage = cv2.dilate((truth == Label.damage).view(np.uint8), _DISC)
    damaged, ignored = np.zeros((2, regions.count + 1))
    for rows, labels in regions.bands():
        damaged += np.bincount(labels.ravel(), weights=damage[rows].ravel(), minlength=regions.count + 1)
        ignored += np.bincount(labels[truth[rows] == Label.ignore], minlength=regions.count + 1)
    share, unknown = damaged[1:] / regions.sizes(), ignored[1:] / regions.sizes()
    labels = np.where((share > 0) | (unknown > _MAX_IGNORED), Label.ignore, Label.background)
    return np.where(share >= _MIN_DAMAGED, Label.damage, labels).astype(np.int16)


def sample_regions(picture: Picture, detector: Detector, roll: str) -> RegionSample:
    """Detect a scan, and measure and label its candidate regions."""
    pixels, truth = picture
    map_bins = quantise_logits(detect_damage(choose_view(detector, pixels), pixels))
    tone = measure_tone(pixels)
    regions = Regions(find_candidates(map_bins, tone))
    table = measure_regions(regions, pixels, map_bins, tone)
    judged = np.count_nonzero(truth != Label.ignore) / 1e6
    rows = table.has_evidence
    return RegionSample(roll, judged, table.values[rows], label_regions(regions, truth)[rows])


def collect_samples(
    sources: Sequence[Source],
    detector: Detector,
    *,
    roll_pattern: str = "",
    mask_level: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[RegionSample], list[bool]]:
    """Detect and measure all scans: the samples, and whether each is a sound scan that sets the levels."""
    samples: list[RegionSample] = []
    calibrating: list[bool] = []
    total, done = sum(len(source.pairs) for source in sources), 0
    for source in sources:
        for pair in source.pairs:
            pixels = read_picture(pair.picture)
            truth = (
                np.zeros(pixels.shape[:2], np.uint8)
                if pair.mask is None
                else read_truth(pair.mask, pixels.shape[:2], mask_level)
            )
            for number, picture in enumerate(source.vary((pixels, truth), pair.name)):
                roll = roll_of(pair.name, roll_pattern)
                sample = sample_regions(picture, detector, roll)
                samples.append(
                    replace(sample, weight=source.weight, has_unmarked=source.has_unmarked, by_area=source.by_area)
                )
                calibrating.append(number == 0 and source.calibrates)
            done += 1
            if progress:
                progress(done / total)
    return samples, calibrating


def calibrate_levels(
    fitted: FittedTrees, samples: Sequence[RegionSample], calibrating: Sequence[bool]
) -> dict[Sensitivity, float]:
    """The scores from which on scans show so many false spots per megapixel, by scores out of fold.

    The false spots are those of the calibrating scans; of all, where there are none.
    """
    chosen = [number for number, calibrates in enumerate(calibrating) if calibrates or not any(calibrating)]
    false_scores = [fitted.scores[number][samples[number].labels == Label.background] for number in chosen]
    scores = np.sort(np.concatenate(false_scores))[::-1]
    megapixels = sum(samples[number].megapixels for number in chosen)
    levels = {}
    for sensitivity, rate in FALSE_SPOTS.items():
        allowed = int(rate * megapixels)
        level = float(scores[allowed]) + 1e-4 if allowed < len(scores) else _MIN_SCORED
        levels[sensitivity] = round(min(max(level, _MIN_SCORED), 0.999), 4)
    return levels


def write_classifier(
    folder: Path, fitted: FittedTrees, levels: dict[Sensitivity, float], facts: dict[str, Any]
) -> ModelCard:
    """Write a classifier as a model folder; it appears whole or not at all."""
    content = trees_to_onnx(fitted.committee)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_files(folder, CARD_NAME) as draft:
        (draft / _WEIGHTS_FILE).write_bytes(content)
        card = ModelCard(
            name="regions",
            task="regions",
            architecture="boosted trees",
            options={"features": list(FEATURES)},
            parameters=sum(int(member.n_iter_) for member in fitted.committee),
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


def copy_detector(source: Path, folder: Path) -> None:
    """Copy a detector's model folder, its card naming the classifier that will lie within.

    Raises
    ------
    TrainingError
        If there is something in `folder` already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"{folder} is not empty. Choose another folder for the model.")
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FOLDER))
    read_card(source).model_copy(update={"regions": FOLDER}).to_folder(folder)


def learn_regions(
    sources: Sequence[Source],
    folder: Path,
    detector: Detector,
    *,
    roll_pattern: str = "",
    mask_level: int | None = None,
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
    copy_detector(source, folder)
    samples, calibrating = collect_samples(
        sources, detector, roll_pattern=roll_pattern, mask_level=mask_level, progress=progress
    )
    samples = doubt_labels(samples, fit_trees(samples))
    fitted = fit_trees(samples)
    levels = calibrate_levels(fitted, samples, calibrating)
    known = {
        "summary": f"Judges the regions of the damage maps of {detector.spec.name}.",
        "calibrated_on": f"False spots per megapixel out of fold: {_describe_rates()}.",
        "made_with": f"ReDust {__version__}",
    }
    return write_classifier(folder / FOLDER, fitted, levels, known | (facts or {}))


def _describe_rates() -> str:
    return ", ".join(f"{name.value} {rate:g}" for name, rate in FALSE_SPOTS.items())
