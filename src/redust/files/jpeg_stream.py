"""The structure of a JPEG stream: its segments, its frame and its scans, and whether its coded data is all there.

Source: ITU-T T.81 (1992), annexes B and G. libjpeg decodes a stream that ends too early with a warning, and leaves the
rest of the picture at zero (mid grey); here that is an error.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from redust.core.errors import UnreadableScan, UnsupportedScan

Segment: TypeAlias = tuple[int, bytes]

ADOBE, JFIF = b"Adobe", b"JFIF\0"
PROGRESSIVE = {0xC2, 0xCA}
_EOI, _SOS, _DQT, _COM = 0xD9, 0xDA, 0xDB, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ARITHMETIC = {0xC9, 0xCA}
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
#: Natural order of the 64 coefficients in the zigzag of a quantisation table.
_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0 else i // 8))
_SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
_MAX_SEGMENTS = 20_000
#: Encoders use about ten; every scan costs the time of a whole picture.
MAX_SCANS = 100
_FILLER = bytes(range(1, 65))
_GREY, _POINTS, _RIM = 128, 8, 2


@dataclass(frozen=True)
class Frame:
    """How the pixels are coded.

    Parameters
    ----------
    height, width
        Pixels.
    precision
        Bits per sample.
    components
        (identifier, horizontal sampling, vertical sampling, table number) of each.
    marker
        The kind of frame, such as 0xC0 for baseline.
    tables
        Quantisation tables by number, 64 values each in natural order.
    rgb
        Whether the components are R G B rather than Y Cb Cr.
    """

    height: int
    width: int
    precision: int
    components: tuple[tuple[int, int, int, int], ...]
    marker: int
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    rgb: bool = False

    @property
    def subsampling(self) -> int:
        """Pillow's number for the chroma subsampling; 4:4:4 stands in for unusual ones, since it loses least."""
        luma, *chroma = [(across, down) for _, across, down, _ in self.components]
        return _SUBSAMPLING.get(luma, 0) if set(chroma) == {(1, 1)} else 0

    @property
    def unit(self) -> tuple[int, int]:
        """(height, width) in pixels of the smallest unit that is coded together."""
        if len(self.components) == 1:
            return 8, 8
        return 8 * max(down for _, _, down, _ in self.components), 8 * max(c[1] for c in self.components)


@dataclass(frozen=True)
class Pass:
    """One scan of a stream: its header, and where its coded data lies.

    Parameters
    ----------
    components
        Identifiers of the components.
    first, last
        The range of coefficients.
    low
        The lowest bit of the coefficients that it codes.
    start, end
        Of its coded data.
    """

    components: tuple[int, ...]
    first: int
    last: int
    low: int
    start: int
    end: int


@dataclass(frozen=True)
class Stream:
    """A JPEG stream, read from its first marker to its end.

    Parameters
    ----------
    segments
        Application segments and comments, also those between scans, in their order.
    frame
        How the pixels are coded.
    passes
        Its scans.
    end
        Where the picture ends.
    complete
        Whether an end was found.
    """

    segments: tuple[Segment, ...]
    frame: Frame
    passes: tuple[Pass, ...]
    end: int
    complete: bool = True


def read_stream(data: bytes) -> Stream:
    """Read the structure of a stream.

    Raises
    ------
    UnreadableScan
        If it breaks off before its pixels, or a segment is damaged.
    UnsupportedScan
        If it has absurdly many scans or segments.
    """
    segments: list[Segment] = []
    tables: dict[int, tuple[int, ...]] = {}
    passes: list[Pass] = []
    frame: Frame | None = None
    at: int | None = 2
    while at is not None and not (passes and data[at : at + 2] == b"\xff\xd9"):
        if passes and at + 4 > len(data):
            at = None
            break
        marker, body, at = read_segment(data, at)
        if marker in _FRAMES and frame is None:
            frame = _read_frame(marker, body)
        elif marker == _DQT and not passes:
            tables.update(_read_tables(body))
        elif marker == _SOS:
            following = _next_marker(data, at)
            passes.append(_read_pass(body, at, len(data) if following is None else following))
            at = following
        elif marker == _COM or 0xE0 <= marker <= 0xEF:
            segments.append((marker, body))
        if len(passes) > MAX_SCANS or len(segments) > _MAX_SEGMENTS:
            raise UnsupportedScan(
                f"The JPEG is made of more than {MAX_SCANS} scans or {_MAX_SEGMENTS:,} segments, which takes absurdly "
                "long to decode. Save it again with another program."
            )
    if frame is None:
        raise UnreadableScan("The JPEG has no frame: damaged. Use a sound copy.")
    frame = replace(frame, tables=tables, rgb=_is_rgb(frame, segments))
    end = len(data) if at is None else at + 2
    return Stream(tuple(segments), frame, tuple(passes), end, complete=at is not None)


def decode_stream(data: bytes, stream: Stream, tables: bytes | None = None) -> tuple[NDArray[np.uint8], str]:
    """Decode a stream, and tell what is missing of its coded data.

    Parameters
    ----------
    data
        The whole stream.
    stream
        Its structure.
    tables
        A stream of tables alone, as TIFF keeps it.

    Returns
    -------
    pixels : (H, W) or (H, W, C) uint8
    damage : str
        Half a sentence, empty if all is there.

    Raises
    ------
    imagecodecs.Jpeg8Error
        If libjpeg gives up.

    Notes
    -----
    libjpeg leaves what it cannot decode at mid grey. Where that shows, or cannot show (several scans), the stream
    is decoded again with bytes added to each piece of coded data: a decoder that had enough does not read them.
    An arithmetic decoder reads on in any case, so that this says nothing there.
    """
    damage = "" if stream.complete else "it has no end"
    if not damage and _lacks_scans(stream):
        damage = "some of its scans are missing"
    testable = not damage and stream.frame.marker not in _ARITHMETIC
    if not testable or len(stream.passes) == 1:
        pixels = imagecodecs.jpeg8_decode(data, tables=tables)
        if not testable or not has_grey_unit(pixels, stream.frame):
            return pixels, damage
        filled = imagecodecs.jpeg8_decode(_with_filler(data, stream), tables=tables)
    else:
        with ThreadPoolExecutor(1) as pool:
            decoding = pool.submit(imagecodecs.jpeg8_decode, _with_filler(data, stream), tables=tables)
            pixels = imagecodecs.jpeg8_decode(data, tables=tables)
            filled = decoding.result()
    return pixels, "" if np.array_equal(filled, pixels) else "its coded data ends too early"


def read_segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Marker, body and end of the segment at an offset."""
    while data[at : at + 2] == b"\xff\xff":  # fill bytes
        at += 1
    if at + 4 > len(data) or data[at] != 0xFF:
        raise UnreadableScan("The JPEG ends or breaks off before its pixels. Use a sound copy.")
    marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
    end = at + 2 + length
    if length < 2 or end > len(data):
        raise UnreadableScan("The JPEG ends before its pixels: truncated. Use a sound copy.")
    return marker, data[at + 4 : end], end


def _next_marker(data: bytes, at: int) -> int | None:
    """Where the next marker is that ends coded data, None if there is none."""
    match = _NEXT_MARKER.search(data, at)
    return None if match is None else match.start()


def _read_frame(marker: int, body: bytes) -> Frame:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise UnreadableScan("The JPEG's frame is damaged. Use a sound copy.")
    precision, height, width, count = struct.unpack_from(">BHHB", body)
    entries = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    components = tuple((entry[0], entry[1] >> 4, entry[1] & 15, entry[2]) for entry in entries)
    return Frame(height, width, precision, components, marker)


def _read_pass(body: bytes, start: int, end: int) -> Pass:
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        raise UnreadableScan("The header of a JPEG's scan is damaged. Use a sound copy.")
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    return Pass(tuple(body[1 : 1 + 2 * count : 2]), first, last, bits & 15, start, end)


def _read_tables(body: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        values = body[at + 1 : at + 1 + (128 if wide else 64)]
        at += 1 + len(values)
        if len(values) < (128 if wide else 64):
            raise UnreadableScan("A quantisation table of the JPEG is damaged. Use a sound copy.")
        natural = [0] * 64
        for index, value in zip(_ZIGZAG, struct.unpack(">64H" if wide else ">64B", values), strict=True):
            natural[index] = value
        yield number, tuple(natural)


def _is_rgb(frame: Frame, segments: Sequence[Segment]) -> bool:
    """As libjpeg decides it: JFIF means Y Cb Cr, else the Adobe segment tells, else the identifiers."""
    if len(frame.components) != 3 or any(marker == 0xE0 and body.startswith(JFIF) for marker, body in segments):
        return False
    for marker, body in segments:
        if marker == 0xEE and body.startswith(ADOBE) and len(body) >= 12:
            return body[11] == 0
    return bytes(name for name, *_ in frame.components) == b"RGB"


def _lacks_scans(stream: Stream) -> bool:
    """Whether a component, or in a progressive stream a coefficient or its lowest bit, is never coded."""
    progressive = stream.frame.marker in PROGRESSIVE
    for name, *_ in stream.frame.components:
        passes = [scan for scan in stream.passes if name in scan.components]
        exact = {index for scan in passes if scan.low == 0 for index in range(scan.first, scan.last + 1)}
        if not passes or (progressive and len(exact) < 64):
            return True
    return False


def has_grey_unit(pixels: NDArray[np.uint8], frame: Frame) -> bool:
    """Whether eight points on the diagonal of some unit are all mid grey, as a decoder without data leaves them."""
    (height, width), (tall, wide) = pixels.shape[:2], frame.unit
    grey: NDArray[Any] | None = None
    for step in range(1, _POINTS + 1):  # from the lower right; the rim of a larger unit takes colour from the next one
        row, column = (side - step - _RIM * (side > _POINTS) for side in (tall, wide))
        rows = np.minimum(np.arange(0, height, tall) + row, height - 1)
        columns = np.minimum(np.arange(0, width, wide) + column, width - 1)
        sampled = pixels[np.ix_(rows, columns)] == _GREY
        sampled = sampled if sampled.ndim == 2 else sampled.all(axis=2)
        grey = sampled if grey is None else grey & sampled
        if not grey.any():
            return False
    return True


def _with_filler(data: bytes, stream: Stream) -> bytes:
    """The stream with further bytes at the end of each piece of coded data."""
    pieces, at = [], 0
    for scan in stream.passes:
        coded = _RESTART.sub(lambda match: _FILLER + match.group(), data[scan.start : scan.end])
        pieces += [data[at : scan.start], coded, _FILLER]
        at = scan.end
    return b"".join([*pieces, data[at:]])
