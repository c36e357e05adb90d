"""Scans at other sizes: what a web page shows of them, and what their masks say there."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import Light
from redust.core.labels import Label, Truth
from redust.synthesis.scanner_simulation import compress_jpeg, sharpen

_DAMAGED_SHARE, _RIM_SHARE = 0.3, 0.1


def resize_square(light: Light, side: int) -> Light:
    """A square (S, S, 3) shrunk by areas, or enlarged by cubic interpolation, in 0..1."""
    if light.shape[0] == side:
        return light
    method = cv2.INTER_AREA if light.shape[0] > side else cv2.INTER_CUBIC
    resized: Light = np.clip(cv2.resize(light, (side, side), interpolation=method), 0, 1)
    return resized


def shrink_truth(truth: Truth, side: int) -> Truth:
    """Labels (S, S) at another size: damaged where three tenths of a pixel are, not judged where a tenth is."""
    if truth.shape[0] == side:
        return truth
    if truth.shape[0] < side:
        return np.asarray(cv2.resize(truth, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)
    damaged, ignored = (
        cv2.resize((truth == label).astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        for label in (Label.damage, Label.ignore)
    )
    labels = np.where(ignored + damaged > _RIM_SHARE, np.uint8(Label.ignore), np.uint8(Label.background))
    labels[damaged >= _DAMAGED_SHARE] = Label.damage
    return labels


def make_web_copy(light: Light, rng: np.random.Generator) -> Light:
    """A shrunk scan as a web page shows it: sharpened and compressed."""
    amount = rng.uniform(0.0, 1.3)
    return compress_jpeg(sharpen(light, rng.uniform(0.4, 1.0), amount), int(rng.integers(70, 97)))
