"""Calibration of a detector: levels by false-positive rate, and what it does at them, as its card states it.

A level by itself means nothing: 0.8 of one network marks more than 0.5 of another. What a user notices is how much is
marked that is undamaged. Each sensitivity is therefore a false-positive rate, and the levels of a model follow from it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from redust.core.engines import Detector, PriorShift, pre_blur_at
from redust.core.errors import TrainingError
from redust.core.settings import Sensitivity, Weights
from redust.decision.threshold import adapt_posteriors
from redust.detectors.choose_view import choose_view
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter
from redust.evaluation.scoring import score_detector
from redust.files.pairs import Pictures
from redust.models.card import FLOAT32, INT8, ModelCard, read_card

Progress = Callable[[float], None]

RATES: Mapping[Sensitivity, float] = {
    Sensitivity.shy: 5e-6, Sensitivity.normal: 2e-5, Sensitivity.eager: 1e-4,
}  # fmt: skip
"""The largest share of undamaged pixels that is marked, by sensitivity. Cards, help and pages follow from it."""

_LEVELS = (np.arange(100_001) / 100_000).astype(np.float32)  # a confident network differs in the last digits only
_CARD_METRICS = ("precision", "recall", "f1", "f1_strict", "ap", "objects", "false_ppm")
_CLEAN = "clean"


@dataclass(frozen=True)
class Calibration:
    """Levels by sensitivity, and what they do to undamaged pictures.

    Parameters
    ----------
    levels
        The lowest of 100,001 steps that keeps the rate of each sensitivity.
    rates
        Share of pixels marked at these levels.
    unmarked
        Pictures without any mark at these levels.
    pictures, megapixels
        What was measured on.
    """

    levels: Mapping[Sensitivity, float]
    rates: Mapping[Sensitivity, float]
    unmarked: Mapping[Sensitivity, int]
    pictures: int
    megapixels: float

    def on_card(self, card: ModelCard) -> ModelCard:
        """The card with these levels, its own one being that of ``normal``, and without figures of other levels."""
        changed = {
            "level": self.levels[Sensitivity.normal],
            "levels": dict(self.levels),
            "false_positive_rates": dict(self.rates),
            "f1_by_weights": {},
            "metrics": {_CLEAN: {"false_ppm": round(1e6 * self.rates[Sensitivity.normal], 4)}},
            "calibrated_on": f"{self.pictures} undamaged pictures, {self.megapixels:.1f} megapixels",
        }
        return ModelCard.model_validate(card.model_dump() | changed)


@dataclass(frozen=True)
class CardChanges:
    """What a calibration changes of how a model is run; None keeps what its card says.

    Parameters
    ----------
    prior_shift
        Fields of :class:`redust.core.engines.PriorShift`; an exponent of 0 removes it.
    blur
        Sigma of the pre-blur in pixels, 0 for none.
    scales, scale_weights
        Factors by which scans are shrunk, and the weights of their logits.
    """

    prior_shift: Mapping[str, float] = field(default_factory=dict)
    blur: float | None = None
    scales: tuple[int, ...] | None = None
    scale_weights: tuple[float, ...] = ()

    def on_card(self, card: ModelCard) -> ModelCard:
        """The card with these changes."""
        changed: dict[str, Any] = {}
        if self.prior_shift:
            before = card.prior_shift.model_dump() if card.prior_shift else {"prior": 0.01, "exponent": 0.4}
            shift = PriorShift(**before | dict(self.prior_shift))
            changed["prior_shift"] = shift if shift.exponent else None
        if self.blur is not None:
            changed["pre_blur"] = pre_blur_at(self.blur, card.pre_blur)
        if self.scales:
            before_cost, cost = (sum(factor**-2 for factor in scales) for scales in (card.scales, self.scales))
            changed |= {"scales": self.scales, "scale_weights": self.scale_weights}
            changed["gflop_per_megapixel"] = round((card.gflop_per_megapixel or 0.0) * cost / before_cost, 2)
        return ModelCard.model_validate(card.model_dump() | changed)


def calibrate_model(
    folder: Path,
    photos: Pictures,
    sets: Mapping[str, Pictures],
    changes: CardChanges,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Calibration, ModelCard]:
    """Calibrate a model and measure it at its new level; the model itself is not written to.

    Parameters
    ----------
    photos
        Undamaged, at the size they are scanned at.
    sets
        Damaged pictures with their truth, by name: what the card states the metrics of. With any, the card also gets
        the f1 of float32 and INT8 weights, pooled over all sets.
    progress
        Called with the share done of each part, 0..1.

    Returns
    -------
    calibration, card

    Raises
    ------
    TrainingError
        If no level keeps the rates.
    ModelError
        If sets are given and the model has no INT8 weights.
    """
    with tempfile.TemporaryDirectory() as room:
        # A detector is made by its card, and the card of the model stays until all is measured.
        trial = Path(shutil.copytree(folder, Path(room) / "model"))
        card = changes.on_card(read_card(folder))
        card.to_folder(trial)
        detector = OnnxDetector(trial, threads=threads, weights=Weights.float32)
        calibration = calibrate(detector, photos, progress=progress)
        card = calibration.on_card(card)
        card.to_folder(trial)
        if not sets:
            return calibration, card
        metrics, f1 = dict(card.metrics), {}
        for kind, weights in ((FLOAT32, Weights.float32), (INT8, Weights.int8)):
            detector = OnnxDetector(trial, threads=threads, weights=weights)
            counters = {
                name: score_detector([detector], pictures, progress=progress)[detector.spec.name]
                for name, pictures in sets.items()
            }
            f1[kind] = round(_pool_f1(counters), 6)
            if kind == FLOAT32:
                metrics |= {name: _round_metrics(counter) for name, counter in counters.items()}
    return calibration, card.model_copy(update={"metrics": metrics, "f1_by_weights": f1})


def _pool_f1(counters: Mapping[str, MetricCounter]) -> float:
    first, *further = counters.values()
    pooled = MetricCounter(first.level, first.tolerance)
    for counter in (first, *further):
        pooled.merge(counter)
    return pooled.figures().f1


def _round_metrics(counter: MetricCounter) -> dict[str, float]:
    figures = counter.figures()
    return {name: round(value, 4) for name in _CARD_METRICS if np.isfinite(value := getattr(figures, name))}


def calibrate(
    detector: Detector,
    pictures: Pictures,
    *,
    rates: Mapping[Sensitivity, float] = RATES,
    progress: Progress | None = None,
) -> Calibration:
    """Find the levels of a detector by what it marks on undamaged pictures.

    Parameters
    ----------
    detector
        It is run as on scans; see :func:`redust.detectors.choose_view.choose_view`.
    pictures
        Undamaged, at the size they are scanned at; their truth is not used.
    rates
        The largest share of pixels that may be marked, 0..1, by sensitivity.
    progress
        Called with the share done, 0..1.

    Raises
    ------
    TrainingError
        If the detector marks more than that with certainty, so that no level would do.
    """
    prior_shift = detector.spec.prior_shift
    at_step, highest = np.zeros(len(_LEVELS) + 1, np.int64), []
    for index in range(len(pictures)):
        pixels, _ = pictures[index]
        damage = detect_damage(choose_view(detector, pixels), pixels)
        if prior_shift is not None:
            damage = adapt_posteriors(prior_shift, damage, pixels)
        # The steps that are at or below the probability of a pixel: at each of those levels it is marked.
        steps = np.searchsorted(_LEVELS, damage.ravel(), side="right")
        at_step += np.bincount(steps, minlength=len(at_step))
        highest.append(float(damage.max()))
        if progress:
            progress((index + 1) / len(pictures))
    marked = at_step[::-1].cumsum()[::-1][1:] / at_step.sum()  # share of pixels at or above each level
    chosen = {name: _find_lowest(marked, rate, detector.spec.name) for name, rate in rates.items()}
    levels = {name: round(step / 100_000, 5) for name, step in chosen.items()}
    return Calibration(
        levels=levels,
        rates={name: round(float(marked[step]), 9) for name, step in chosen.items()},
        unmarked={name: sum(top < float(np.float32(level)) for top in highest) for name, level in levels.items()},
        pictures=len(pictures),
        megapixels=at_step.sum() / 1e6,
    )


def _find_lowest(marked: np.ndarray, rate: float, name: str) -> int:
    """The lowest step at which no more than `rate` is marked."""
    (good,) = np.nonzero(marked <= rate)
    if not good.size:
        raise TrainingError(
            f"{name} is certain of damage on {marked[-1]:.2g} of the pixels of these pictures, more than {rate:g}. "
            "Take damaged pictures out of the folder, or train on what it marks."
        )
    return int(good[0])
