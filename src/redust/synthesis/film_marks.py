"""Damage as it lies on film: shapes of :mod:`shapes` and :mod:`material`, with what they do to light."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from redust.synthesis.appearance import LINES, STAINS, TORN
from redust.synthesis.film_chain import FilmChain, Mark, Medium
from redust.synthesis.layers import MAX_SHARE
from redust.synthesis.painting import Canvas, Coverage, blur_coverage
from redust.synthesis.synthesizer import Synthesizer

_LAYERS = 3
_NOT_ON_FILM = (
    "folds",
    "transplants",
    "light-leak",
    "coffee-ring",
    "crease",
    "missing",
    "stain",
    "fingerprint",
    "mould",
)
_TORN_SHARE = 0.4  # of scratches and cracks: of the emulsion; the others are of the base


def draw_marks(canvas: Canvas, chain: FilmChain, synthesizer: Synthesizer, rng: np.random.Generator) -> Iterator[Mark]:
    """Draw up to three layers of damage on a film.

    Parameters
    ----------
    canvas : (height, width)
        Of the scan before it is shrunk.
    chain
        Its pitch gives shapes their size in pixels.
    synthesizer
        Its recipe says how often each kind is drawn; its material is drawn too.
    """
    weights = {kind: weight for kind, weight in synthesizer.available_kinds().items() if kind not in _NOT_ON_FILM}
    share = np.array(list(weights.values()))
    # A scan that is shrunk much must still show something: it has larger marks on the film.
    scale = chain.scale * float(np.exp(rng.uniform(np.log(0.6), np.log(1.6)))) * chain.shrink ** rng.uniform(0, 0.6)
    for _ in range(int(rng.integers(1, _LAYERS + 1))):
        layer = synthesizer.draw_layer(str(rng.choice(list(weights), p=share / share.sum())), canvas, scale, rng)
        if layer.damaged.mean() <= MAX_SHARE:
            # Dust on the base lies out of the focus, which is on the emulsion.
            mark = draw_mark(layer.kind, blur_coverage(layer.coverage, rng.uniform(0, 1.2)), chain.medium, rng)
            yield replace(mark, colour=np.full(3, mark.colour.mean(), np.float32)) if chain.monochrome else mark


def draw_mark(kind: str, coverage: Coverage, medium: Medium, rng: np.random.Generator) -> Mark:
    """Draw what a kind of damage does to the light of a medium.

    Scratches and cracks of the emulsion take the image away; stains tint; dust and hairs on a print show their own
    light, on film they hide that of the lamp, one in three only in part.
    """
    if kind in TORN and rng.random() < _TORN_SHARE:
        return Mark(coverage, np.ones(3, np.float32), torn=float(rng.uniform(0.4, 1.0)))
    if kind in STAINS:
        return Mark(coverage, np.clip(rng.normal([0.8, 0.7, 0.6], 0.12), 0.1, 0.95).astype(np.float32))
    if medium is Medium.print:
        grey = rng.uniform(0.0, 0.12) if rng.random() < 0.45 else rng.uniform(0.55, 1.0)
        return Mark(coverage * np.float32(rng.uniform(0.5, 1.0)), _draw_grey(grey, 0.02, rng), reflects=True)
    translucent = rng.random() < (0.45 if kind in LINES else 0.3)
    transmittance = rng.uniform(0.35, 0.8) if translucent else rng.uniform(0.02, 0.35)
    return Mark(coverage, _draw_grey(transmittance, 0.015, rng))


def _draw_grey(grey: float, deviation: float, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A colour (3,) that is nearly this grey."""
    colour: np.ndarray[tuple[int], np.dtype[np.float32]] = np.clip(rng.normal(grey, deviation, 3), 0, 1).astype(
        np.float32
    )
    return colour
