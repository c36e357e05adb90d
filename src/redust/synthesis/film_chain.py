"""What decides how a film becomes a file: the film, the scanner, its program, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from redust.synthesis.painting import Coverage

_ORANGE = np.array([0.55, 0.30, 0.18], np.float32)  # transmittance of the base of colour negative film
_CLEAR = np.array([0.93, 0.93, 0.92], np.float32)


class Medium(StrEnum):
    """What was scanned."""

    colour_negative = "colour negative"
    silver_negative = "black-and-white negative"
    slide = "slide"
    print = "print"


@dataclass(frozen=True)
class Mark:
    """One layer of damage on the film.

    Parameters
    ----------
    coverage : (H, W) float32 in 0..1
        How much of each pixel it covers.
    colour : (3,) float32 in 0..1
        Linear. Its transmittance if it lies in the light path, else the light that it reflects.
    torn
        Share of the image layer that is gone under it: a scratch of the emulsion, a flake.
    reflects
        Whether it hides the picture behind its own light, as dust on a print does.
    """

    coverage: Coverage
    colour: NDArray[np.float32]
    torn: float = 0.0
    reflects: bool = False


@dataclass(frozen=True)
class FilmChain:
    """One film, one scanner, one file.

    Parameters
    ----------
    medium
    inverted
        Whether a negative is turned into a positive.
    pitch
        Distance of the scan's pixels on the film, in micrometres.
    contrast
        Slope of density over decadic log exposure; negative for negatives.
    granularity
        RMS granularity: 1,000 times the deviation of density through a hole of 48 micrometres.
    cloud
        Diameter of a dye cloud or clump of grains, in micrometres.
    mtf_sigma
        Blur of the scanner's optics, a Gaussian in pixels.
    read_noise, shot_noise
        Deviation of the sensor's noise in the dark, and at full light, of full light.
    levels
        What becomes black and white, of the encoded light.
    curve
        Strength of the S-curve, 0..1.
    unsharp, unsharp_small
        (sigma in pixels, amount) of the unsharp mask before and after shrinking; amount 0 for none.
    shrink
        Factor, at least 1.
    quality
        Of the JPEG, 1..100; None for none.
    """

    medium: Medium
    inverted: bool
    pitch: float
    contrast: float
    granularity: float
    cloud: float
    mtf_sigma: float
    read_noise: float
    shot_noise: float
    levels: tuple[float, float]
    curve: float
    unsharp: tuple[float, float]
    unsharp_small: tuple[float, float]
    shrink: float
    quality: int | None

    @property
    def monochrome(self) -> bool:
        """Whether film and scan are black-and-white."""
        return self.medium is Medium.silver_negative

    @property
    def scale(self) -> float:
        """Pixels per 7 micrometres, as :mod:`redust.synthesis.shapes` takes it."""
        return 7.0 / self.pitch

    @property
    def base(self) -> NDArray[np.float32]:
        """Transmittance of the film without an image, (3,)."""
        return _ORANGE if self.medium is Medium.colour_negative else _CLEAR

    def scan_side(self, side: int) -> int:
        """Side in pixels of the scan that is shrunk to `side`."""
        return round(side * self.shrink)


def draw_chain(rng: np.random.Generator, largest_shrink: float = 5.0) -> FilmChain:
    """Draw a film, a scanner and a file as people have them.

    RMS granularity is as data sheets give it: about 4 to 7 for colour negatives (widened for age and push), 8 to 10
    for slides, 8 to 18 for black-and-white.
    """
    medium = list(Medium)[int(rng.choice(4, p=(0.42, 0.28, 0.18, 0.12)))]
    negative = medium in (Medium.colour_negative, Medium.silver_negative)
    granularity = {
        Medium.colour_negative: (3.5, 9.0),
        Medium.silver_negative: (7.0, 20.0),
        Medium.slide: (6.0, 12.0),
        Medium.print: (1.0, 6.0),
    }[medium]
    shrunk = rng.random() < 0.55
    return FilmChain(
        medium=medium,
        inverted=negative and rng.random() < 0.9,
        pitch=_log_uniform(rng, 4.0, 14.0),
        contrast=-rng.uniform(0.5, 0.75) if negative else rng.uniform(1.0, 1.5),
        granularity=_log_uniform(rng, *granularity),
        cloud=rng.uniform(2.0, 12.0),
        mtf_sigma=_log_uniform(rng, 0.35, 1.3),
        read_noise=_log_uniform(rng, 0.0003, 0.003),
        shot_noise=_log_uniform(rng, 0.001, 0.01),
        levels=(rng.uniform(-0.05, 0.12), rng.uniform(0.82, 1.08)),
        curve=rng.uniform(0.0, 0.7),
        unsharp=(rng.uniform(0.6, 2.0), rng.uniform(0.2, 1.5) if rng.random() < 0.6 else 0.0),
        unsharp_small=(rng.uniform(0.4, 0.9), rng.uniform(0.2, 1.0) if shrunk and rng.random() < 0.6 else 0.0),
        shrink=_log_uniform(rng, 1.5, max(1.5, largest_shrink)) if shrunk else 1.0,
        quality=int(rng.integers(65, 98)) if rng.random() < 0.75 else None,
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
