"""JPEG 2000 in and out, always written reversibly as JP2; every box but the pixels is carried as it is.

Source: ITU-T T.800 (2015), annexes A and I; ExifTool's Jpeg2000 tag tables for the identifiers of metadata boxes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log10
from typing import BinaryIO, TypeAlias

import imagecodecs
import numpy as np

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif
from redust.files.depth import expand_depth, is_exact, shrink_depth
from redust.files.jpeg2000_stream import END, SIGNATURE, decode_stream, encode_stream, read_header
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata, list_repeated, round_dpi
from redust.files.planes import join_planes, split_planes

Box: TypeAlias = tuple[bytes, bytes]

_JP2_SIGNATURE = (b"jP  ", b"\r\n\x87\n")
_TYPE = (b"ftyp", b"jp2 \0\0\0\0jp2 ")
_UUIDS = {
    b"JpgTiffExif->JP2": "exif",
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
}
_SRGB, _GREY = 16, 17
_PLAIN = {b"jP  ", b"ftyp", b"jp2h", b"jp2c"}
_MAX_BOXES = 20_000


@dataclass(frozen=True)
class CarriedJpeg2000:
    """What a JP2 needs to be written with the same boxes again: those of its header, before and behind the pixels."""

    header: tuple[Box, ...]
    before: tuple[Box, ...]
    after: tuple[Box, ...]
    metadata: Metadata
    trailer: bytes = b""


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a JPEG 2000 (see :func:`redust.files.read_scan`)."""
    data = file.read()
    boxes = [(b"jp2c", memoryview(data))] if data.startswith(SIGNATURE) else list(_read_boxes(data))
    indices = [index for index, (name, _) in enumerate(boxes) if name == b"jp2c"]
    if len(indices) != 1:
        raise UnsupportedScan(f"It holds {len(indices)} pictures. Save the one you want as a file of its own first.")
    header = [(name, bytes(body)) for name, body in _read_boxes(_header_of(boxes))]
    stream = boxes[indices[0]][1]
    channels, bits = _check_stream(stream, request)
    _check_colours(header)
    try:
        samples = decode_stream(stream, read_header(stream), channels, bits)
    except (imagecodecs.Jpeg2kError, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    expand_depth(samples, bits)
    pixels, alpha = split_planes(samples)
    sides = (boxes[: indices[0]], boxes[indices[0] + 1 :])
    before, after = (tuple((name, bytes(body)) for name, body in side if name not in _PLAIN) for side in sides)
    metadata = _read_metadata(header, [*before, *after])
    trailer = b"" if data.startswith(SIGNATURE) else data[len(data) - _spare_bytes(boxes, data) :]
    carried = {
        "jpeg 2000": CarriedJpeg2000(tuple(header), before, after, metadata, trailer),
        "only here": _list_unportable([*before, *after], len(trailer)),
        "lost anyway": _list_lost(bytes(stream[-(1 << 16) :])) if data.startswith(SIGNATURE) else (),
    }
    return metadata.to_scan(pixels, alpha, format="JPEG 2000", carried=carried, bits=bits)


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as JP2 (see :func:`redust.files.write_scan`)."""
    bits = _choose_bits(scan)
    pieces = encode_stream(shrink_depth(join_planes(scan), bits), bits)
    carried = scan.carried.get("jpeg 2000")
    if not isinstance(carried, CarriedJpeg2000):
        carried = CarriedJpeg2000((), (), (), Metadata())
    header = b"".join(_pack_box(*box) for box in _arrange_header(scan, carried, bits))
    sides = (carried.before, carried.after)
    before, after = ([box for box in side if _is_current(box, scan, carried.metadata)] for side in sides)
    for name, body in [_JP2_SIGNATURE, _TYPE, (b"jp2h", header), *_new_boxes(scan, carried.metadata), *before]:
        file.write(_pack_box(name, body))
    file.write(_box_head(b"jp2c", sum(map(len, pieces))))
    file.writelines(pieces)
    file.write(b"".join(_pack_box(*box) for box in after))
    file.write(carried.trailer)


# --- boxes ------------------------------------------------------------------------------------------------


def _read_boxes(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and at + 16 <= len(data):
            (length,), start = struct.unpack_from(">Q", data, at + 8), at + 16
        end = len(data) if length == 0 else at + length
        if end > len(data) or end < start:
            raise UnreadableScan("A box of the JPEG 2000 leads outside the file: truncated. Use a sound copy.")
        yield name, view[start:end]
        at = end
    raise UnreadableScan("The JPEG 2000 has absurdly many boxes. Save it again with another program.")


def _header_of(boxes: Sequence[tuple[bytes, memoryview]]) -> bytes:
    return b"".join(body for name, body in boxes if name == b"jp2h")


def _spare_bytes(boxes: Sequence[tuple[bytes, memoryview]], data: bytes) -> int:
    """How many bytes, too few for a box, lie behind the last one."""
    at = 0
    for _ in boxes:
        length, _ = struct.unpack_from(">I4s", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        at = len(data) if length == 0 else at + length
    return len(data) - at


def _box_head(name: bytes, length: int) -> bytes:
    if length + 8 < 1 << 32:
        return struct.pack(">I4s", length + 8, name)
    return struct.pack(">I4sQ", 1, name, length + 16)


def _pack_box(name: bytes, body: bytes) -> bytes:
    return _box_head(name, len(body)) + body


def _role_of(name: bytes, body: bytes) -> str:
    """Which block of a scan a box holds, empty for none."""
    return _UUIDS.get(body[:16], "") if name == b"uuid" else ""


# --- reading ----------------------------------------------------------------------------------------------


def _check_stream(stream: memoryview, request: Request) -> tuple[int, int]:
    """Channels and bits per sample; refuse sizes and kinds by the codestream's own header."""
    if stream[:4] != SIGNATURE or len(stream) < 42:
        raise UnreadableScan("The JPEG 2000 has no codestream: damaged. Use a sound copy.")
    right, low, left, top = struct.unpack_from(">4I", stream, 8)
    check_size(low - top, right - left, request)
    (count,) = struct.unpack_from(">H", stream, 40)
    components = bytes(stream[42 : 42 + 3 * count])
    if not 1 <= count <= 4 or len(components) < 3 * count:
        raise UnsupportedScan(f"It has {count} channels. Save it as grey or RGB first.")
    if len(set(components[0::3])) > 1 or set(components[1::3]) | set(components[2::3]) != {1}:
        raise UnsupportedScan("Its channels differ in depth or size. Convert it to plain grey or RGB first.")
    bits = (components[0] & 0x7F) + 1
    if components[0] & 0x80 or not 8 <= bits <= 16:
        raise UnsupportedScan(
            f"It has {bits}-bit {'signed ' * (components[0] >> 7)}samples. Convert it to 8 or 16 bit first."
        )
    return count, bits


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
    return all(colour == channel + 1 for channel, kind, colour in entries if kind == 0)


def _list_unportable(boxes: Sequence[Box], trailer: int) -> tuple[str, ...]:
    """What no other format has a place for."""
    names = [f"the JPEG 2000 box {name.decode('latin-1')}" for name, body in boxes if not _role_of(name, body)]
    names += list_repeated(_role_of(*box) for box in boxes)
    return (*names, *([f"{trailer} bytes behind the picture's end"] if trailer else []))


def _list_lost(tail: bytes) -> tuple[str, ...]:
    """What a bare codestream has behind its end, and a JP2 has no place for."""
    behind = tail.rpartition(END)[2]
    return (f"{len(behind):,} bytes behind the picture's end",) if behind else ()


def _read_metadata(header: Sequence[Box], boxes: Sequence[Box]) -> Metadata:
    blocks = {_role_of(*box): box[1][16:] for box in reversed(boxes) if _role_of(*box)}
    profile = next((body[3:] for name, body in header if name == b"colr" and body[:1] in (b"\2", b"\3")), None)
    block = blocks.get("exif")
    orientation, dpi = exif.facts_of(block)
    return Metadata(
        dpi=_read_dpi(header) or dpi,
        icc=profile,
        exif=block,
        xmp=blocks.get("xmp"),
        iptc=blocks.get("iptc"),
        orientation=orientation,
    )


def _read_dpi(header: Sequence[Box]) -> tuple[float, float] | None:
    inner = [box for name, body in header if name == b"res " for box in _read_boxes(body)]
    for kind in (b"resc", b"resd"):
        for name, body in inner:
            if name == kind and len(body) >= 10:
                down, down_by, across, across_by, down_ten, across_ten = struct.unpack_from(">4H2b", body)
                if down and down_by and across and across_by:
                    return _inches(across, across_by, across_ten), _inches(down, down_by, down_ten)
    return None


def _inches(number: int, by: int, ten: int) -> float:
    """Dots per inch of number / by * 10**ten dots per metre."""
    per_metre = Fraction(number, by) * Fraction(10) ** ten
    return round_dpi(int(per_metre)) if per_metre.denominator == 1 else float(per_metre * Fraction(254, 10_000))


# --- writing ----------------------------------------------------------------------------------------------


def _choose_bits(scan: Scan) -> int:
    """The scan's own significant bits; all of the dtype's where values from another format would not return exactly."""
    full = 8 * scan.pixels.dtype.itemsize
    if not full // 2 < scan.bits < full:
        return full
    planes = [scan.pixels] if scan.alpha is None else [scan.pixels, np.asarray(scan.alpha)]
    exact = scan.format == "JPEG 2000" or all(is_exact(plane, scan.bits) for plane in planes)
    return scan.bits if exact else full


def _arrange_header(scan: Scan, carried: CarriedJpeg2000, bits: int) -> Iterator[Box]:
    count = scan.channels + (scan.alpha is not None)
    yield b"ihdr", struct.pack(">IIHBBBB", *scan.shape, count, bits - 1, 7, 0, 0)
    same_icc, same_dpi = scan.icc == carried.metadata.icc, scan.dpi == carried.metadata.dpi
    renewed = [b"ihdr", b"bpcc", b"colr", b"res "] + [b"cdef"] * (scan.alpha is None)
    current = [box for box in carried.header if box[0] not in renewed]
    colours = [box for box in carried.header if box[0] == b"colr"]
    yield from colours if same_icc and colours else [(b"colr", _colours(scan))]
    if scan.alpha is not None and not any(name == b"cdef" for name, _ in current):
        yield b"cdef", _definition(scan.channels)
    yield from current
    if same_dpi:
        yield from (box for box in carried.header if box[0] == b"res ")
    elif scan.dpi is not None:
        yield b"res ", _pack_box(b"resc", _resolution(scan.dpi))


def _colours(scan: Scan) -> bytes:
    if scan.icc is not None:
        return b"\2\0\0" + scan.icc
    return b"\1\0\0" + struct.pack(">I", _SRGB if scan.channels == 3 else _GREY)


def _definition(channels: int) -> bytes:
    """Colours in order, then alpha for the whole picture."""
    entries = [(channel, 0, channel + 1) for channel in range(channels)] + [(channels, 1, 0)]
    return struct.pack(">H", len(entries)) + b"".join(struct.pack(">3H", *entry) for entry in entries)


def _resolution(dpi: tuple[float, float]) -> bytes:
    """Dots per metre as numerator / denominator * 10**exponent: exact for whole dots per inch up to 65535."""
    ratios = [_ratio(value) for value in reversed(dpi)]
    return struct.pack(">4H2b", *(number for ratio in ratios for number in ratio[:2]), *(ratio[2] for ratio in ratios))


def _ratio(value: float) -> tuple[int, int, int]:
    """Numerator and denominator of 16 bits and the power of ten."""
    if 0.01 <= value <= 65535:
        ratio = Fraction(value).limit_denominator(max(1, int(65535 / max(value, 255))))
        if ratio.numerator:
            return ratio.numerator, 254 * ratio.denominator, 4
    exponent = floor(log10(value)) - 3
    return round(value / 10.0**exponent), 254, exponent + 4


def _is_current(box: Box, scan: Scan, known: Metadata) -> bool:
    role = _role_of(*box)
    return not role or _blocks_of(scan)[role] == getattr(known, role)


def _new_boxes(scan: Scan, known: Metadata) -> Iterator[Box]:
    """Metadata boxes for what the carried ones do not say."""
    marks = {role: mark for mark, role in _UUIDS.items()}
    for role, block in _blocks_of(scan).items():
        if block is not None and block != getattr(known, role):
            yield b"uuid", marks[role] + block


def _blocks_of(scan: Scan) -> dict[str, bytes | None]:
    return {"exif": exif.block_for(scan), "xmp": scan.xmp, "iptc": scan.iptc}
