"""Make ``examples/astronaut-scan.tif``: a 16-bit scan with an ICC profile, damaged by ReDust's own synthesis.

The picture is NASA's portrait of Eileen Collins (public domain), which comes with scikit-image. It is
enlarged to the softness of a film scan, given grain, and then dust, hairs and scratches. What was drawn is
written beside it (``astronaut-truth.png``), so that anyone can score a mask.

Needs ``pip install redust[train]`` and scikit-image.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import ImageCms

import redust
from redust.core.arrays import from_light
from redust.synthesis.appearance import Appearance, apply_appearance
from redust.synthesis.film_simulation import add_film_grain
from redust.synthesis.shapes import SHAPES

SIDE = 768
LAYERS = (  # kind, scale in pixels per 7 micrometres, linear grey shown, opacity, seed
    ("dust", 0.55, 0.9, 0.95, 3),
    ("dust", 0.35, 0.8, 0.8, 8),
    ("hair", 0.50, 0.85, 0.9, 21),
    ("hair-short", 0.45, 0.9, 0.9, 5),
    ("tramline", 0.60, 0.7, 0.75, 4),
    ("dirt", 0.35, 0.04, 0.9, 11),
)


def main() -> None:
    """Write the scan and its true mask."""
    here = Path(__file__).parent
    rng = np.random.default_rng(2026)
    photo = skimage.data.astronaut().astype(np.float32) / np.float32(255)
    light = np.clip(cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 1)
    light = add_film_grain(light.astype(np.float32), rng)
    truth = np.zeros((SIDE, SIDE), bool)
    for kind, scale, shade, opacity, seed in LAYERS:
        coverage = SHAPES[kind]((SIDE, SIDE), scale, np.random.default_rng(seed))
        apply_appearance(light, coverage, Appearance(np.full(3, shade, np.float32), opacity, multiply=shade < 0.3))
        truth |= coverage >= 0.28
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    scan = redust.Scan(from_light(light, np.dtype(np.uint16)), icc=profile, dpi=(3200.0, 3200.0))
    redust.write_scan(scan, here / "astronaut-scan.tif", overwrite=True)
    redust.write_mask(truth, here / "astronaut-truth.png", overwrite=True)


if __name__ == "__main__":
    main()
