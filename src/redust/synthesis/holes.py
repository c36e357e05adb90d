"""Masks to train inpainting with: procedural damage as boolean masks, from a thin hair to a missing part."""

from __future__ import annotations

import cv2
import numpy as np

from redust.core.arrays import Mask
from redust.synthesis.layers import MAX_SHARE, VISIBLE
from redust.synthesis.painting import Canvas, smooth_noise
from redust.synthesis.shapes import SHAPES

_KINDS = {
    "dust": 3.0,
    "dirt": 2.0,
    "hair-short": 2.0,
    "hair": 3.0,
    "lint": 0.5,
    "scratch": 2.0,
    "tramline": 1.5,
    "crack": 1.5,
    "spot": 1.0,
}
_LAYERS = 3
_SCALES = (0.4, 2.0)
_WIDEST_LINE = 16  # pixels
_BLOB_SHARE = 0.2
_BLOBS = (16, 200)  # pixels across
_BLOB_OF_CANVAS = 0.6


def draw_holes(canvas: Canvas, rng: np.random.Generator) -> Mask:
    """Draw a mask of specks, lines 1 to 16 pixels wide, and in a fifth of masks a blob up to 200 pixels across.

    Returns
    -------
    mask : (H, W) bool
        At least one pixel is True; no layer of it covers more than 0.3 of the canvas.
    """
    mask = np.zeros(canvas, np.bool_)
    if rng.random() < _BLOB_SHARE:
        mask |= _draw_blob(canvas, rng)
    for _ in range(int(rng.integers(1, _LAYERS + 1))):
        layer = _draw_layer(canvas, rng)
        if layer.mean() <= MAX_SHARE:
            mask |= layer
    if not mask.any():
        mask[canvas[0] // 2, canvas[1] // 2] = True
    return mask


def _draw_layer(canvas: Canvas, rng: np.random.Generator) -> Mask:
    """A kind of damage, dilated as a grown mask is, and seldom much more."""
    weights = np.array(list(_KINDS.values()))
    kind = str(rng.choice(list(_KINDS), p=weights / weights.sum()))
    scale = float(np.exp(rng.uniform(*np.log(_SCALES))))
    drawn = (SHAPES[kind](canvas, scale, rng) >= VISIBLE).astype(np.uint8)
    width = 1 + 2 * int(rng.integers(0, 3))
    if rng.random() < 0.15:
        width = int(rng.integers(5, _WIDEST_LINE))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return cv2.dilate(drawn, disc).astype(np.bool_)


def _draw_blob(canvas: Canvas, rng: np.random.Generator) -> Mask:
    """A missing part: a disc with an irregular edge."""
    largest = min(_BLOBS[1], _BLOB_OF_CANVAS * min(canvas))
    across = float(np.exp(rng.uniform(np.log(min(_BLOBS[0], largest)), np.log(largest))))
    row, column = rng.random(2) * canvas
    rows, columns = np.ogrid[: canvas[0], : canvas[1]]
    ripple = 1 + 0.25 * smooth_noise(canvas, max(across / 3, 2.0), rng)
    return np.asarray(np.hypot(rows - row, (columns - column) * rng.uniform(0.7, 1.4)) < across / 2 * ripple)
