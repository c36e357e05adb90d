"""Procedural damage: where it lies and how much light it hides, drawn from random numbers alone.

Every function takes the canvas (height, width), the `scale` in pixels per 7 micrometres (1 = a 35 mm frame at about
3,500 dpi; sizes follow a census of 12,135 artefacts) and a random generator, and returns the coverage: (H, W) float32
in 0..1, where 1 hides the light completely. Edges are soft.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from redust.synthesis.area_shapes import (
    draw_coffee_ring,
    draw_fingerprint,
    draw_light_leak,
    draw_missing_piece,
    draw_stain,
)
from redust.synthesis.line_shapes import (
    draw_crack,
    draw_crease,
    draw_lint,
    draw_long_hairs,
    draw_mould,
    draw_scratches,
    draw_short_hairs,
    draw_tramlines,
)
from redust.synthesis.painting import Canvas, Coverage
from redust.synthesis.spot_shapes import draw_dirt, draw_dust, draw_spots, draw_sprinkle

Shape = Callable[[Canvas, float, np.random.Generator], Coverage]

SHAPES: dict[str, Shape] = {
    "dust": draw_dust,
    "dirt": draw_dirt,
    "hair-short": draw_short_hairs,
    "hair": draw_long_hairs,
    "lint": draw_lint,
    "scratch": draw_scratches,
    "tramline": draw_tramlines,
    "crack": draw_crack,
    "sprinkle": draw_sprinkle,
    "spot": draw_spots,
    "stain": draw_stain,
    "coffee-ring": draw_coffee_ring,
    "mould": draw_mould,
    "crease": draw_crease,
    "missing": draw_missing_piece,
    "fingerprint": draw_fingerprint,
    "light-leak": draw_light_leak,
}
