"""The strips and tiles of a TIFF page, encoded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Plane
from redust.core.scan import Scan
from redust.core.threads import in_order
from redust.files.depth import shrink_depth
from redust.files.tiff_layout import (
    DEFLATE,
    JPEG,
    LZMA,
    LZW,
    NO_COMPRESSION,
    OLD_DEFLATE,
    PACKBITS,
    WHITE_IS_ZERO,
    ZSTD,
    Layout,
)
from redust.files.tiff_tree import Buffer, Order
from redust.files.tiff_writer import Painting

_NATIVE: Order = "<" if sys.byteorder == "little" else ">"
STRIP_BYTES = 1 << 20
_ENCODERS: dict[int, Callable[..., bytes | bytearray]] = {
    LZW: imagecodecs.lzw_encode,
    DEFLATE: imagecodecs.deflate_encode,
    OLD_DEFLATE: imagecodecs.deflate_encode,
    LZMA: imagecodecs.lzma_encode,
    ZSTD: imagecodecs.zstd_encode,
}


def find_changed_segments(
    scan: Scan, layout: Layout, decoded: Iterable[tuple[NDArray[Any], tuple[int, int, int]]]
) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """The strips or tiles whose samples a scan has changed.

    Parameters
    ----------
    decoded
        Samples (h, w, S) of each as they were in the file, with its (plane, row, column).

    Yields
    ------
    number
        In the order of the file.
    corner : (plane, row, column)
    """
    numbers = {corner: number for number, corner in enumerate(_corners(layout))}
    for samples, corner in decoded:
        block = _block(scan, layout, corner, *samples.shape[:2])
        if not np.array_equal(block.astype(samples.dtype), samples):
            yield numbers[corner], corner


def encode_segment(scan: Scan, layout: Layout, order: Order, corner: tuple[int, int, int]) -> bytes:
    """One strip or tile, encoded."""
    if layout.compression == NO_COMPRESSION:
        return b"".join(_split_segment(scan, layout, order, corner)[1])
    if layout.compression == JPEG:
        block = _block(scan, layout, corner, _rows_at(layout, corner[1]), layout.chunk[1])
        return bytes(imagecodecs.jpeg_encode(block, lossless=True, bitspersample=layout.stored_bits))
    return _encode_segment(scan, layout, order, corner)


def encode_segments(scan: Scan, layout: Layout, order: Order) -> Painting:
    """Each strip or tile of the page, encoded, in the order of the file."""
    if layout.compression == NO_COMPRESSION:
        return (_split_segment(scan, layout, order, corner) for corner in _corners(layout))
    encoded = in_order(lambda corner: _encode_segment(scan, layout, order, corner), _corners(layout))
    return ((len(data), (data,)) for data in encoded)


def _corners(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """(plane, row, column) of each strip or tile."""
    tall, wide = layout.chunk
    for plane in range(layout.planes):
        for row in range(0, layout.height, tall):
            for column in range(0, layout.width, wide):
                yield plane, row, column


def _rows_at(layout: Layout, row: int) -> int:
    """How many rows the strip or tile has that begins at a row."""
    tall, _ = layout.chunk
    return tall if layout.tile else min(tall, layout.height - row)


def _split_segment(
    scan: Scan, layout: Layout, order: Order, corner: tuple[int, int, int]
) -> tuple[int, Iterator[Buffer]]:
    """An uncompressed strip or tile: its length, and pieces of bounded size, since it may be the whole picture."""
    plane, row, column = corner
    tall, wide = _rows_at(layout, row), layout.chunk[1]
    row_bytes = layout.row_bytes(wide)
    step = max(1, STRIP_BYTES // row_bytes)
    pieces = (
        _bytes(_narrow_block(scan, layout, (plane, row + start, column), min(step, tall - start), wide), order)
        for start in range(0, tall, step)
    )
    return tall * row_bytes, pieces


def _encode_segment(scan: Scan, layout: Layout, order: Order, corner: tuple[int, int, int]) -> bytes:
    """A compressed strip or tile."""
    block = _narrow_block(scan, layout, corner, _rows_at(layout, corner[1]), layout.chunk[1])
    if layout.predictor == 2:
        block = imagecodecs.delta_encode(block, axis=-2)
    elif layout.predictor == 3:
        block = imagecodecs.floatpred_encode(block, axis=-2)
        order = _NATIVE  # its bytes are sorted by weight already
    if layout.compression == PACKBITS:
        return bytes(imagecodecs.packbits_encode(np.ascontiguousarray(_ordered(block, order)), axis=-2))
    return bytes(_ENCODERS[layout.compression](_bytes(block, order)))


def _narrow_block(scan: Scan, layout: Layout, corner: tuple[int, int, int], tall: int, wide: int) -> NDArray[Any]:
    """Samples (tall, wide, S) in the file's own depth; packed integers as rows of bytes (tall, bytes, 1)."""
    block = _block(scan, layout, corner, tall, wide)
    if layout.packed_bits:
        packed = imagecodecs.packints_encode(block, layout.packed_bits, runlen=wide * block.shape[2])
        return np.frombuffer(packed, np.uint8).reshape(tall, -1, 1)
    return block.astype(np.float16) if layout.narrow_bits else block


def _block(scan: Scan, layout: Layout, corner: tuple[int, int, int], tall: int, wide: int) -> NDArray[Any]:
    """Samples (tall, wide, S) as they lie in the file: with extra planes, white as zero, edges of tiles padded."""
    plane, row, column = corner
    rows, columns = slice(row, row + tall), slice(column, column + wide)
    block: NDArray[Any]
    if layout.planar:
        block = _sample(scan, layout, plane)[rows, columns, None]
    elif layout.extras:
        block = np.dstack([_sample(scan, layout, sample)[rows, columns] for sample in range(layout.samples)])
    else:
        block = scan.pixels[rows, columns]
    if layout.photometric == WHITE_IS_ZERO and (not layout.planar or plane == 0):
        block = np.concatenate([np.invert(block[..., :1]), block[..., 1:]], axis=-1)
    block = shrink_depth(block, layout.bits)
    missing = tall - block.shape[0], wide - block.shape[1]
    return np.pad(block, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else block


def _sample(scan: Scan, layout: Layout, index: int) -> Plane:
    if index < scan.channels:
        return scan.pixels[..., index]
    plane = getattr(scan, layout.extras[index - scan.channels])
    if plane is None:
        raise ValueError(f"the scan has lost its {layout.extras[index - scan.channels]} plane")
    return np.asarray(plane)


def _ordered(block: NDArray[Any], order: Order) -> NDArray[Any]:
    return block.astype(block.dtype.newbyteorder(order), copy=False)


def _bytes(block: NDArray[Any], order: Order) -> memoryview:
    return np.ascontiguousarray(_ordered(block, order)).data.cast("B")
