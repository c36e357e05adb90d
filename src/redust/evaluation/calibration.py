"""Levels that mean something: where a detector's maps are cut so that undamaged pictures stay (nearly) unmarked.

A level by itself means nothing: 0.8 of one network finds more than 0.5 of another. What a user feels is how much is
marked that is sound. Each sensitivity is therefore a false-positive rate, and a model's levels follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from redust.core.engines import Detector, PreBlur, PriorShift
from redust.core.errors import TrainingError
from redust.core.settings import Sensitivity, Weights
from redust.decision.threshold import adapt_posteriors
from redust.detectors.choose_view import choose_view
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.scoring import score_detector
from redust.files.pairs import Pictures
from redust.models.card import FLOAT32, INT8, ModelCard

# Sound pixels that are marked, by sensitivity. At 0.2 % damage of which 60 % is found, 1e-3 means that half of
# what is marked is damage, 1e-4 that nine tenths are.
RATES: Mapping[Sensitivity, float] = {
    Sensitivity.shy: 1e-5, Sensitivity.normal: 1e-4, Sensitivity.eager: 1e-3,
}  # fmt: skip

_LEVELS = (np.arange(100_001) / 100_000).astype(np.float32)  # a confident network differs in the last digits only


@dataclass(frozen=True)
class Calibration:
    """Levels by sensitivity, and what they do to undamaged pictures.

    Parameters
    ----------
    levels
        The lowest of 100,001 steps that keeps the rate asked for.
    rates
        Share of pixels marked at these levels.
    unmarked
        Pictures that stay without any mark at these levels.
    pictures, megapixels
        What was measured on.
    prior_shift
        How the levels follow the scan; None where they hold for every scan as they are.
    pre_blur
        How the detector saw the pictures blurred; None where it saw them as they are.
    """

    levels: Mapping[Sensitivity, float]
    rates: Mapping[Sensitivity, float]
    unmarked: Mapping[Sensitivity, int]
    pictures: int
    megapixels: float
    prior_shift: PriorShift | None = None
    pre_blur: PreBlur | None = None

    def on_card(self, card: ModelCard, f1_by_weights: Mapping[str, float] | None = None) -> ModelCard:
        """The card with these levels, its own one becoming that of ``normal``.

        What it says of the f1 of its weights goes, unless it was measured anew: it belongs to the old level.
        """
        changed = {
            "level": self.levels[Sensitivity.normal],
            "levels": dict(self.levels),
            "prior_shift": self.prior_shift,
            "pre_blur": self.pre_blur,
            "false_positive_rates": dict(self.rates),
            "f1_by_weights": dict(f1_by_weights or {}),
            "calibrated_on": f"{self.pictures} undamaged pictures, {self.megapixels:.1f} megapixels",
        }
        return ModelCard.model_validate(card.model_dump() | changed)


def calibrate(
    detector: Detector,
    pictures: Pictures,
    *,
    rates: Mapping[Sensitivity, float] = RATES,
    prior_shift: PriorShift | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Find the levels of a detector by what it marks on undamaged pictures.

    Parameters
    ----------
    detector
        It sees them as it would scans; see :func:`redust.detectors.choose_view.choose_view`.
    pictures
        Undamaged, at the size they are scanned at; their truth is not looked at.
    rates
        The largest share of pixels that may be marked, 0..1, by sensitivity.
    prior_shift
        How the levels are to follow the scan; as the detector says unless given.
    progress
        Called with the share done, 0..1.

    Raises
    ------
    TrainingError
        If the detector marks more than that with certainty, so that no level would do.
    """
    prior_shift = prior_shift or detector.spec.prior_shift
    at_step, highest = np.zeros(len(_LEVELS) + 1, np.int64), []
    for index in range(len(pictures)):
        pixels, _ = pictures[index]
        damage = detect_damage(choose_view(detector, pixels), pixels)
        if prior_shift is not None:
            damage = adapt_posteriors(prior_shift, damage, pixels)
        # The steps that are at or below a pixel's opinion: at each of those levels the pixel is marked.
        steps = np.searchsorted(_LEVELS, damage.ravel(), side="right")
        at_step += np.bincount(steps, minlength=len(at_step))
        highest.append(float(damage.max()))
        if progress:
            progress((index + 1) / len(pictures))
    marked = at_step[::-1].cumsum()[::-1][1:] / at_step.sum()  # share of pixels at or above each level
    chosen = {name: _lowest(marked, rate, detector.spec.name) for name, rate in rates.items()}
    levels = {name: round(step / 100_000, 5) for name, step in chosen.items()}
    return Calibration(
        levels=levels,
        rates={name: round(float(marked[step]), 9) for name, step in chosen.items()},
        unmarked={name: sum(top < float(np.float32(level)) for top in highest) for name, level in levels.items()},
        pictures=len(pictures),
        megapixels=at_step.sum() / 1e6,
        prior_shift=prior_shift,
        pre_blur=detector.spec.pre_blur,
    )


def compare_weights(
    folder: Path,
    pictures: Pictures,
    found: Calibration,
    *,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, float]:
    """The f1 of a model's float32 and INT8 weights at the level found for `normal`, as its card keeps it.

    Raises
    ------
    ModelError
        If it has not both.
    """
    measured = {}
    for done, (kind, weights) in enumerate(((FLOAT32, Weights.float32), (INT8, Weights.int8))):
        detector = OnnxDetector(folder, threads=threads, weights=weights)
        detector.spec = replace(
            detector.spec,
            level=found.levels[Sensitivity.normal],
            prior_shift=found.prior_shift,
            pre_blur=found.pre_blur,
        )
        tally = score_detector([detector], pictures, progress=_part(progress, done))[detector.spec.name]
        measured[kind] = round(tally.figures().f1, 6)
    return measured


def _part(progress: Callable[[float], None] | None, done: int) -> Callable[[float], None] | None:
    """The progress of one half of two."""
    return None if progress is None else lambda share: progress((done + share) / 2)


def _lowest(marked: np.ndarray, rate: float, name: str) -> int:
    """The lowest step at which no more than `rate` is marked."""
    (good,) = np.nonzero(marked <= rate)
    if not good.size:
        raise TrainingError(
            f"{name} is certain of damage on {marked[-1]:.2g} of the pixels of these pictures, more than {rate:g}. "
            "Take damaged pictures out of the folder, or train on what it marks."
        )
    return int(good[0])
