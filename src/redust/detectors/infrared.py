"""Damage by infrared: dust absorbs it, the dyes of colour film hardly do.

The density of dust in infrared is what is left when the trace of dye is taken off::

    g = (d_IR - c d_R) / (1 - c)

with c the crosstalk, measured on clean film. g is compared with the film around it in units of its own noise, which is
measured on each scan: it differs tenfold between scanners. Dust only takes light away, while noise, grain, edges that
are not quite in register and what the crosstalk leaves over go both ways. So the light side of g shows how far chance
reaches on this very scan, and the threshold on the dark side lies beyond that (a target-decoy estimate of the false
discovery rate: J. Elias, S. Gygi, Nature Methods 4, 2007). Where the light side reaches as far as the dark one, or
infrared shows the picture itself, as with silver and Kodachrome, the plane proves nothing and is left out.

Sources: A. Edgar, US patents 5,266,805 (1993) and 6,393,160 (2002); measurements of scanners in
https://github.com/marcinz606/NegPy/pull/715. Different from both, no constant is of one scanner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Light, Mask, Pixels
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.infrared import InfraredPlane
from redust.core.settings import Sensitivity
from redust.core.tiles import Tile, window
from redust.detectors.infrared_density import (
    AlignedDensities,
    Densities,
    Grid,
    ShiftField,
    fit_to_picture,
    fits_scale,
    interpolate_grid,
)
from redust.detectors.infrared_film import (
    average_cells,
    find_opaque,
    fit_crosstalk,
    median_deviation,
    spread_cells,
)
from redust.detectors.infrared_registration import measure_shift

_SIGMA = 1.0  # pixels: of the blur that lowers the noise
_BLOCK = 64  # pixels: squares in which the film's own level and noise are measured
_HALO = 4  # pixels: what the blur reaches
_MIN_NOISE_SHARE = 0.5  # of the scan's: where film is locally more even, that counts
_QUANTISATION = 0.5  # of a step of the plane: noise is no smaller
_MAX_CROSSTALK = 0.5  # infrared that shows half of red's density shows the picture
_FALSE_SHARE = 0.01  # of what is marked may be chance, by the light side
_FEW = 12  # pixels on the light side that do not count: scratches there are bright in infrared
_THRESHOLDS = np.arange(6.0, 41.0)  # deviations
_STEPS = 4096  # of the histogram of deviations
_MAX_DEVIATION = 512.0


@dataclass(frozen=True, eq=False)
class InfraredEvidence:
    """What infrared tells of each pixel of a picture.

    Parameters
    ----------
    deviation : (H, W) float16
        Density that infrared lacks light by, in deviations of the plane's noise; below 0 where there is more light.
        NaN where infrared tells nothing: holder, mount, not measured.
    threshold
        Deviations from which damage is proven.
    crosstalk
        Density that infrared gains where red gains 1.
    noise
        Standard deviation of density, after the blur; the median over the scan.
    shift
        Median shift (down, right) of the plane against the picture, pixels.
    source
        Where the plane came from.
    refusal
        Why the plane proves nothing on this picture, a sentence; empty if it does.
    """

    deviation: NDArray[np.float16]
    threshold: float
    crosstalk: float
    noise: float
    shift: tuple[float, float]
    source: str
    refusal: str = ""

    def channel(self, tile: Tile) -> Light:
        """The evidence in a tile's window as a detector takes it, (h, w, 1) float32.

        r / (1 + r), where r is the deviation over the threshold: 0 for no evidence, 0.5 for proof.
        """
        ratio = np.nan_to_num(window(self.deviation, tile).astype(np.float32)) / np.float32(self.threshold)
        ratio = np.maximum(ratio, 0)
        return np.asarray(ratio / (1 + ratio), np.float32)[..., None]
