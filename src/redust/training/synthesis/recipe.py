"""Which damage is drawn, how often and how strongly: one TOML file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from redust.core.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Recipe(Settings):
    """What the synthesizer draws. The defaults follow the census of real damage, widened for what is rare."""

    clean: Share = 0.22  # patches without any damage: the network must learn to say nothing
    negatives: Share = 0.30  # patches with hard negatives drawn into the scene
    layers: Annotated[int, Field(ge=1, le=12)] = 4  # at most this many layers of damage
    scale_low: Annotated[float, Field(gt=0, le=8)] = 0.22  # pixels per 7 micrometres
    scale_high: Annotated[float, Field(gt=0, le=8)] = 1.7
    barely: Annotated[float, Field(ge=0, le=255)] = 5.0  # weaker spots, in 8-bit steps, are not judged (128)
    kinds: dict[str, Weight] = Field(
        default_factory=lambda: {
            "dust": 3.5,
            "dirt": 1.5,
            "hair-short": 1.6,
            "hair": 1.4,
            "lint": 0.5,
            "scratch": 1.5,
            "tramline": 2.2,
            "crack": 0.8,
            "sprinkle": 0.7,
            "stain": 0.3,
            "mould": 0.3,
            "crease": 0.6,
            "missing": 0.3,
            "fingerprint": 0.1,
            "light-leak": 0.0,
            "outlines": 6.0,
            "overlays": 2.0,
            "cracks": 0.6,
        }
    )
    hard: dict[str, Weight] = Field(
        default_factory=lambda: {
            "lettering": 3.0,
            "stars": 2.6,
            "star-trails": 1.0,
            "wires": 1.2,
            "highlights": 1.5,
            "strands": 1.0,
        }
    )
