"""JPEG in and out. Every segment but the pixels is carried as it is; the input's own tables code the pixels.

Source: ITU-T T.81 (1992), annex B; JFIF 1.02; Exif 3.0; Adobe XMP Specification, part 3; ICC.1:2022, annex B.4.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image

from redust.core.arrays import Pixels
from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.jpeg_stream import (
    ADOBE,
    JFIF,
    PROGRESSIVE,
    Frame,
    Segment,
    Stream,
    decode_stream,
    read_segment,
    read_stream,
)
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata, list_repeated, name_aspect
from redust.files.planes import split_planes

logger = logging.getLogger(__name__)

MAX_BLOCK = 65533
_EXIF = b"Exif\0\0"
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_ICC, _RESOURCES, _JFXX, _MPF = b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"JFXX\0", b"MPF\0"
_COM = 0xFE
_DCT = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_PER_CM = 2.54
_DEFAULT_QUALITY = 95


@dataclass(frozen=True)
class CarriedJpeg:
    """What a JPEG needs to be written with the same segments and tables, and what lies behind its end, again."""

    frame: Frame
    segments: tuple[Segment, ...]
    metadata: Metadata
    trailer: bytes = b""


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a JPEG (see :func:`redust.files.read_scan`)."""
    data = file.read()
    stream = read_stream(data)
    check_size(stream.frame.height, stream.frame.width, request)
    _check_kind(stream.frame)
    pixels = _decode(data, stream, request)
    segments = stream.segments
    # Pictures that an index (MPF) points to would move; other data is found from its end, or by its own marks.
    trailer = b"" if _find_body(segments, 0xE2, _MPF) is not None else data[stream.end :]
    metadata = _read_metadata(segments)
    carried = {
        "jpeg": CarriedJpeg(stream.frame, segments, metadata, trailer),
        "photoshop": _read_resources(segments),
        "only here": _list_unportable(segments, len(trailer)),
        "lost anyway": _list_lost(segments),
    }
    return metadata.to_scan(pixels, None, format="JPEG", carried=carried)


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as JPEG (see :func:`redust.files.write_scan`)."""
    carried = scan.carried.get("jpeg")
    if not isinstance(carried, CarriedJpeg):
        carried = None
    frame = carried.frame if carried else None
    coded = _encode(scan, frame)
    file.write(b"\xff\xd8")
    segments, known = (carried.segments, carried.metadata) if carried else ((), Metadata())
    for marker, body in _arrange_segments(scan, segments, known, frame is not None and frame.rgb):
        file.write(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
    file.write(coded)
    file.write(carried.trailer if carried else b"")


# --- reading ----------------------------------------------------------------------------------------------


def _decode(data: bytes, stream: Stream, request: Request) -> Pixels:
    """Decode, and refuse what is not all there unless the user insists."""
    try:
        pixels, damage = decode_stream(data, stream)
    except (imagecodecs.Jpeg8Error, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    request.report_damage(f"The JPEG is damaged: {damage}." if damage else "")
    return split_planes(pixels)[0]


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


def _read_metadata(segments: Sequence[Segment]) -> Metadata:
    block = _find_body(segments, 0xE1, _EXIF)
    orientation, dpi = exif.facts_of(block)
    return Metadata(
        dpi=_read_dpi(segments) or dpi,
        icc=_join_profile(segments),
        exif=block,
        xmp=_find_body(segments, 0xE1, _XMP),
        iptc=photoshop.iptc_of(_read_resources(segments)),
        orientation=orientation,
    )


def _find_body(segments: Sequence[Segment], marker: int, mark: bytes) -> bytes | None:
    """The first segment of a kind, behind its mark."""
    return next((body[len(mark) :] for number, body in segments if number == marker and body.startswith(mark)), None)


def _read_density(segments: Sequence[Segment]) -> tuple[int, int, int]:
    """Unit, across and down of the JFIF segment; zeros if there is none."""
    jfif = _find_body(segments, 0xE0, JFIF)
    return struct.unpack_from(">BHH", jfif, 2) if jfif and len(jfif) >= 7 else (0, 0, 0)


def _read_dpi(segments: Sequence[Segment]) -> tuple[float, float] | None:
    unit, across, down = _read_density(segments)
    if unit not in (1, 2) or not across or not down:
        return None
    factor = _PER_CM if unit == 2 else 1.0
    return across * factor, down * factor


def _join_profile(segments: Sequence[Segment]) -> bytes | None:
    chunks = sorted(body[len(_ICC) :] for marker, body in segments if marker == 0xE2 and body.startswith(_ICC))
    return b"".join(chunk[2:] for chunk in chunks) or None


def _read_resources(segments: Sequence[Segment]) -> bytes | None:
    bodies = [body[len(_RESOURCES) :] for marker, body in segments if marker == 0xED and body.startswith(_RESOURCES)]
    return b"".join(bodies) or None


def _list_unportable(segments: Sequence[Segment], trailer: int) -> tuple[str, ...]:
    """What no other format has a place for."""
    names = []
    if any(marker == _COM for marker, _ in segments):
        names.append("the JPEG comment")
    known = (JFIF, _JFXX, _EXIF, _XMP, _MORE_XMP, _ICC, _MPF, _RESOURCES, ADOBE, b"Ducky")
    unknown = {marker for marker, body in segments if marker != _COM and not body.startswith(known)}
    names += [f"the JPEG segment APP{marker - 0xE0}" for marker in sorted(unknown)]
    if _find_body(segments, 0xE1, _MORE_XMP) is not None:
        names.append("the extended part of its XMP")
    if _find_body(segments, 0xE0, _JFXX) is not None:
        names.append("the thumbnail of its JFXX segment")
    if trailer:
        names.append(f"{trailer:,} bytes behind the picture's end")
    roles = [role for role in (_role_of(*segment) for segment in segments) if role in ("exif", "xmp")]
    unit, across, down = _read_density(segments)
    return (*names, *list_repeated(roles), *name_aspect(across, down, known=unit != 0))


def _list_lost(segments: Sequence[Segment]) -> tuple[str, ...]:
    """What not even a JPEG written anew can hold truthfully."""
    return ("the further pictures behind the first",) if _find_body(segments, 0xE2, _MPF) is not None else ()


# --- writing ----------------------------------------------------------------------------------------------


def _encode(scan: Scan, frame: Frame | None) -> bytes:
    """The picture from its tables to its end, without segments."""
    image = Image.fromarray(np.ascontiguousarray(scan.pixels[..., 0] if scan.channels == 1 else scan.pixels))
    if frame is None or len(frame.components) != scan.channels:
        data = _save_image(image, quality=_DEFAULT_QUALITY, subsampling=0)
    else:
        data = _encode_like(image, frame)
    at = 2
    while 0xE0 <= data[at + 1] <= 0xEF:
        _, _, at = read_segment(data, at)
    return data[at:]


def _encode_like(image: Image.Image, frame: Frame) -> bytes:
    """Coded with the tables, the subsampling and the scan order of `frame`."""
    tables = [list(frame.tables[number]) for *_, number in frame.components]
    options = {"qtables": tables, "subsampling": frame.subsampling, "keep_rgb": frame.rgb}
    if frame.marker in PROGRESSIVE:
        try:
            return _save_image(image, progressive=True, **options)
        except OSError:  # Pillow's buffer for progressive files holds two bytes a pixel, and no more
            logger.warning("too much detail for a progressive JPEG: written as a baseline one")
    return _save_image(image, **options)


def _save_image(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def _arrange_segments(scan: Scan, segments: Sequence[Segment], known: Metadata, rgb: bool) -> Iterator[Segment]:
    """Carried segments in their order; each that is no longer true gives way to a new one."""
    renewed = _renew_segments(scan, segments, known, rgb)
    order = {"dpi": 0, "exif": 1, "xmp": 2, "icc": 3, "iptc": 4}
    stale = {*renewed, "pictures"}
    carried = [(order.get(_role_of(*segment), 9), segment) for segment in segments if _role_of(*segment) not in stale]
    if not any(renewed.values()):
        return iter([segment for _, segment in carried])
    new = [(order[role], segment) for role, bodies in renewed.items() for segment in bodies]
    return iter([segment for _, segment in sorted([*new, *carried], key=lambda item: item[0])])


def _role_of(marker: int, body: bytes) -> str:
    """Which block of a scan a segment holds, empty for none."""
    roles = {
        (0xE0, JFIF): "dpi",
        (0xE1, _EXIF): "exif",
        (0xE1, _XMP): "xmp",
        (0xE2, _ICC): "icc",
        (0xE2, _MPF): "pictures",
        (0xED, _RESOURCES): "iptc",
    }
    return next((role for (number, mark), role in roles.items() if number == marker and body.startswith(mark)), "")


def _renew_segments(scan: Scan, segments: Sequence[Segment], known: Metadata, rgb: bool) -> dict[str, list[Segment]]:
    """New segments by role, for each role whose carried segments no longer say what the scan says."""
    renewed: dict[str, list[Segment]] = {}
    # A JFIF segment would turn R G B into Y Cb Cr: there, the resolution goes into EXIF.
    block = exif.block_for(scan, with_dpi=rgb)
    if (scan.dpi != known.dpi or not segments) and not rgb:
        renewed["dpi"] = [(0xE0, _jfif(scan.dpi))]
    if block != known.exif:
        renewed["exif"] = [(0xE1, _EXIF + block)] if block else []
    if scan.xmp != known.xmp:
        renewed["xmp"] = [(0xE1, _XMP + scan.xmp)] if scan.xmp else []
    if scan.icc != known.icc:
        renewed["icc"] = [(0xE2, body) for body in _split_profile(scan.icc or b"")]
    resources = photoshop.resources_of(scan)
    if resources != _read_resources(segments):
        step = MAX_BLOCK - len(_RESOURCES)
        starts = range(0, len(resources or b""), step)
        renewed["iptc"] = [(0xED, _RESOURCES + (resources or b"")[at : at + step]) for at in starts]
    return renewed


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    across, down = (round(value) for value in dpi) if dpi else (1, 1)
    return JFIF + struct.pack(">HBHHBB", 0x0102, 1 if dpi else 0, across, down, 0, 0)


def _split_profile(profile: bytes) -> list[bytes]:
    step = MAX_BLOCK - len(_ICC) - 2
    chunks = [profile[at : at + step] for at in range(0, len(profile), step)]
    return [_ICC + bytes((number, len(chunks))) + chunk for number, chunk in enumerate(chunks, 1)]
