"""PNG in and out. Pixels are libpng's (through imagecodecs); every other chunk is carried as it is.

Source: PNG Specification, Third Edition (W3C, 2025).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import imagecodecs
import numpy as np

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata, snapped
from redust.files.planes import joined, split

Chunk: TypeAlias = tuple[bytes, bytes]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp"
_RAW = b"Raw profile type "
_GREY, _PALETTE = 0, 3
_TEXT_LIMIT = 32 << 20
#: Chunks with a role of their own, or that say nothing once pixels are written anew.
_PLAIN = {
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"PLTE",
    b"tRNS",
    b"tIME",
    b"bKGD",
    b"hIST",
    b"sBIT",
    b"sRGB",
    b"pHYs",
    b"iCCP",
    b"eXIf",
}
_BY_KIND = {b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT"}  # their meaning hangs on the colour type


@dataclass(frozen=True)
class CarriedPng:
    """What a PNG needs to be written with the same chunks again."""

    header: bytes
    before: tuple[Chunk, ...]
    after: tuple[Chunk, ...]
    metadata: Metadata


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a PNG (see :func:`redust.files.read_scan`)."""
    data = file.read()
    before, after = _chunks(data)
    _check_kind(before, request)
    coded = _pixels_only(data)
    del data  # the larger part of a scan's file is in `coded` now
    try:
        decoded = imagecodecs.png_decode(coded)
    except (imagecodecs.PngError, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    pixels, alpha = split(decoded)
    told = _metadata([*before, *after])
    carried = {
        "png": CarriedPng(before[0][1], tuple(before[1:]), tuple(after), told),
        "only here": _only_here([*before, *after]),
    }
    return told.scan(pixels, alpha, format="PNG", carried=carried, bits=_significant(before))


def _check_kind(before: list[Chunk], request: Request) -> None:
    width, height, depth, kind = struct.unpack_from(">IIBB", before[0][1])
    check_size(height, width, request)
    if kind == _GREY and depth < 8 and not request.bilevel:
        raise UnsupportedScan(f"It has {depth}-bit grey. Convert it to 8-bit grey first.")
    if any(name == b"acTL" for name, _ in before):
        raise UnsupportedScan("It is an animation. Save the picture you want as a plain PNG first.")


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as PNG (see :func:`redust.files.write_scan`)."""
    coded = memoryview(_encoded(scan))
    carried = scan.carried.get("png")
    if not isinstance(carried, CarriedPng):
        carried = CarriedPng(b"", (), (), Metadata())
    places = list(_places(coded))
    header = coded[places[0][1] + 8 : places[0][2] - 4]
    same_kind = carried.header[8:10] == header[8:10]
    before, after = (_kept(side, carried.metadata, scan, same_kind) for side in (carried.before, carried.after))
    file.write(coded[: places[0][2]])
    file.writelines(_packed(*chunk) for chunk in [*_told(scan, carried.metadata), *before])
    file.writelines(coded[start:end] for name, start, end in places if name == b"IDAT")
    file.writelines(_packed(*chunk) for chunk in [*after, (b"IEND", b"")])


def _encoded(scan: Scan) -> bytes | bytearray:
    """At 16 bit the left neighbour as guess and run lengths beat a search in size, and in speed five times."""
    samples = joined(scan)
    if samples.dtype == np.uint16:
        return imagecodecs.png_encode(samples, strategy=3, filter=16)
    return imagecodecs.png_encode(samples, level=3)


def _packed(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def _places(data: bytes | memoryview) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of each chunk, the last one included."""
    at, name = len(SIGNATURE), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise UnreadableScan("The PNG ends too early: truncated. Use a sound copy.")
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnreadableScan("The PNG ends too early: truncated. Use a sound copy.")
        yield name, at, end
        at = end


def _chunks(data: bytes) -> tuple[list[Chunk], list[Chunk]]:
    """Chunks before the pixels, and after them, without the end."""
    lists: tuple[list[Chunk], list[Chunk]] = ([], [])
    seen = 0
    for name, start, end in _places(data):
        if name == b"IDAT":
            seen = 1
        elif name != b"IEND":
            body = data[start + 8 : end - 4]
            _check_crc(name, body, data[end - 4 : end])
            lists[seen].append((name, body))
    if not lists[0] or lists[0][0][0] != b"IHDR" or len(lists[0][0][1]) != 13:
        raise UnreadableScan("The PNG has no header: damaged. Use a sound copy.")
    return lists


def _pixels_only(data: bytes) -> bytes:
    """The same PNG without what says nothing about sample values: libpng would judge, and complain about, profiles."""
    wanted = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    view = memoryview(data)
    return SIGNATURE + b"".join(view[start:end] for name, start, end in _places(data) if name in wanted)


def _check_crc(name: bytes, body: bytes, crc: bytes) -> None:
    if struct.pack(">I", zlib.crc32(body, zlib.crc32(name))) != crc:
        raise UnreadableScan(f"The PNG's {name.decode('latin-1')} chunk is damaged. Use a sound copy.")


def _significant(before: list[Chunk]) -> int:
    """Significant bits of a 16-bit PNG that says it has fewer, else 0."""
    told = [max(data) for name, data in before if name == b"sBIT" and data]
    return told[0] if before[0][1][8] == 16 and told and 8 < told[0] < 16 else 0


def _role(name: bytes, data: bytes) -> str:
    """Which field of a scan a chunk fills, empty for none."""
    keyword = data.split(b"\0", 1)[0]
    if name == b"iTXt" and keyword == _XMP:
        return "xmp"
    if name in (b"tEXt", b"zTXt") and keyword == _RAW + b"iptc":
        return "iptc"
    return {b"iCCP": "icc", b"eXIf": "exif", b"pHYs": "dpi"}.get(name, "")


def _metadata(chunks: list[Chunk]) -> Metadata:
    found = {_role(name, data): _value(name, data) for name, data in reversed(chunks) if _role(name, data)}
    density = found.get("dpi")
    block = found.get("exif")
    orientation, dpi = exif.facts_of(block)
    return Metadata(
        dpi=_dpi(density) if density is not None else dpi,
        icc=found.get("icc"),
        exif=block,
        xmp=found.get("xmp"),
        iptc=found.get("iptc"),
        orientation=orientation,
    )


def _value(name: bytes, data: bytes) -> bytes:
    if name in (b"eXIf", b"pHYs"):
        return data
    rest = data.split(b"\0", 1)[-1]
    if name == b"iTXt":
        packed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
        return _inflated(text) if packed else text
    if name == b"iCCP":
        return _inflated(rest[1:])
    return _unhexed(_inflated(rest[1:]) if name == b"zTXt" else rest)


def _inflated(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(data, _TEXT_LIMIT)
    except zlib.error as error:
        raise UnreadableScan(f"A metadata chunk of the PNG is damaged: {error}. Use a sound copy.") from error
    if unpacker.unconsumed_tail:
        raise UnreadableScan("A metadata chunk of the PNG unpacks to an absurd size. Use a sound copy.")
    return out


def _unhexed(text: bytes) -> bytes:
    """A `Raw profile type` as ImageMagick and ExifTool write it: name, length, hexadecimal digits."""
    try:
        raw = bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError as error:
        raise UnreadableScan("The PNG's IPTC block is damaged. Use a sound copy.") from error
    return photoshop.iptc_of(raw) or raw


def _dpi(density: bytes) -> tuple[float, float] | None:
    across, down, unit = struct.unpack(">IIB", density) if len(density) == 9 else (0, 0, 0)
    return (snapped(across), snapped(down)) if unit == 1 and across and down else None


def _kept(chunks: Iterable[Chunk], known: Metadata, scan: Scan, same_kind: bool) -> list[Chunk]:
    """Carried chunks that are still true."""
    now = Metadata.of(scan)
    kept = []
    for name, data in chunks:
        role = _role(name, data)
        stale = role and getattr(now, role) != getattr(known, role)
        if role == "exif":
            stale = exif.block_for(scan) != known.exif
        if not stale and (same_kind or name not in _BY_KIND) and name not in (b"PLTE", b"tRNS"):
            kept.append((name, data))
    return kept


def _told(scan: Scan, known: Metadata) -> Iterator[Chunk]:
    """Chunks for what the carried ones do not say."""
    block = exif.block_for(scan)
    if scan.icc is not None and scan.icc != known.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(scan.icc)
    if scan.dpi is not None and scan.dpi != known.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in scan.dpi), 1)
    if block is not None and block != known.exif:
        yield b"eXIf", block
    if scan.xmp is not None and scan.xmp != known.xmp:
        yield b"iTXt", _XMP + b"\0\0\0\0\0" + scan.xmp
    if scan.iptc is not None and scan.iptc != known.iptc:
        resources = photoshop.with_iptc(None, scan.iptc) or b""
        yield (
            b"zTXt",
            _RAW + b"iptc\0\0" + zlib.compress(b"\niptc\n%8d\n%s\n" % (len(resources), resources.hex().encode())),
        )


def _only_here(chunks: list[Chunk]) -> tuple[str, ...]:
    found = []
    names = {name for name, _ in chunks}
    for name, data in chunks:
        if name in _PLAIN or _role(name, data):
            continue
        if name in (b"gAMA", b"cHRM") and names & {b"iCCP", b"sRGB"}:
            continue  # the profile says it better
        keyword = data.split(b"\0", 1)[0].decode("latin-1") if name in (b"tEXt", b"zTXt", b"iTXt") else ""
        found.append(f"the PNG text `{keyword}`" if keyword else f"the PNG chunk {name.decode('latin-1')}")
    return tuple(found)
