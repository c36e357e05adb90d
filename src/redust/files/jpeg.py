"""JPEG in and out. Every segment but the pixels is carried as it is; the input's own tables code the pixels.

Source: ITU-T T.81 (1992), annex B; JFIF 1.02; Exif 3.0; Adobe XMP Specification, part 3; ICC.1:2022, annex B.4.
"""

from __future__ import annotations

import io
import logging
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, TypeAlias

import imagecodecs
import numpy as np
from PIL import Image

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata
from redust.files.planes import split

logger = logging.getLogger(__name__)

Segment: TypeAlias = tuple[int, bytes]

MAX_BLOCK = 65533
_EXIF = b"Exif\0\0"
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_ICC, _IRB, _JFIF, _ADOBE, _MPF = b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"JFIF\0", b"Adobe", b"MPF\0"
_SOI, _EOI, _SOS, _DQT, _COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_DCT = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_PER_CM = 2.54
#: Natural order of the 64 coefficients in the zigzag of a quantisation table.
_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0 else i // 8))
_SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
_DEFAULT_QUALITY = 95


@dataclass(frozen=True)
class Frame:
    """How the pixels are coded.

    Parameters
    ----------
    height, width
        Pixels.
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
        first, *others = [(across, down) for _, across, down, _ in self.components]
        return _SUBSAMPLING.get(first, 0) if set(others) == {(1, 1)} else 0


@dataclass(frozen=True)
class CarriedJpeg:
    """What a JPEG needs to be written with the same segments and tables again."""

    frame: Frame
    segments: tuple[Segment, ...]
    metadata: Metadata


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a JPEG (see :func:`redust.files.read_scan`)."""
    data = file.read()
    segments, frame, end = _parse(data)
    check_size(frame.height, frame.width, request)
    _check_kind(frame)
    try:
        pixels, _ = split(imagecodecs.jpeg8_decode(data))
    except (imagecodecs.Jpeg8Error, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    told = _metadata(segments)
    carried = {
        "jpeg": CarriedJpeg(frame, tuple(segments), told),
        "photoshop": _resources(segments),
        "only here": _only_here(segments),
        "lost anyway": _lost_anyway(segments, data[end:]),
    }
    return told.scan(pixels, None, format="JPEG", carried=carried)


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as JPEG (see :func:`redust.files.write_scan`)."""
    carried = scan.carried.get("jpeg")
    if isinstance(carried, CarriedJpeg):
        frame, segments, known = carried.frame, carried.segments, carried.metadata
    else:
        frame, segments, known = None, (), Metadata()
    coded = _coded(scan, frame)
    file.write(b"\xff\xd8")
    for marker, body in _arranged(scan, segments, known, frame is not None and frame.rgb):
        file.write(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
    file.write(coded)


# --- reading ----------------------------------------------------------------------------------------------


def _parse(data: bytes) -> tuple[list[Segment], Frame, int]:
    """Segments before the pixels, the frame, and where the picture ends."""
    segments: list[Segment] = []
    tables: dict[int, tuple[int, ...]] = {}
    frame: Frame | None = None
    at = 2
    while True:
        marker, body, at = _segment(data, at)
        if marker in _FRAMES and frame is None:
            frame = _frame(marker, body)
        elif marker == _DQT:
            tables.update(_tables(body))
        elif marker == _SOS:
            break
        elif marker == _COM or 0xE0 <= marker <= 0xEF:
            segments.append((marker, body))
    if frame is None:
        raise UnreadableScan("The JPEG has no frame: damaged. Use a sound copy.")
    return segments, replace(frame, tables=tables, rgb=_is_rgb(frame, segments)), _end(data, at)


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    while data[at : at + 2] == b"\xff\xff":  # fill bytes
        at += 1
    if at + 4 > len(data) or data[at] != 0xFF:
        raise UnreadableScan("The JPEG ends or breaks off before its pixels. Use a sound copy.")
    marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
    end = at + 2 + length
    if length < 2 or end > len(data):
        raise UnreadableScan("The JPEG ends before its pixels: truncated. Use a sound copy.")
    return marker, data[at + 4 : end], end


def _end(data: bytes, at: int) -> int:
    """Where the picture ends; coded pixels are skipped from marker to marker."""
    while True:
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            raise UnreadableScan("The JPEG has no end: truncated. Use a sound copy.")
        if data[found.start() + 1] == _EOI:
            return found.end()
        _, _, at = _segment(data, found.start())


def _frame(marker: int, body: bytes) -> Frame:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise UnreadableScan("The JPEG's frame is damaged. Use a sound copy.")
    precision, height, width, count = struct.unpack_from(">BHHB", body)
    parts = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    components = tuple((part[0], part[1] >> 4, part[1] & 15, part[2]) for part in parts)
    return Frame(height, width, precision, components, marker)


def _tables(body: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        values = body[at + 1 : at + 1 + (128 if wide else 64)]
        at += 1 + len(values)
        if len(values) < (128 if wide else 64):
            raise UnreadableScan("A quantisation table of the JPEG is damaged. Use a sound copy.")
        natural = [0] * 64
        for place, value in zip(_ZIGZAG, struct.unpack(">64H" if wide else ">64B", values), strict=True):
            natural[place] = value
        yield number, tuple(natural)


def _is_rgb(frame: Frame, segments: Sequence[Segment]) -> bool:
    """As libjpeg decides it: JFIF means Y Cb Cr, else the Adobe segment tells, else the identifiers."""
    if len(frame.components) != 3 or any(marker == 0xE0 and body.startswith(_JFIF) for marker, body in segments):
        return False
    for marker, body in segments:
        if marker == 0xEE and body.startswith(_ADOBE) and len(body) >= 12:
            return body[11] == 0
    return bytes(name for name, *_ in frame.components) == b"RGB"


def _check_kind(frame: Frame) -> None:
    count = len(frame.components)
    if count == 4:
        raise UnsupportedScan("It holds CMYK. Convert it to RGB first, with a program that knows its profile.")
    if count not in (1, 3):
        raise UnsupportedScan(f"It has {count} channels. Convert it to grey or RGB first.")
    if frame.precision != 8 or frame.marker not in _DCT:
        raise UnsupportedScan("It is a 12-bit or lossless JPEG. Convert it to TIFF or PNG first.")
    if not {number for *_, number in frame.components} <= set(frame.tables):
        raise UnreadableScan("The JPEG lacks a quantisation table: damaged. Use a sound copy.")


def _metadata(segments: Sequence[Segment]) -> Metadata:
    block = _first(segments, 0xE1, _EXIF)
    orientation, dpi = exif.facts_of(block)
    return Metadata(
        dpi=_density(segments) or dpi,
        icc=_profile(segments),
        exif=block,
        xmp=_first(segments, 0xE1, _XMP),
        iptc=photoshop.iptc_of(_resources(segments)),
        orientation=orientation,
    )


def _first(segments: Sequence[Segment], marker: int, mark: bytes) -> bytes | None:
    return next((body[len(mark) :] for found, body in segments if found == marker and body.startswith(mark)), None)


def _density(segments: Sequence[Segment]) -> tuple[float, float] | None:
    jfif = _first(segments, 0xE0, _JFIF)
    unit, across, down = struct.unpack_from(">BHH", jfif, 2) if jfif and len(jfif) >= 7 else (0, 0, 0)
    if unit not in (1, 2) or not across or not down:
        return None
    factor = _PER_CM if unit == 2 else 1.0
    return across * factor, down * factor


def _profile(segments: Sequence[Segment]) -> bytes | None:
    parts = sorted(body[len(_ICC) :] for marker, body in segments if marker == 0xE2 and body.startswith(_ICC))
    return b"".join(part[2:] for part in parts) or None


def _resources(segments: Sequence[Segment]) -> bytes | None:
    return b"".join(body[len(_IRB) :] for marker, body in segments if marker == 0xED and body.startswith(_IRB)) or None


def _only_here(segments: Sequence[Segment]) -> tuple[str, ...]:
    found = []
    if any(marker == _COM for marker, _ in segments):
        found.append("the JPEG comment")
    known = [_JFIF, b"JFXX\0", _EXIF, _XMP, _MORE_XMP, _ICC, _MPF, _IRB, _ADOBE, b"Ducky"]
    strange = {marker for marker, body in segments if marker != _COM and not body.startswith(tuple(known))}
    found += [f"the JPEG segment APP{marker - 0xE0}" for marker in sorted(strange)]
    if _first(segments, 0xE1, _MORE_XMP) is not None:
        found.append("the extended part of its XMP")
    return tuple(found)


def _lost_anyway(segments: Sequence[Segment], rest: bytes) -> tuple[str, ...]:
    """What not even a JPEG written anew can hold truthfully."""
    pictures = _first(segments, 0xE2, _MPF) is not None or b"\xff\xd8\xff" in rest
    return ("the further pictures behind the first",) if pictures else ()


# --- writing ----------------------------------------------------------------------------------------------


def _coded(scan: Scan, frame: Frame | None) -> bytes:
    """The picture from its tables to its end, without segments."""
    image = Image.fromarray(np.ascontiguousarray(scan.pixels[..., 0] if scan.channels == 1 else scan.pixels))
    if frame is None or len(frame.components) != scan.channels:
        data = _saved(image, quality=_DEFAULT_QUALITY, subsampling=0)
    else:
        data = _like(image, frame)
    at = 2
    while 0xE0 <= data[at + 1] <= 0xEF:
        _, _, at = _segment(data, at)
    return data[at:]


def _like(image: Image.Image, frame: Frame) -> bytes:
    """Coded with the tables, the subsampling and the scan order of `frame`."""
    tables = [list(frame.tables[number]) for *_, number in frame.components]
    options = {"qtables": tables, "subsampling": frame.subsampling, "keep_rgb": frame.rgb}
    if frame.marker in _PROGRESSIVE:
        try:
            return _saved(image, progressive=True, **options)
        except OSError:  # Pillow's buffer for progressive files holds two bytes a pixel, and no more
            logger.warning("too much detail for a progressive JPEG: written as a baseline one")
    return _saved(image, **options)


def _saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def _arranged(scan: Scan, segments: Sequence[Segment], known: Metadata, rgb: bool) -> Iterator[Segment]:
    """Carried segments in their order; each that is no longer true gives way to a new one."""
    fresh = _fresh(scan, segments, known, rgb)
    order = {"dpi": 0, "exif": 1, "xmp": 2, "icc": 3, "iptc": 4}
    stale = {role for role in order if role in fresh}
    kept = [
        (order.get(_role(*segment), 9), segment) for segment in segments if _role(*segment) not in {*stale, "pictures"}
    ]
    made = [(order[role], segment) for role, parts in fresh.items() for segment in parts]
    if not made:
        return iter([segment for _, segment in kept])
    return iter([segment for _, segment in sorted([*made, *kept], key=lambda item: item[0])])


def _role(marker: int, body: bytes) -> str:
    roles = {
        (0xE0, _JFIF): "dpi",
        (0xE1, _EXIF): "exif",
        (0xE1, _XMP): "xmp",
        (0xE2, _ICC): "icc",
        (0xE2, _MPF): "pictures",
        (0xED, _IRB): "iptc",
    }
    return next((role for (found, mark), role in roles.items() if found == marker and body.startswith(mark)), "")


def _fresh(scan: Scan, segments: Sequence[Segment], known: Metadata, rgb: bool) -> dict[str, list[Segment]]:
    """New segments by role, for each role whose carried segments no longer say what the scan says."""
    fresh: dict[str, list[Segment]] = {}
    # A JFIF segment would turn R G B into Y Cb Cr: there, the resolution goes into EXIF.
    block = exif.block_for(scan, with_dpi=rgb)
    if (scan.dpi != known.dpi or not segments) and not rgb:
        fresh["dpi"] = [(0xE0, _jfif(scan.dpi))]
    if block != known.exif:
        fresh["exif"] = [(0xE1, _EXIF + block)] if block else []
    if scan.xmp != known.xmp:
        fresh["xmp"] = [(0xE1, _XMP + scan.xmp)] if scan.xmp else []
    if scan.icc != known.icc:
        fresh["icc"] = [(0xE2, part) for part in _icc_parts(scan.icc or b"")]
    resources = photoshop.resources_of(scan)
    if resources != _resources(segments):
        step = MAX_BLOCK - len(_IRB)
        parts = range(0, len(resources or b""), step)
        fresh["iptc"] = [(0xED, _IRB + (resources or b"")[at : at + step]) for at in parts]
    return fresh


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    across, down = (min(65535, max(1, round(value))) for value in dpi) if dpi else (1, 1)
    return _JFIF + struct.pack(">HBHHBB", 0x0102, 1 if dpi else 0, across, down, 0, 0)


def _icc_parts(profile: bytes) -> list[bytes]:
    step = MAX_BLOCK - len(_ICC) - 2
    parts = [profile[at : at + step] for at in range(0, len(profile), step)]
    return [_ICC + bytes((number, len(parts))) + part for number, part in enumerate(parts, 1)]
