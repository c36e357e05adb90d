"""Whether the JPEG streams inside a TIFF are all there: tifffile decodes one that is cut without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import imagecodecs

from redust.core.arrays import Pixels
from redust.core.errors import UnreadableScan
from redust.files.jpeg_stream import Stream, decode_stream, has_grey_unit, read_stream
from redust.files.limits import Request
from redust.files.tiff_layout import Layout
from redust.files.tiff_tree import Ifd

_TABLES = 347


def read_streams(file: BinaryIO, ifd: Ifd, layout: Layout) -> list[Stream]:
    """Read the structure of each strip or tile, before anything is decoded.

    Raises
    ------
    UnreadableScan, UnsupportedScan
        If one breaks off before its pixels or takes absurdly long to decode.
    """
    return [read_stream(data) for data in _read_segments(file, ifd, layout)]


def check_streams(
    file: BinaryIO, ifd: Ifd, layout: Layout, streams: list[Stream], pixels: Pixels, request: Request
) -> None:
    """Refuse a page if the coded data of a strip or tile is not all there.

    Parameters
    ----------
    streams
        As :func:`read_streams` returned them.
    pixels : (H, W, C) uint8
        The page as decoded.

    Raises
    ------
    UnreadableScan
        If something is missing and the user does not insist.
    """
    tall, wide = layout.chunk
    columns = -(-layout.width // wide)
    tables = ifd.tags[_TABLES].data if _TABLES in ifd.tags else None
    for index, (data, stream) in enumerate(zip(_read_segments(file, ifd, layout), streams, strict=True)):
        row, column = index // columns % -(-layout.height // tall) * tall, index % columns * wide
        region = pixels[row : row + tall, column : column + wide]
        if stream.complete and len(stream.passes) == 1 and not has_grey_unit(region, stream.frame):
            continue
        try:
            _, damage = decode_stream(data, stream, tables)
        except (imagecodecs.Jpeg8Error, ValueError) as error:
            raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
        request.report_damage(f"A strip or tile is damaged: {damage}." if damage else "")


def _read_segments(file: BinaryIO, ifd: Ifd, layout: Layout) -> Iterator[bytes]:
    for offset, count in ifd.segments[layout.offsets_code]:
        file.seek(offset)
        yield file.read(count)
