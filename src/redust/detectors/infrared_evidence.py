"""What infrared tells of each pixel: how much light is missing there that the film would have let through.

Dust absorbs infrared, the dyes of colour film hardly do. The density of dust in infrared is what is left when the trace
of dye is taken off::

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
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Mask, Pixels
from redust.core.infrared import InfraredPlane
from redust.core.tiles import Tile, tiles, window
from redust.detectors.infrared_density import (
    AlignedDensities,
    Grid,
    ShiftField,
    density_step,
    fit_to_picture,
    fits_scale,
    interpolate_grid,
    to_density,
)
from redust.detectors.infrared_film import (
    average_cells,
    correlate_changes,
    find_opaque,
    fit_crosstalk,
    is_neutral,
    spread_cells,
)
from redust.detectors.infrared_registration import measure_shift

Deviations = NDArray[np.float16]

_SIGMA = 1.0  # pixels: of the blur that lowers the noise
_BLOCK = 64  # pixels: squares in which the film's own level and noise are measured
_HALO = 4  # pixels: what the blur reaches
_MIN_SIDE = 64  # pixels of the shorter side
_SAMPLING = 4  # pixels: step at which a square is measured
_MIN_NOISE_SHARE = 0.5  # of the scan's: where film is locally more even, that counts
_QUANTISATION = 0.5  # of a step of the plane: noise is no smaller
_MAX_CROSSTALK = 0.5  # of what dust gains in infrared: film that gains more shows the picture
_FALSE_SHARE = 0.01  # of what is marked may be chance, by the light side
_FEW_BLOCKS = 0.002  # share of all whose light side does not count: scratched emulsion is bright in infrared
_THRESHOLDS = np.arange(6.0, 31.0)  # deviations
_MIN_AGREEMENT = 0.3  # correlation of light and infrared over proven pixels; that of two frames is about 0
_LEAST_PROVEN = 60  # pixels; fewer tell nothing about dust
_AROUND = 31  # pixels: surroundings that dust is compared with
_DUST_TILES = 6  # windows in which dust is measured
_MAX_CORRELATION = 0.8  # of infrared with a neutral picture, where no dust tells more
_TRACE = 0.002  # crosstalk below that is none


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
    misfit
        Whether the plane does not show the same area as the picture.
    """

    deviation: Deviations
    threshold: float
    crosstalk: float
    noise: float
    shift: tuple[float, float]
    source: str
    refusal: str = ""
    misfit: bool = False

    def channel(self, tile: Tile) -> Light:
        """The evidence in a tile's window as a detector takes it, (h, w, 1) float32.

        r / (1 + r), where r is the deviation over the threshold: 0 for no evidence, 0.5 for proof. 0 everywhere where
        the plane is left out.
        """
        if not self.deviation.size:
            return np.zeros((tile.bottom - tile.top, tile.right - tile.left, 1), np.float32)
        ratio = np.nan_to_num(window(self.deviation, tile).astype(np.float32)) / np.float32(self.threshold)
        ratio = np.maximum(ratio, 0)
        return np.asarray(ratio / (1 + ratio), np.float32)[..., None]


def measure_infrared(pixels: Pixels, infrared: InfraredPlane) -> InfraredEvidence:
    """Measure what an infrared plane tells of a picture.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        The picture.
    infrared
        Its plane; another scale is resampled, a shift of a few pixels is measured.

    Returns
    -------
    evidence : InfraredEvidence
        With a refusal where the plane shows the picture itself, another one, or another area.
    """
    shape = pixels.shape[0], pixels.shape[1]
    unmeasured = InfraredEvidence(_NOTHING, 0.0, 0.0, 0.0, (0.0, 0.0), infrared.source)
    if not fits_scale(infrared.shape, shape):
        return _refuse(replace(unmeasured, misfit=True), _describe_misfit(infrared.shape, shape))
    if min(shape) < _MIN_SIDE:
        return _refuse(unmeasured, "is too small to measure its noise, and is left out")
    densities = _align(pixels, fit_to_picture(infrared, shape))
    cells, red_cells = average_cells(densities)
    opaque = find_opaque(cells)
    crosstalk = fit_crosstalk(cells, red_cells, opaque)
    deviation = _measure_gate(densities, crosstalk, opaque)
    noise = _normalise(deviation, density_step(infrared.plane))
    threshold = _choose_threshold(deviation) if noise else None
    evidence = replace(
        unmeasured, deviation=deviation, threshold=threshold or 0.0, crosstalk=crosstalk, noise=noise,
        shift=densities.shift.median(),
    )  # fmt: skip
    correlation = correlate_changes(cells, red_cells, opaque)
    reason = _find_fault(evidence, densities, silver_like=abs(correlation) >= _MAX_CORRELATION and is_neutral(pixels))
    return _refuse(evidence, reason) if reason else evidence


def _find_fault(evidence: InfraredEvidence, densities: AlignedDensities, *, silver_like: bool) -> str:
    """Why the plane cannot tell dust from the picture; empty if it can.

    Parameters
    ----------
    silver_like
        Whether the picture is neutral and infrared shows it: then dust alone tells dyes from silver.
    """
    crosstalk = abs(evidence.crosstalk)
    if not evidence.noise:
        return _SHOWS_NOTHING
    if not evidence.threshold or crosstalk >= _MAX_CROSSTALK:
        return _SHOWS_PICTURE
    dust = _measure_dust(evidence.deviation >= np.float16(evidence.threshold), densities)
    if not dust.agrees:
        return _SHOWS_OTHER
    if dust.contrast is None:
        return _SHOWS_PICTURE if silver_like else ""
    opposite = evidence.crosstalk * dust.contrast < 0
    shows_picture = crosstalk > _TRACE and (opposite or crosstalk > _MAX_CROSSTALK * abs(dust.contrast))
    return _SHOWS_PICTURE if shows_picture else ""


_SHOWS_PICTURE = (
    "shows the picture itself, as it does on silver black-and-white film and Kodachrome: it cannot tell dust, and is "
    "left out"
)
_SHOWS_NOTHING = "is even, as no scanner records it: it is no infrared, and is left out"
_SHOWS_OTHER = "marks what the picture does not show: it belongs to another frame, or is no infrared, and is left out"


_NOTHING = np.zeros((0, 0), np.float16)


def _describe_misfit(plane: tuple[int, int], picture: tuple[int, int]) -> str:
    return (
        f"is {plane[1]} x {plane[0]} pixels, the scan {picture[1]} x {picture[0]}: not the same area at another scale. "
        "Neither may be cropped or turned; leave it out with --infrared off"
    )


def _refuse(evidence: InfraredEvidence, reason: str) -> InfraredEvidence:
    """The same without what was measured of pixels, and why."""
    return replace(evidence, deviation=_NOTHING, refusal=f"The infrared plane ({evidence.source}) {reason}.")


def _align(pixels: Pixels, infrared: InfraredPlane) -> AlignedDensities:
    """Register the plane with the picture; where it brings its own red light, that with the picture, and it with that.

    Without common detail between plane and picture there is nothing to go by, and they count as aligned.
    """
    shape = pixels.shape[0], pixels.shape[1]
    still = AlignedDensities(pixels, infrared, ShiftField.none(), ShiftField.none())
    if infrared.red is None:
        return AlignedDensities(
            pixels, infrared, measure_shift(still.red_density, still.infrared_density, shape), ShiftField.none()
        )
    first = np.ascontiguousarray(pixels[..., 0])
    red_shift = measure_shift(lambda tile: to_density(window(first, tile)), still.red_density, shape)
    shift = red_shift + measure_shift(still.red_density, still.infrared_density, shape)
    return AlignedDensities(pixels, infrared, shift, red_shift)


def _measure_gate(densities: AlignedDensities, crosstalk: float, opaque: Mask) -> Deviations:
    """The density of dust in infrared, blurred, (H, W) float16; NaN where nothing can be told."""
    gate = np.empty(densities.shape, np.float16)
    for tile in densities.windows(_HALO):
        dust = densities.infrared_density(tile) - np.float32(crosstalk) * densities.red_density(tile)
        dust /= np.float32(1 - crosstalk)
        blurred = cv2.GaussianBlur(dust, (0, 0), _SIGMA)[tile.core_in_window]
        blurred[spread_cells(opaque, tile)] = np.nan
        invalid = densities.invalid(tile.core)
        if invalid is not None:
            blurred[invalid] = np.nan
        gate[tile.core] = blurred
    return gate


def _normalise(gate: Deviations, step: float) -> float:
    """Turn the density of dust into deviations from the film around it, in place; the median noise is returned.

    It is 0 of a plane without noise, which no scanner makes.

    Parameters
    ----------
    gate : (H, W) float16
        As of :func:`_measure_gate`.
    step
        Density that one step of the plane is worth.
    """
    level, noise = _measure_blocks(gate)
    known = np.isfinite(level)
    if not known.any():
        return 0.0
    median = float(np.median(noise[known]))
    if not median:
        return 0.0
    level, noise = (_smooth_grid(grid, known) for grid in (level, noise))
    noise = np.maximum(noise, np.float32(max(_MIN_NOISE_SHARE * median, _QUANTISATION * step)))
    for tile in tiles(gate.shape, _BLOCK * 16):
        rows, columns = (np.arange(side.start, side.stop) for side in tile.core)
        centre, scale = (interpolate_grid(grid, (_BLOCK, _BLOCK), rows, columns) for grid in (level, noise))
        gate[tile.core] = (gate[tile.core] - centre) / scale
    return max(median, _QUANTISATION * step)


def _smooth_grid(grid: Grid, known: Mask) -> Grid:
    """The median of 5 x 5 squares around each; unknown squares count as the median of all."""
    filled = np.where(known, grid, np.median(grid[known])).astype(np.float32)
    return np.asarray(cv2.medianBlur(filled, 5), np.float32)


def _measure_blocks(gate: Deviations) -> tuple[Grid, Grid]:
    """Median and deviation in squares of 64 pixels, by every fourth pixel each way; NaN in squares without any."""
    level, noise = [], []
    for strip in _strips_of_blocks(gate, _SAMPLING):
        values = strip.astype(np.float32)
        known = np.isfinite(values).all(axis=1)
        middle = np.full(len(values), np.nan, np.float32)
        spread = middle.copy()
        middle[known] = np.median(values[known], axis=1)
        spread[known] = 1.4826 * np.median(np.abs(values[known] - middle[known, None]), axis=1)
        level.append(middle)
        noise.append(spread)
    return np.stack(level), np.stack(noise)


def _strips_of_blocks(plane: Deviations, step: int) -> Iterator[Deviations]:
    """Squares of 64 pixels, a row of them at a time: (squares, values), by every `step`-th pixel each way.

    The last square of a row or column reaches back so far that it is whole; a plane smaller than a square is one.
    """
    height, width = min(_BLOCK, plane.shape[0]), min(_BLOCK, plane.shape[1])
    columns = np.minimum(np.arange(-(-plane.shape[1] // _BLOCK)) * _BLOCK, plane.shape[1] - width)
    for index in range(-(-plane.shape[0] // _BLOCK)):
        row = min(index * _BLOCK, plane.shape[0] - height)
        strip = plane[row : row + height : step]
        yield np.stack([strip[:, column : column + width : step].ravel() for column in columns])


def _choose_threshold(deviation: Deviations) -> float | None:
    """The lowest threshold beyond which the light side hardly ever reaches; None if it always does."""
    extremes = [
        (np.nan_to_num(strip).max(axis=1), -np.nan_to_num(strip).min(axis=1))
        for strip in _strips_of_blocks(deviation, 1)
    ]
    dark, light = (np.concatenate(side).astype(np.float32) for side in zip(*extremes, strict=True))
    for threshold in _THRESHOLDS.tolist():
        chance, proven = np.count_nonzero(light >= threshold), np.count_nonzero(dark >= threshold)
        if chance <= _FALSE_SHARE * proven + _FEW_BLOCKS * len(dark):
            return float(threshold)
    return None


@dataclass(frozen=True)
class _Dust:
    """What proven dust looks like.

    Parameters
    ----------
    agrees
        Whether the picture shows it too.
    contrast
        Density it gains in infrared where it gains 1 in red; negative in a negative turned positive. None where too
        little dust is proven.
    """

    agrees: bool
    contrast: float | None


def _measure_dust(proven: Mask, densities: AlignedDensities) -> _Dust:
    """Compare the light of proven pixels with that around them, in red and in infrared."""
    changes = [np.zeros((2, 0), np.float32)]
    marked_tiles = [tile for tile in densities.windows(_AROUND) if proven[tile.core].any()]
    for tile in marked_tiles[:: -(-len(marked_tiles) // _DUST_TILES) or 1]:
        planes = densities.red_density(tile), densities.infrared_density(tile)
        local = np.stack([(plane - cv2.blur(plane, (_AROUND, _AROUND)))[tile.core_in_window] for plane in planes])
        changes.append(local[:, proven[tile.core]])
    red, infrared = np.concatenate(changes, axis=1).astype(np.float64)
    if red.size < _LEAST_PROVEN:
        return _Dust(True, None)
    common, in_red, in_infrared = (red * infrared).sum(), (red**2).sum(), (infrared**2).sum()
    agrees = abs(common) >= _MIN_AGREEMENT * (in_red * in_infrared) ** 0.5
    return _Dust(bool(agrees), float(common / max(in_red, 1e-9)))
