"""JPEG 2000 codestreams, coded and decoded tile by tile: OpenJPEG holds four bytes a sample of what it has at once.

Tiles are coded independently of each other. Cut out with its own coordinates, each is a codestream of its own; and
codestreams whose corners lie at multiples of a code block at the lowest resolution (64 << 5) are tiles of a larger one.

Source: ITU-T T.800 (2015), annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from redust.core.errors import ScanTooLarge, UnreadableScan
from redust.core.threads import count_cores

SIGNATURE = b"\xff\x4f\xff\x51"
END = b"\xff\xd9"
_SIZ, _COD, _QCD, _SOT, _PACKED_HEADERS, _LENGTHS = 0xFF51, 0xFF52, 0xFF5C, 0xFF90, 0xFF60, {0xFF55, 0xFF57}
_TILE = 2048
_MEGABYTE = 10**6
_BASE, _ALLOWANCE = 150 * _MEGABYTE, 500 * _MEGABYTE


@dataclass(frozen=True)
class Header:
    """The main header of a codestream.

    Parameters
    ----------
    size
        right, bottom, left, top, tile width, tile height, tile left, tile top: the numbers of its SIZ segment.
    segments
        (marker, body) of each segment.
    start
        Where the first tile begins.
    """

    size: tuple[int, ...]
    segments: tuple[tuple[int, bytes], ...]
    start: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.size[1] - self.size[3], self.size[0] - self.size[2]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        right, bottom, _, _, wide, tall, left, top = self.size
        return -(-(bottom - top) // max(1, tall)), -(-(right - left) // max(1, wide))


def read_header(stream: memoryview) -> Header:
    """Read the main header.

    Raises
    ------
    UnreadableScan
        If it is damaged.
    """
    segments = []
    at = 2
    while at + 4 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, at)
        if marker == _SOT:
            break
        if length < 2 or at + 2 + length > len(stream) or marker < 0xFF00:
            raise UnreadableScan("The header of the JPEG 2000 is damaged. Use a sound copy.")
        segments.append((marker, bytes(stream[at + 4 : at + 2 + length])))
        at += 2 + length
    if not segments or segments[0][0] != _SIZ or len(segments[0][1]) < 39:
        raise UnreadableScan("The JPEG 2000 has no codestream: damaged. Use a sound copy.")
    return Header(struct.unpack_from(">8I", segments[0][1], 2), tuple(segments), at)


def decode_stream(stream: memoryview, header: Header, channels: int, bits: int) -> NDArray[Any]:
    """Decode tile by tile, or whole if there is one tile.

    Returns
    -------
    samples : (H, W) or (H, W, C) uint8 or uint16

    Raises
    ------
    ScanTooLarge
        If it has to be decoded whole and would take more memory than three times its pixels and 500 MB.
    UnreadableScan, imagecodecs.Jpeg2kError
        If it is damaged.
    """
    rows, columns = header.grid
    tiles = _collect_tiles(stream, header)
    if any(index not in tiles for index in range(rows * columns)):
        raise UnreadableScan("A tile of the JPEG 2000 is missing: truncated. Use a sound copy.")
    if rows * columns == 1 or any(marker == _PACKED_HEADERS for marker, _ in header.segments):
        _check_memory(header, channels, bits, len(stream))
        return imagecodecs.jpeg2k_decode(cast(bytes, stream), numthreads=count_cores())
    dtype = np.uint8 if bits <= 8 else np.uint16
    samples = np.empty((*header.shape, channels) if channels > 1 else header.shape, dtype)
    for index in range(rows * columns):
        left, top, right, bottom = _tile_corners(header, index)
        cut = _cut_tile(header, (left, top, right, bottom), tiles[index])
        region = samples[top - header.size[3] : bottom - header.size[3], left - header.size[2] : right - header.size[2]]
        region[...] = imagecodecs.jpeg2k_decode(cut, numthreads=count_cores())
    return samples


def encode_stream(samples: NDArray[Any], bits: int) -> list[bytes]:
    """Encode reversibly, in tiles if the picture is larger than one; the codestream in pieces.

    Parameters
    ----------
    samples : (H, W) or (H, W, C) uint8 or uint16
        Values 0 .. 2**bits - 1.
    bits
        Significant bits.
    """
    height, width = samples.shape[:2]
    if max(height, width) <= _TILE:
        return [_encode(samples, bits)]
    pieces: list[bytes] = []
    corners = [(row, column) for row in range(0, height, _TILE) for column in range(0, width, _TILE)]
    for index, (row, column) in enumerate(corners):
        stream = _encode(np.ascontiguousarray(samples[row : row + _TILE, column : column + _TILE]), bits)
        header = read_header(memoryview(stream))
        if not pieces:
            pieces.append(_main_header(header, (width, height, 0, 0, _TILE, _TILE, 0, 0)))
        coding = b"".join(_pack_segment(*segment) for segment in header.segments if segment[0] in (_COD, _QCD))
        pieces.append(_move_tile(stream[header.start : -len(END)], index, coding))
    return [*pieces, END]


def _encode(samples: NDArray[Any], bits: int) -> bytes:
    coded = imagecodecs.jpeg2k_encode(
        samples, level=0, reversible=True, codecformat="j2k", bitspersample=bits, numthreads=count_cores()
    )
    return bytes(coded)


def _check_memory(header: Header, channels: int, bits: int, length: int) -> None:
    """OpenJPEG takes four bytes a sample beside the result, and copies the coded data."""
    samples = header.shape[0] * header.shape[1] * channels
    decoded = samples * (1 if bits <= 8 else 2)
    if _BASE + 4 * samples + decoded + 2 * length > 3 * decoded + _ALLOWANCE:
        raise ScanTooLarge(
            f"Its {header.shape[1]} x {header.shape[0]} pixels are one tile, which JPEG 2000 decodes whole, in more "
            "memory than ReDust allows itself. Convert it to TIFF, or to JPEG 2000 in tiles, first."
        )


def _collect_tiles(stream: memoryview, header: Header) -> dict[int, list[memoryview]]:
    """The parts of each tile, by its number."""
    tiles: dict[int, list[memoryview]] = {}
    at = header.start
    while at + 12 <= len(stream) and stream[at : at + 2] == struct.pack(">H", _SOT):
        index, length = struct.unpack_from(">HI", stream, at + 4)
        end = at + length if length else len(stream) - len(END)
        if end > len(stream) or end <= at:
            raise UnreadableScan("A tile of the JPEG 2000 leads outside the file: truncated. Use a sound copy.")
        tiles.setdefault(index, []).append(stream[at:end])
        at = end
    return tiles


def _tile_corners(header: Header, index: int) -> tuple[int, int, int, int]:
    """left, top, right, bottom of a tile on the picture's own grid."""
    right, bottom, left, top, wide, tall, tile_left, tile_top = header.size
    row, column = divmod(index, header.grid[1])
    x, y = tile_left + column * wide, tile_top + row * tall
    return max(x, left), max(y, top), min(x + wide, right), min(y + tall, bottom)


def _cut_tile(header: Header, corners: tuple[int, int, int, int], tile_parts: list[memoryview]) -> bytes:
    """A tile as a codestream of its own, with its coordinates."""
    left, top, right, bottom = corners
    size = (right, bottom, left, top, right - left, bottom - top, left, top)
    moved = (_move_tile(bytes(tile_part), 0, b"") for tile_part in tile_parts)
    return b"".join([_main_header(header, size), *moved, END])


def _main_header(header: Header, size: tuple[int, ...]) -> bytes:
    """A header for a picture of another size, without the lengths of its tiles."""
    body = header.segments[0][1]
    resized = body[:2] + struct.pack(">8I", *size) + body[34:]
    segments = [(_SIZ, resized), *(segment for segment in header.segments[1:] if segment[0] not in _LENGTHS)]
    return SIGNATURE[:2] + b"".join(_pack_segment(*segment) for segment in segments)


def _move_tile(tile_part: bytes, index: int, coding: bytes) -> bytes:
    """A tile-part under another tile number, with coding parameters of its own."""
    _, _, _, _, number, count = struct.unpack_from(">HHHIBB", tile_part)
    head = struct.pack(">HHHIBB", _SOT, 10, index, len(tile_part) + len(coding), number, count)
    return head + coding + tile_part[12:]


def _pack_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, len(body) + 2) + body
