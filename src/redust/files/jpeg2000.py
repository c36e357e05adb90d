"""JPEG 2000 in and out, always written reversibly as JP2; every box but the pixels is carried as it is.

Source: ITU-T T.800 (2015), annexes A and I; ExifTool's Jpeg2000 tag tables for the identifiers of metadata boxes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, TypeAlias

import imagecodecs

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata, snapped
from redust.files.planes import joined, split
from redust.files.threads import cores

Box: TypeAlias = tuple[bytes, bytes]

_CODESTREAM = b"\xff\x4f\xff\x51"
_SIGNATURE = (b"jP  ", b"\r\n\x87\n")
_TYPE = (b"ftyp", b"jp2 \0\0\0\0jp2 ")
_UUIDS = {
    b"JpgTiffExif->JP2": "exif",
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
}
_SRGB, _GREY = 16, 17
_PLAIN = {b"jP  ", b"ftyp", b"jp2h", b"jp2c"}


@dataclass(frozen=True)
class CarriedJpeg2000:
    """What a JP2 needs to be written with the same boxes again: those of its header, before and after the pixels."""

    header: tuple[Box, ...]
    before: tuple[Box, ...]
    after: tuple[Box, ...]
    metadata: Metadata


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a JPEG 2000 (see :func:`redust.files.read_scan`)."""
    data = file.read()
    boxes = [(b"jp2c", data)] if data.startswith(_CODESTREAM) else list(_boxes(data))
    streams = [place for place, (name, _) in enumerate(boxes) if name == b"jp2c"]
    if len(streams) != 1:
        raise UnsupportedScan(f"It holds {len(streams)} pictures. Save the one you want as a file of its own first.")
    header = list(_boxes(b"".join(body for name, body in boxes if name == b"jp2h")))
    bits = _check_stream(boxes[streams[0]][1], request)
    _check_colours(header)
    try:
        pixels, alpha = split(imagecodecs.jpeg2k_decode(data, numthreads=cores()))
    except (imagecodecs.Jpeg2kError, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    told = _metadata(header, boxes)
    others = [boxes[: streams[0]], boxes[streams[0] + 1 :]]
    before, after = (tuple(box for box in side if box[0] not in _PLAIN) for side in others)
    rest = [name.decode("latin-1") for name, body in [*before, *after] if not _role(name, body)]
    carried = {
        "jpeg 2000": CarriedJpeg2000(tuple(header), before, after, told),
        "only here": tuple(f"the JPEG 2000 box {name}" for name in rest),
    }
    return told.scan(pixels, alpha, format="JPEG 2000", carried=carried, bits=bits)


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as JP2 (see :func:`redust.files.write_scan`)."""
    samples = joined(scan)
    bits = _bits(scan, int(samples.max()))
    stream = imagecodecs.jpeg2k_encode(
        samples, level=0, reversible=True, codecformat="j2k", bitspersample=bits, numthreads=cores()
    )
    carried = scan.carried.get("jpeg 2000")
    if not isinstance(carried, CarriedJpeg2000):
        carried = CarriedJpeg2000((), (), (), Metadata())
    header = b"".join(_packed(*box) for box in _header(scan, carried, bits))
    before, after = ([box for box in side if _still(box, scan, carried)] for side in (carried.before, carried.after))
    for name, body in [_SIGNATURE, _TYPE, (b"jp2h", header), *_told(scan, carried.metadata), *before]:
        file.write(_packed(name, body))
    file.write(_head(b"jp2c", len(stream)))
    file.write(stream)
    file.write(b"".join(_packed(*box) for box in after))


# --- boxes ------------------------------------------------------------------------------------------------


def _boxes(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and at + 16 <= len(data):
            (length,), start = struct.unpack_from(">Q", data, at + 8), at + 16
        end = len(data) if length == 0 else at + length
        if end > len(data) or end < start:
            raise UnreadableScan("A box of the JPEG 2000 leads outside the file: truncated. Use a sound copy.")
        yield name, data[start:end]
        at = end


def _head(name: bytes, length: int) -> bytes:
    if length + 8 < 1 << 32:
        return struct.pack(">I4s", length + 8, name)
    return struct.pack(">I4sQ", 1, name, length + 16)


def _packed(name: bytes, body: bytes) -> bytes:
    return _head(name, len(body)) + body


def _role(name: bytes, body: bytes) -> str:
    return _UUIDS.get(body[:16], "") if name == b"uuid" else ""


# --- reading ----------------------------------------------------------------------------------------------


def _check_stream(stream: bytes, request: Request) -> int:
    """Bits per sample; refuse sizes and kinds by the codestream's own header."""
    if not stream.startswith(_CODESTREAM) or len(stream) < 42:
        raise UnreadableScan("The JPEG 2000 has no codestream: damaged. Use a sound copy.")
    right, low, left, top = struct.unpack_from(">4I", stream, 8)
    check_size(low - top, right - left, request)
    (count,) = struct.unpack_from(">H", stream, 40)
    parts = stream[42 : 42 + 3 * count]
    if not 1 <= count <= 4 or len(parts) < 3 * count:
        raise UnsupportedScan(f"It has {count} channels. Save it as grey or RGB first.")
    if len(set(parts[0::3])) > 1 or set(parts[1::3]) | set(parts[2::3]) != {1}:
        raise UnsupportedScan("Its channels differ in depth or size. Convert it to plain grey or RGB first.")
    bits = (parts[0] & 0x7F) + 1
    if parts[0] & 0x80 or not 8 <= bits <= 16:
        raise UnsupportedScan(
            f"It has {bits}-bit {'signed ' * (parts[0] >> 7)}samples. Convert it to 8 or 16 bit first."
        )
    return bits


def _check_colours(header: Sequence[Box]) -> None:
    for name, body in header:
        if name in (b"pclr", b"cmap"):
            raise UnsupportedScan("It holds palette colours. Convert it to RGB first.")
        if name == b"colr" and body[:1] == b"\1":
            (kind,) = struct.unpack_from(">I", body, 3) if len(body) >= 7 else (0,)
            if kind not in (_SRGB, _GREY):
                raise UnsupportedScan(f"It holds colours of kind {kind}, not grey or RGB. Convert it to RGB first.")
        if name == b"cdef" and not _in_order(body):
            raise UnsupportedScan("Its channels are out of order. Convert it to plain RGB first.")


def _in_order(definition: bytes) -> bool:
    entries = list(struct.iter_unpack(">3H", definition[2 : 2 + (len(definition) - 2) // 6 * 6]))
    return all(place == channel + 1 for channel, kind, place in entries if kind == 0)


def _metadata(header: Sequence[Box], boxes: Sequence[Box]) -> Metadata:
    found = {_role(*box): box[1][16:] for box in reversed(boxes) if _role(*box)}
    profile = next((body[3:] for name, body in header if name == b"colr" and body[:1] in (b"\2", b"\3")), None)
    block = found.get("exif")
    orientation, dpi = exif.facts_of(block)
    return Metadata(
        dpi=_dpi(header) or dpi,
        icc=profile,
        exif=block,
        xmp=found.get("xmp"),
        iptc=found.get("iptc"),
        orientation=orientation,
    )


def _dpi(header: Sequence[Box]) -> tuple[float, float] | None:
    inner = [box for name, body in header if name == b"res " for box in _boxes(body)]
    for wanted in (b"resc", b"resd"):
        for name, body in inner:
            if name == wanted and len(body) >= 10:
                down, down_by, across, across_by, down_ten, across_ten = struct.unpack_from(">4H2b", body)
                if down and down_by and across and across_by:
                    return _inches(across, across_by, across_ten), _inches(down, down_by, down_ten)
    return None


def _inches(number: int, by: int, ten: int) -> float:
    """Dots per inch of number / by * 10**ten dots per metre."""
    per_metre = Fraction(number, by) * Fraction(10) ** ten
    return snapped(int(per_metre)) if per_metre.denominator == 1 else float(per_metre * Fraction(254, 10_000))


# --- writing ----------------------------------------------------------------------------------------------


def _bits(scan: Scan, largest: int) -> int:
    full = 8 * scan.pixels.dtype.itemsize
    return scan.bits if full // 2 < scan.bits <= full and largest < 1 << scan.bits else full


def _header(scan: Scan, carried: CarriedJpeg2000, bits: int) -> Iterator[Box]:
    count = scan.channels + (scan.alpha is not None)
    yield b"ihdr", struct.pack(">IIHBBBB", *scan.shape, count, bits - 1, 7, 0, 0)
    same_icc, same_dpi = scan.icc == carried.metadata.icc, scan.dpi == carried.metadata.dpi
    renewed = [b"ihdr", b"bpcc", b"colr", b"res "] + [b"cdef"] * (scan.alpha is None)
    kept = [box for box in carried.header if box[0] not in renewed]
    colours = [box for box in carried.header if box[0] == b"colr"]
    yield from colours if same_icc and colours else [(b"colr", _colours(scan))]
    if scan.alpha is not None and not any(name == b"cdef" for name, _ in kept):
        yield b"cdef", _definition(scan.channels)
    yield from kept
    if same_dpi:
        yield from (box for box in carried.header if box[0] == b"res ")
    elif scan.dpi is not None:
        yield b"res ", _packed(b"resc", _resolution(scan.dpi))


def _colours(scan: Scan) -> bytes:
    if scan.icc is not None:
        return b"\2\0\0" + scan.icc
    return b"\1\0\0" + struct.pack(">I", _SRGB if scan.channels == 3 else _GREY)


def _definition(channels: int) -> bytes:
    """Colours in order, then alpha for the whole picture."""
    entries = [(channel, 0, channel + 1) for channel in range(channels)] + [(channels, 1, 0)]
    return struct.pack(">H", len(entries)) + b"".join(struct.pack(">3H", *entry) for entry in entries)


def _resolution(dpi: tuple[float, float]) -> bytes:
    """Dots per metre as number / (254 * by) * 10**4: exact for whole dots per inch up to 65535."""
    across, down = (
        Fraction(min(value, 65535.0)).limit_denominator(max(1, int(65535 / max(value, 255)))) for value in dpi
    )
    ratios = [part for ratio in (down, across) for part in (ratio.numerator, 254 * ratio.denominator)]
    return struct.pack(">4H2b", *ratios, 4, 4)


def _still(box: Box, scan: Scan, carried: CarriedJpeg2000) -> bool:
    role = _role(*box)
    return not role or _now(scan)[role] == getattr(carried.metadata, role)


def _told(scan: Scan, known: Metadata) -> Iterator[Box]:
    """Metadata boxes for what the carried ones do not say."""
    names = {role: mark for mark, role in _UUIDS.items()}
    for role, block in _now(scan).items():
        if block is not None and block != getattr(known, role):
            yield b"uuid", names[role] + block


def _now(scan: Scan) -> dict[str, bytes | None]:
    return {"exif": exif.block_for(scan), "xmp": scan.xmp, "iptc": scan.iptc}
