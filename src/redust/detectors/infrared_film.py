"""What film does to infrared: how much of the picture's dyes it absorbs, and where no light comes through at all.

Measured on cells of 8 x 8 pixels, in which the noise of infrared and the grain of the film average out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.tiles import Tile
from redust.detectors.infrared_density import AlignedDensities, Densities, to_density

CELL = 8  # pixels
_AROUND = 9  # cells over which slow changes are removed
_CLEAN = 3.0  # deviations: cells that stray farther from the line show dust
_ROUNDS = 8  # of the fit
_LEAST_SPREAD = 1e-3  # density: with less picture nothing is known of crosstalk, and nothing has to be
_NEUTRAL = 0.95  # correlation of two channels of a grey or toned picture
_OPAQUE = 1.2  # density beyond that of clear film: a holder or a mount, not dyes
_HOLDER = 5  # cells: side of the smallest square that is a holder rather than a hair


def average_cells(densities: AlignedDensities) -> tuple[Densities, Densities]:
    """Mean density of infrared and of red in cells, each (ceil(H / 8), ceil(W / 8)) float32."""
    shape = tuple(-(-side // CELL) for side in densities.shape)
    infrared, red = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for tile in densities.windows(0):
        cells = _cells_of(tile)
        infrared[cells] = _average(densities.infrared_density(tile))
        red[cells] = _average(densities.red_density(tile))
    return infrared, red


def _cells_of(tile: Tile) -> tuple[slice, slice]:
    bottom, right = -(-(tile.row + tile.height) // CELL), -(-(tile.column + tile.width) // CELL)
    return slice(tile.row // CELL, bottom), slice(tile.column // CELL, right)


def _average(density: Densities) -> Densities:
    height, width = density.shape
    padded = cv2.copyMakeBorder(density, 0, -height % CELL, 0, -width % CELL, cv2.BORDER_REPLICATE)
    size = padded.shape[1] // CELL, padded.shape[0] // CELL
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA)).reshape(size[::-1])


def fit_crosstalk(infrared: Densities, red: Densities, opaque: Mask) -> float:
    """How much density infrared gains where red gains 1, over clean cells.

    Least squares through local changes; cells that stray from the line, as dust does, are left out round by round.

    Parameters
    ----------
    infrared, red : (h, w) float32
        Mean density of cells.
    opaque : (h, w) bool
        Cells that are left out from the start.
    """
    change, change_in_red = (_local_change(plane)[~opaque] for plane in (infrared, red))
    if change.size == 0 or change_in_red.std() < _LEAST_SPREAD:
        return 0.0
    crosstalk = 0.0
    for _ in range(_ROUNDS):
        residual = change - crosstalk * change_in_red
        clean = np.abs(residual) <= _CLEAN * median_deviation(residual) + 1e-6
        crosstalk = float((change_in_red * change)[clean].sum() / max((change_in_red**2)[clean].sum(), 1e-9))
    return crosstalk


def _local_change(cells: Densities) -> Densities:
    return np.asarray(cells - cv2.blur(cells, (_AROUND, _AROUND)), np.float32)


def median_deviation(values: NDArray[np.floating]) -> float:
    """Standard deviation by the median absolute deviation, which a few outliers do not move."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def find_opaque(infrared: Densities) -> Mask:
    """Cells of a holder or a mount: wide, without infrared light, and touching the border of the scan."""
    clear = np.quantile(infrared, 0.1)
    dark = (infrared > clear + _OPAQUE).view(np.uint8)
    square = np.ones((_HOLDER, _HOLDER), np.uint8)
    wide = cv2.morphologyEx(dark, cv2.MORPH_OPEN, square, borderType=cv2.BORDER_REPLICATE)
    _, labels = cv2.connectedComponents(wide, connectivity=8)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    holder = np.isin(labels, border[border > 0]).view(np.uint8)
    return np.asarray(cv2.dilate(holder, np.ones((3, 3), np.uint8)), np.uint8).view(np.bool_)


def spread_cells(cells: Mask, tile: Tile) -> Mask:
    """Cells as pixels of a tile's core, (height, width) bool."""
    pixels = np.repeat(np.repeat(cells[_cells_of(tile)], CELL, axis=0), CELL, axis=1)
    return pixels[: tile.height, : tile.width]


def correlate_changes(infrared: Densities, red: Densities, opaque: Mask) -> float:
    """Correlation, -1..1, of local changes in cells."""
    return _correlate(*(_local_change(plane)[~opaque] for plane in (infrared, red)))


def is_neutral(pixels: Pixels) -> bool:
    """Whether a picture is grey, or toned as a whole: in cells, its channels change as one."""
    if pixels.shape[2] == 1:
        return True
    size = -(-pixels.shape[1] // CELL), -(-pixels.shape[0] // CELL)
    red, green, blue = (
        _local_change(to_density(cv2.resize(np.ascontiguousarray(channel), size, interpolation=cv2.INTER_AREA)))
        for channel in np.moveaxis(pixels, 2, 0)
    )
    return min(_correlate(red, green), _correlate(green, blue)) >= _NEUTRAL


def _correlate(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Correlation, -1..1; 1 where nothing changes."""
    if first.size < 3 or not first.std() or not second.std():
        return 1.0
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
