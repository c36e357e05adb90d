"""Repaired pixels of a scan, kept without the pixels that did not change: what the page shows as restored."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.studio.database import TILE, TileIndex


@dataclass(frozen=True, eq=False)
class RestoredTile:
    """The repaired pixels of a tile of 256 pixels.

    Parameters
    ----------
    positions : (n,) uint16
        In the tile, row after row.
    light : (n, C)
        At the scan's depth.
    """

    positions: NDArray[np.uint16]
    light: NDArray[Any]

    def pack(self) -> tuple[bytes, bytes]:
        """As bytes."""
        return zlib.compress(self.positions.tobytes(), 1), zlib.compress(self.light.tobytes(), 1)

    @classmethod
    def unpack(cls, packed: tuple[bytes, bytes], dtype: np.dtype[Any], channels: int) -> RestoredTile:
        """From bytes."""
        positions = np.frombuffer(zlib.decompress(packed[0]), np.uint16)
        return cls(positions, np.frombuffer(zlib.decompress(packed[1]), dtype).reshape(-1, channels))


class RestoredPixels:
    """The repaired pixels of one scan."""

    def __init__(self, tiles: Mapping[TileIndex, RestoredTile]) -> None:
        self.tiles = dict(tiles)

    def put_onto(self, pixels: Pixels, rows: slice, columns: slice) -> Pixels:
        """A window's pixels (h, w, C), with those that are repaired in a copy."""
        shown = pixels
        for row in range(rows.start // TILE, -(-rows.stop // TILE)):
            for column in range(columns.start // TILE, -(-columns.stop // TILE)):
                tile = self.tiles.get((row, column))
                if tile is None or not len(tile.positions):
                    continue
                shown = shown.copy() if shown is pixels else shown
                down, across = np.divmod(tile.positions.astype(np.int64), TILE)
                down, across = down + row * TILE - rows.start, across + column * TILE - columns.start
                inside = (down >= 0) & (across >= 0) & (down < shown.shape[0]) & (across < shown.shape[1])
                shown[down[inside], across[inside]] = tile.light[inside]
        return shown


def cut_tiles(restored: Pixels, mask: Mask, origin: tuple[int, int] = (0, 0)) -> dict[TileIndex, RestoredTile]:
    """The repaired pixels of a window of whole tiles.

    Parameters
    ----------
    restored : (h, w, C)
        The window after the repair.
    mask : (h, w) bool
        What was repaired of it.
    origin
        Row and column of the window's first pixel in the scan: multiples of 256.
    """
    tiles = {}
    for row in range(0, mask.shape[0], TILE):
        for column in range(0, mask.shape[1], TILE):
            marked = mask[row : row + TILE, column : column + TILE]
            down, across = np.nonzero(marked)
            light = restored[row : row + TILE, column : column + TILE][down, across]
            index = (origin[0] + row) // TILE, (origin[1] + column) // TILE
            tiles[index] = RestoredTile((down * TILE + across).astype(np.uint16), light)
    return tiles
