"""Hard negatives: objects of the scene that resemble damage. They are drawn before the damage, on light, in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from redust.core.arrays import Light
from redust.synthesis.night_sky import draw_star_field, draw_star_trails, draw_stars
from redust.synthesis.scene_lines import (
    draw_bristles,
    draw_court_lines,
    draw_frame_edge,
    draw_stalks,
    draw_strands,
    draw_window_bars,
    draw_wires,
)
from redust.synthesis.scene_spots import draw_catchlights, draw_highlights, draw_lettering, draw_raindrops

NIGHT = ("stars", "star-field", "star-trails")
NEGATIVES: dict[str, Callable[[Light, np.random.Generator], None]] = {
    "lettering": draw_lettering,
    "stars": draw_stars,
    "star-field": draw_star_field,
    "star-trails": draw_star_trails,
    "wires": draw_wires,
    "highlights": draw_highlights,
    "strands": draw_strands,
    "stalks": draw_stalks,
    "bristles": draw_bristles,
    "frame-edge": draw_frame_edge,
    "catchlights": draw_catchlights,
    "window-bars": draw_window_bars,
    "court-lines": draw_court_lines,
    "raindrops": draw_raindrops,
}
