"""Damage that goes against the rest of a scan's: on most scans damage is bright, or dark, and rarely both.

Dust, hairs and scratches on a negative keep light from the film and come out bright; on a slide or a print they are
mostly dark. So when a scan shows a hundred bright specks, a dark spot is rather a keyhole. Which polarity is the rarer
one, and by how much, is counted where the detector is sure; how much its odds lose for that is up to
:class:`redust.core.prior_shift.PriorShift`.

A pixel is dark if what is likely damage around it is darker than the ground near by, which is looked at without what
is likely damage.
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
from redust.core.tiles import Place, Tile, tiles, window

Floats: TypeAlias = NDArray[np.float32]

_BLOCK, _HALO = 512, 64  # pixels; the halo is what both blurs reach
_COARSE = 4  # the ground is computed at a size so many times smaller
_GROUND = 10.0  # sigma in pixels within which the ground is looked at
_TOGETHER = 1.5  # sigma in pixels within which pixels are dark or bright together
_CELL, _MOST = 32, 30.0  # damage in a square of this side counts as so many pixels at most: one large piece is one
_LEAST = 0.05  # chance of damage; pixels below it have no say
_SURE = 4  # exponent of the chance: what is sure counts for more
_UNSEEN = 20.0  # pixels of either polarity that are taken for granted


@dataclass(frozen=True, eq=False)
class MinorityPolarity:
    """The polarity that a scan shows less of.

    Parameters
    ----------
    share
        Of the damage, 0..0.5.
    dark
        Whether it is the dark one.
    blocks
        Where there may be damage: what is dark there, eight pixels to a byte.
    """

    share: float
    dark: bool
    blocks: list[tuple[Tile, NDArray[np.uint8]]]

    def loss(self, strength: float) -> float:
        """What its log odds lose."""
        return -strength * float(np.log(2 * self.share))

    def places(self) -> Iterator[tuple[Place, Mask]]:
        """Blocks of the scan, and which of their pixels are of this polarity."""
        for tile, packed in self.blocks:
            dark = unpack_mask(packed, (tile.height, tile.width))
            yield tile.core, dark if self.dark else ~dark


def unpack_mask(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Mask:
    """The mask that was packed, eight pixels to a byte."""
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).view(np.bool_)


def find_minority_polarity(pixels: Pixels, graded: LogitBins, chances: Floats) -> MinorityPolarity:
    """Find the rarer polarity of a scan's damage.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
    graded : (H, W) uint8
        Its damage map, by :func:`redust.core.logits.quantise_logits`.
    chances : (256,) float32
        How likely a pixel of each grade is damaged on this scan, 0..1.
    """
    weights = np.where(chances < _LEAST, 0, chances**_SURE).astype(np.float32)
    blocks, dark_count, count = [], 0.0, 0.0
    for tile in tiles(graded.shape, _BLOCK, halo=_HALO, multiple_of=_COARSE):
        sure = weights[graded[tile.core]]
        if not sure.any():
            continue
        dark = _darker(window(pixels, tile), chances[window(graded, tile)])[tile.core_in_window]
        dark_count, count = dark_count + _counted(sure * dark), count + _counted(sure * ~dark)
        blocks.append((tile, np.packbits(dark)))
    least = min(dark_count, count)
    return MinorityPolarity((least + _UNSEEN) / (dark_count + count + 2 * _UNSEEN), dark_count < count, blocks)


def _darker(pixels: Pixels, chances: Floats) -> Mask:
    """Which pixels of a window are darker than the ground."""
    known = pixels.astype(np.float32) if pixels.dtype != np.float32 else np.nan_to_num(pixels, posinf=1, neginf=0)
    channels = pixels.shape[2]
    grey = np.asarray(cv2.transform(known, np.full((1, channels), 1 / channels)), np.float32).reshape(chances.shape)
    sound = np.maximum(1 - 3 * chances, 1e-4)
    ground = _near(grey * sound) / _near(sound)
    contrast = grey - cv2.resize(ground, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(contrast * chances, (0, 0), _TOGETHER) < 0)


def _near(plane: Floats) -> Floats:
    """A plane blurred widely, at a quarter of the size."""
    height, width = (length // _COARSE for length in plane.shape)
    small = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _GROUND / _COARSE), np.float32)


def _counted(sure: Floats) -> float:
    """Sure pixels, at most so many in each cell."""
    rows = np.add.reduceat(sure, np.arange(0, sure.shape[0], _CELL), axis=0)
    cells = np.add.reduceat(rows, np.arange(0, sure.shape[1], _CELL), axis=1)
    return float(np.minimum(cells, _MOST).sum())
