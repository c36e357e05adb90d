"""Pictures of what a network made: given, made, as it should be, and the difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redust.core.arrays import Light, from_light
from redust.evaluation.plots import Picture
from redust.training.generative.samples import Sample

_SIDE = 160
_GAP = 4
_FRAME = 24
_STRONGER = 4.0  # differences are shown this much stronger


def restored_sheet(rows: Sequence[tuple[Sample, Light]]) -> Picture:
    """One row per sample: what was given, what was made, what it should be, and four times what is left of the error.

    Returns
    -------
    sheet : (H, W, 3) uint8, R G B
    """
    return np.vstack([np.hstack([_framed(view) for view in _views(*row)]) for row in rows])


def _views(sample: Sample, made: Light) -> list[Light]:
    given, error = sample.light, _STRONGER * np.abs(made - sample.clean)
    return [_middle(one, sample) for one in (given, made, sample.clean, error)]


def _middle(light: Light, sample: Sample) -> Light:
    """A window around the middle of the damage."""
    rows, columns = np.nonzero(sample.where) if sample.where.any() else (np.zeros(1), np.zeros(1))
    top, left = (
        int(np.clip(np.median(places) - _SIDE / 2, 0, max(0, length - _SIDE)))
        for places, length in zip((rows, columns), light.shape[:2], strict=True)
    )
    return light[top : top + _SIDE, left : left + _SIDE]


def _framed(light: Light) -> Picture:
    canvas = np.full((_SIDE + _GAP, _SIDE + _GAP, 3), _FRAME, np.uint8)
    canvas[: light.shape[0], : light.shape[1]] = from_light(np.clip(light, 0, 1), np.dtype(np.uint8))
    return canvas
