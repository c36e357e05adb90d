"""The rarer polarity of a scan's damage: on most scans damage is bright, or dark, and rarely both.

Dust, hairs and scratches on a negative keep light from the film and come out bright; on a slide or a print they are
mostly dark. So when a scan shows a hundred bright specks, a dark spot is more likely a keyhole. Which polarity is the
rarer one, and by how much, is counted where the detector is certain; :class:`redust.core.engines.PriorShift` says how
much its log odds lose.

A pixel is dark if the likely damage around it is darker than the background, estimated without likely damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.logits import LogitBins
from redust.core.tiles import Rectangle, Tile, tiles, window

Floats: TypeAlias = NDArray[np.float32]

_BLOCK, _HALO = 512, 64  # pixels; the halo is the reach of both blurs
_DOWNSCALE = 4  # the background is computed at a size so many times smaller
_BACKGROUND_SIGMA = 10.0  # pixels
_SMOOTHING_SIGMA = 1.5  # pixels within which damage is dark or bright together
_CELL, _MAX_IN_CELL = (
    32,
    30.0,
)  # damage in a square of this side counts as so many pixels at most: one large region is one
_MIN_CHANCE = 0.05  # chance of damage; pixels below it do not count
_EXPONENT = 4  # of the chance: certain damage counts for more
_PSEUDOCOUNT = 20.0  # pixels of either polarity that are assumed before counting


@dataclass(frozen=True, eq=False)
class MinorityPolarity:
    """The polarity of which a scan shows less damage.

    Parameters
    ----------
    share
        Of the damage, 0..0.5.
    dark
        Whether it is the dark one.
    packed_blocks
        Where there may be damage: the mask of what is dark there, eight pixels to a byte.
    """

    share: float
    dark: bool
    packed_blocks: list[tuple[Tile, NDArray[np.uint8]]]

    def logit_penalty(self, exponent: float) -> float:
        """What its log odds lose."""
        return -exponent * float(np.log(2 * self.share))

    def blocks(self) -> Iterator[tuple[Rectangle, Mask]]:
        """Blocks of the scan, and the mask of their pixels of this polarity."""
        for tile, packed in self.packed_blocks:
            dark = unpack_mask(packed, (tile.height, tile.width))
            yield tile.core, dark if self.dark else ~dark


def unpack_mask(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    """A mask of `shape` that was packed with eight pixels to a byte."""
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).view(np.bool_)


def find_minority_polarity(pixels: Pixels, bins: LogitBins, posteriors: Floats) -> MinorityPolarity:
    """Find the rarer polarity of a scan's damage.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
    bins : (H, W) uint8
        Its damage map; see :class:`redust.core.logits.QuantisedMap`.
    posteriors : (256,) float32
        How likely a pixel of each bin is damaged on this scan, 0..1.
    """
    weights = np.where(posteriors < _MIN_CHANCE, 0, posteriors**_EXPONENT).astype(np.float32)
    blocks, dark_count, bright_count = [], 0.0, 0.0
    for tile in tiles(bins.shape, _BLOCK, halo=_HALO, multiple_of=_DOWNSCALE):
        certain = weights[bins[tile.core]]
        if not certain.any():
            continue
        dark = _find_darker(window(pixels, tile), posteriors[window(bins, tile)])[tile.core_in_window]
        dark_count, bright_count = (
            dark_count + _count_capped(certain * dark),
            bright_count + _count_capped(certain * ~dark),
        )
        blocks.append((tile, np.packbits(dark)))
    smaller = min(dark_count, bright_count)
    share = (smaller + _PSEUDOCOUNT) / (dark_count + bright_count + 2 * _PSEUDOCOUNT)
    return MinorityPolarity(share, dark_count < bright_count, blocks)


def _find_darker(pixels: Pixels, chances: Floats) -> Mask:
    """Which pixels of a window are darker than the background."""
    finite = pixels.astype(np.float32) if pixels.dtype != np.float32 else np.nan_to_num(pixels, posinf=1, neginf=0)
    channels = pixels.shape[2]
    grey = np.asarray(cv2.transform(finite, np.full((1, channels), 1 / channels)), np.float32).reshape(chances.shape)
    sound = np.maximum(1 - 3 * chances, 1e-4)
    background = _blur_widely(grey * sound) / _blur_widely(sound)
    contrast = grey - cv2.resize(background, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(contrast * chances, (0, 0), _SMOOTHING_SIGMA) < 0)


def _blur_widely(plane: Floats) -> Floats:
    """A plane blurred widely, at a quarter of the size."""
    height, width = (length // _DOWNSCALE for length in plane.shape)
    small = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _BACKGROUND_SIGMA / _DOWNSCALE), np.float32)


def _count_capped(certain: Floats) -> float:
    """The sum of weights, at most so many in each cell."""
    rows = np.add.reduceat(certain, np.arange(0, certain.shape[0], _CELL), axis=0)
    cells = np.add.reduceat(rows, np.arange(0, certain.shape[1], _CELL), axis=1)
    return float(np.minimum(cells, _MAX_IN_CELL).sum())
