"""Detectors scored over whole pictures, beside an empty mask: what a finding is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from redust.core.arrays import full_scale
from redust.core.engines import Detector
from redust.core.errors import TrainingError
from redust.decision.region_classifier import threshold_of
from redust.detectors.choose_view import choose_view
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter
from redust.files.pairs import PairPaths, Pictures, read_picture, read_truth

EMPTY = "empty mask"


class PictureSubset:
    """Some of many pictures, evenly spread.

    Parameters
    ----------
    pictures
        All of them.
    count
        How many at most; all unless given.
    """

    def __init__(self, pictures: Any, count: int | None) -> None:
        total = len(pictures)
        self.pictures = pictures
        self.indices = np.linspace(0, total - 1, total if count is None else min(count, total)).astype(int)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.pictures[int(self.indices[index])]


def score_detector(
    detectors: Sequence[Detector],
    pictures: Pictures,
    *,
    level: float | None = None,
    tolerance: int = 2,
    blur: float | None = None,
    tta: int = 1,
    progress: Callable[[float], None] | None = None,
) -> dict[str, MetricCounter]:
    """Score detectors over pictures at full size.

    Parameters
    ----------
    detectors
        Each is cut at its own level, which may follow the scan (:mod:`redust.core.logits`).
    pictures
        With their truth, 255 damage, 128 not judged, 0 sound.
    level : 0..1, optional
        Cut the first detector here instead, to the letter.
    tolerance
        Radius in pixels within which a predicted pixel may miss.
    blur, tta
        Pre-blur and views of each; see :func:`redust.detectors.choose_view.choose_view`.
    progress
        Called with the share done, 0..1.

    Returns
    -------
    tallies
        By the detector's name, and the empty mask's.
    """
    tallies = {detector.spec.name: MetricCounter(detector.spec.level, tolerance) for detector in detectors}
    if level is not None and detectors:
        tallies[detectors[0].spec.name] = MetricCounter(level, tolerance)
    tallies[EMPTY] = MetricCounter(0.5, tolerance)
    for index in range(len(pictures)):
        pixels, truth = pictures[index]
        for number, detector in enumerate(detectors):
            damage = detect_damage(choose_view(detector, pixels, blur=blur, tta=tta), pixels)
            threshold = threshold_of(detector.spec, level if number == 0 else None)
            mask, _ = threshold.apply(damage, pixels)
            tallies[detector.spec.name].add(truth, damage, mask)
        tallies[EMPTY].add(truth, np.zeros(truth.shape, np.float32))
        if progress:
            progress((index + 1) / len(pictures))
    return tallies


def score_files(
    pairs: Sequence[PairPaths], folder: Path, mask_level: int | None = None, *, level: float = 0.5, tolerance: int = 2
) -> MetricCounter:
    """Score masks or damage maps that any tool wrote, NAME.png for each pair.

    Raises
    ------
    TrainingError
        If one is missing or has another size: nothing is skipped.
    """
    tally = MetricCounter(level, tolerance)
    for pair in pairs:
        path = folder / f"{pair.name}.png"
        if not path.is_file():
            raise TrainingError(f"There is no prediction {path}. Write one for every picture, empty ones too.")
        assert pair.mask is not None
        written, (height, width) = read_picture(path)[..., 0], read_picture(pair.mask).shape[:2]
        if written.shape != (height, width):
            raise TrainingError(f"{path} has another size than {pair.mask}. Predict at full size.")
        damage = written.astype(np.float32) / np.float32(full_scale(written.dtype))
        tally.add(read_truth(pair.mask, (height, width), mask_level), damage)
    return tally
