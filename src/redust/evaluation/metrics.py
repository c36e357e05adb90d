"""How good a damage map is: figures pooled over many pictures, one picture in memory at a time.

Damage covers a few per cent of a picture at most, so a detector that finds nothing is right about nearly
every pixel. Accuracy is therefore reported only beside the score of an empty mask; f1 and average
precision are the figures to compare by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict

from redust.core.arrays import DamageMap, Mask
from redust.core.labels import Label, Truth
from redust.decision.filters import dilate_mask

BINS = 1024
CALIBRATION_BINS = 16
AREA_EDGES = (16, 64, 256, 1024)
HIT_SHARE = 0.3
_EPSILON = 1e-6

_COUNTS = (
    "pictures", "clean_pictures", "judged", "true", "predicted", "near_true", "near_predicted", "both",
    "false", "false_spots", "clean_false_spots", "mapped",
)  # fmt: skip


# JSON has no NaN: undefined figures are written as null, and read as NaN again.
Number = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]


def area_names() -> list[str]:
    """Names of the size classes, by area in pixels.

    >>> area_names()
    ['1-15', '16-63', '64-255', '256-1023', '1024+']
    """
    starts = (1, *AREA_EDGES)
    return [f"{low}-{high - 1}" for low, high in zip(starts, AREA_EDGES, strict=False)] + [f"{AREA_EDGES[-1]}+"]


class Metrics(BaseModel):
    """What was measured, pooled over all pictures; NaN where a figure is undefined.

    Parameters
    ----------
    precision, recall, f1
        With tolerance: a pixel counts as right within `tolerance` pixels of its counterpart.
    precision_strict, recall_strict, f1_strict, iou, accuracy
        Pixel by pixel.
    objects, objects_by_area
        Share of true connected spots of which at least 30 % is predicted (with tolerance); by area in pixels.
    false_ppm
        Predicted pixels farther than `tolerance` from any damage, per million judged pixels.
    false_spots, false_spots_per_clean_picture
        Predicted spots that touch no damage (with tolerance), per megapixel, and per picture without damage.
    ap
        Average precision of the damage map, without tolerance; NaN for masks.
    loss
        Mean cross-entropy of the damage map in nats, clipped to 1e-6 .. 1 - 1e-6.
    ece
        Expected calibration error: mean gap between stated and true share of damage in 16 equal bins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    files: int
    level: float
    tolerance: int
    precision: Number
    recall: Number
    f1: Number
    precision_strict: Number
    recall_strict: Number
    f1_strict: Number
    iou: Number
    accuracy: Number
    objects: Number
    objects_by_area: dict[str, Number]
    false_ppm: Number
    false_spots: Number
    false_spots_per_clean_picture: Number
    ap: Number
    loss: Number
    ece: Number
    coverage: Number
    true_coverage: Number


@dataclass
class MetricCounter:
    """Counts over many pictures; add pictures, merge tallies, then ask for the figures.

    Parameters
    ----------
    level : 0..1
        Pixels at or above it count as predicted.
    tolerance : pixels
        Radius within which a predicted pixel may miss.
    """

    level: float = 0.5
    tolerance: int = 2
    counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(_COUNTS)))
    positives: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    negatives: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    stated: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    spots: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, len(AREA_EDGES) + 1)))
    entropy: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def add(self, truth: Truth, damage: DamageMap, predicted: Mask | None = None) -> None:
        """Count one picture.

        Parameters
        ----------
        truth : (H, W) uint8
            255 damage, 128 not judged, anything else sound.
        damage : (H, W) float32 in 0..1
            The damage map, or a mask as 0 and 1.
        predicted : (H, W) bool, optional
            The mask that was made of it; cut at the tally's level unless given.

        Raises
        ------
        ValueError
            If the sizes differ.
        """
        if truth.shape != damage.shape:
            raise ValueError(f"the truth is {truth.shape}, the damage map is {damage.shape} (height, width)")
        judged, true = truth != Label.ignore, truth == Label.damage
        predicted = (damage >= self.level if predicted is None else predicted) & judged
        near_true, near_predicted = dilate_mask(true, self.tolerance), dilate_mask(predicted, self.tolerance)
        false_spots = _false_spots(predicted, near_true | dilate_mask(~judged, self.tolerance))
        clean = not true.any()
        self.counts += [
            1, clean, judged.sum(), true.sum(), predicted.sum(),
            (predicted & near_true).sum(), (true & near_predicted).sum(), (predicted & true).sum(),
            (predicted & ~near_true).sum(), false_spots, false_spots * clean, _has_more_than_two_values(damage),
        ]  # fmt: skip
        self._count_spots(true, near_predicted)
        self._count_opinions(damage, true, judged & ~true)

    def _count_spots(self, true: Mask, near_predicted: Mask) -> None:
        area, hit = _measure_spots(true, near_predicted)
        classes_of_spots = np.digitize(area, AREA_EDGES)
        classes = self.spots.shape[1]
        self.spots[0] += np.bincount(classes_of_spots, minlength=classes)
        self.spots[1] += np.bincount(classes_of_spots[hit >= HIT_SHARE * area], minlength=classes)

    def _count_opinions(self, damage: DamageMap, true: Mask, sound: Mask) -> None:
        bins = np.minimum((damage * BINS).astype(np.int64), BINS - 1)
        for mask, histogram in ((true, self.positives), (sound, self.negatives)):
            histogram += np.bincount(bins[mask], minlength=BINS)
            self.stated += np.bincount(bins[mask], weights=damage[mask], minlength=BINS)
        opinion = np.clip(damage.astype(np.float64), _EPSILON, 1 - _EPSILON)
        self.entropy -= np.log(opinion[true]).sum() + np.log1p(-opinion[sound]).sum()

    def merge(self, counter: MetricCounter) -> None:
        """Add the counts of `counter`, which was made with the same level and tolerance."""
        if (self.level, self.tolerance) != (counter.level, counter.tolerance):
            raise ValueError("only tallies of one level and tolerance can be merged")
        for array, addend in zip(self._arrays(), counter._arrays(), strict=True):
            array += addend

    def _arrays(self) -> list[NDArray[np.float64]]:
        return [getattr(self, item.name) for item in fields(self)[2:]]

    def state(self) -> NDArray[np.float64]:
        """All counts as one vector, so that processes can sum theirs."""
        return np.concatenate([array.ravel() for array in self._arrays()])

    def load(self, state: NDArray[np.float64]) -> None:
        """Take over the counts of :meth:`state`."""
        first = 0
        for array in self._arrays():
            array[...] = state[first : first + array.size].reshape(array.shape)
            first += array.size

    def figures(self) -> Metrics:
        """The figures of all pictures counted so far."""
        count = dict(zip(_COUNTS, self.counts.tolist(), strict=True))
        precision = _ratio(count["near_true"], count["predicted"])
        recall = _ratio(count["near_predicted"], count["true"])
        union = count["predicted"] + count["true"] - count["both"]
        wrong = union - count["both"]
        return Metrics(
            files=int(count["pictures"]),
            level=self.level,
            tolerance=self.tolerance,
            precision=precision,
            recall=recall,
            f1=_harmonic_mean(precision, recall) if count["predicted"] else 0.0,
            precision_strict=_ratio(count["both"], count["predicted"]),
            recall_strict=_ratio(count["both"], count["true"]),
            f1_strict=_ratio(2 * count["both"], count["predicted"] + count["true"]),
            iou=_ratio(count["both"], union),
            accuracy=_ratio(count["judged"] - wrong, count["judged"]),
            objects=_ratio(self.spots[1].sum(), self.spots[0].sum()),
            objects_by_area=dict(zip(area_names(), map(_ratio, self.spots[1], self.spots[0]), strict=True)),
            false_ppm=1e6 * _ratio(count["false"], count["judged"]),
            false_spots=1e6 * _ratio(count["false_spots"], count["judged"]),
            false_spots_per_clean_picture=_ratio(count["clean_false_spots"], count["clean_pictures"]),
            ap=self._average_precision() if count["mapped"] else float("nan"),
            loss=_ratio(float(self.entropy[0]), count["judged"]),
            ece=self._calibration_error(),
            coverage=_ratio(count["predicted"], count["judged"]),
            true_coverage=_ratio(count["true"], count["judged"]),
        )

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The precision-recall curve, strict.

        Returns
        -------
        levels, precision, recall : (1024,) float64
            From the highest level to the lowest.
        """
        hits, alarms = np.cumsum(self.positives[::-1]), np.cumsum(self.negatives[::-1])
        levels = np.arange(BINS - 1, -1, -1) / BINS
        return levels, hits / np.maximum(hits + alarms, 1), hits / max(hits[-1], 1)

    def best(self) -> tuple[float, float]:
        """The level at which strict f1 is highest, on the 1024 steps of the curve, and that f1."""
        levels, precision, recall = self.curve()
        f1 = 2 * precision * recall / np.maximum(precision + recall, _EPSILON)
        best = int(np.argmax(f1))
        return float(levels[best]), float(f1[best])

    def _average_precision(self) -> float:
        _, precision, recall = self.curve()
        return float((precision * np.diff(recall, prepend=0.0)).sum())

    def _calibration_error(self) -> float:
        groups = (CALIBRATION_BINS, BINS // CALIBRATION_BINS)
        true = self.positives.reshape(groups).sum(axis=1)
        stated = self.stated.reshape(groups).sum(axis=1)
        return _ratio(float(np.abs(true - stated).sum()), float((self.positives + self.negatives).sum()))


def _measure_spots(mask: Mask, reference: Mask) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Area of each connected spot of `mask`, and how many of its pixels `reference` marks."""
    number, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    flat = labels.ravel()
    area = np.bincount(flat, minlength=number)[1:].astype(np.int64, copy=False)
    return area, np.bincount(flat, weights=reference.ravel(), minlength=number)[1:].astype(np.float64, copy=False)


def _false_spots(predicted: Mask, excused: Mask) -> int:
    """Predicted spots that touch neither damage nor what is not to be judged."""
    _, touched = _measure_spots(predicted, excused)
    return int((touched == 0).sum())


def _has_more_than_two_values(damage: DamageMap) -> bool:
    low, high = damage.min(), damage.max()
    return not bool(((damage == low) | (damage == high)).all())


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")


def _harmonic_mean(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second > 0 else 0.0


def recall_by_size(figures: Metrics) -> str:
    """The share of objects found, by their size, as one line of text; sizes that do not occur are left out."""
    by_area = figures.objects_by_area.items()
    shares = "  ".join(f"{area} px {share:.2f}" for area, share in by_area if not np.isnan(share))
    return f"objects found by size  {shares}"


def format_table(rows: dict[str, Metrics]) -> Iterator[tuple[str, ...]]:
    """The figures people compare by, as rows of text, headings first."""
    columns = ("f1", "f1_strict", "precision", "recall", "iou", "ap", "objects", "false_ppm", "accuracy", "loss", "ece")
    yield ("", *columns)
    for name, figures in rows.items():
        yield (name, *(f"{getattr(figures, column):.4g}" for column in columns))
