"""PNG in and out. Pixels are libpng's (through imagecodecs); every other chunk is carried as it is.

Source: PNG Specification, Third Edition (W3C, 2025).
"""

from __future__ import annotations

import re
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
from redust.files.depth import is_exact
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata, list_repeated, name_aspect, round_dpi
from redust.files.planes import join_planes, split_planes

Chunk: TypeAlias = tuple[bytes, bytes]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp"
_RAW_IPTC = b"Raw profile type iptc"
#: A raw profile: its name, the number of its bytes, and their hexadecimal digits.
_RAW_PROFILE = re.compile(rb"\n[^\n]*\n\s*(\d+)\n([0-9A-Fa-f\s]*)")
_GREY, _PALETTE = 0, 3
_TEXT_LIMIT = 32 << 20
_MAX_CHUNKS = 20_000
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
    """What a PNG needs to be written with the same chunks, and what lies behind its end, again."""

    header: bytes
    before: tuple[Chunk, ...]
    after: tuple[Chunk, ...]
    metadata: Metadata
    trailer: bytes = b""


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a PNG (see :func:`redust.files.read_scan`)."""
    data = file.read()
    before, after, trailer = _read_chunks(data)
    _check_kind(before, request)
    coded = _strip_metadata(data)
    del data  # most of a scan's file is in `coded` now
    try:
        decoded = imagecodecs.png_decode(coded)
    except (imagecodecs.PngError, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    pixels, alpha = split_planes(decoded)
    chunks = [*before, *after]
    metadata = _read_metadata(chunks)
    resources = _read_resources(chunks)
    carried = {
        "png": CarriedPng(before[0][1], tuple(before[1:]), tuple(after), metadata, trailer),
        "photoshop": resources if resources and resources.startswith(photoshop.MARK) else None,
        "only here": _list_unportable(chunks, len(trailer)),
    }
    return metadata.to_scan(pixels, alpha, format="PNG", carried=carried, bits=_read_significant_bits(before))


def _check_kind(before: list[Chunk], request: Request) -> None:
    width, height, depth, kind = struct.unpack_from(">IIBB", before[0][1])
    check_size(height, width, request)
    if kind == _GREY and depth < 8 and not request.mask:
        raise UnsupportedScan(f"It has {depth}-bit grey. Convert it to 8-bit grey first.")
    if any(name == b"acTL" for name, _ in before):
        raise UnsupportedScan("It is an animation. Save the picture you want as a plain PNG first.")


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as PNG (see :func:`redust.files.write_scan`)."""
    coded = memoryview(_encode(scan))
    carried = scan.carried.get("png")
    if not isinstance(carried, CarriedPng):
        carried = CarriedPng(b"", (), (), Metadata())
    spans = list(_find_chunks(coded))
    header = coded[spans[0][1] + 8 : spans[0][2] - 4]
    same_kind = carried.header[8:10] == header[8:10]
    before, after = (_carry_chunks(side, scan, carried, same_kind) for side in (carried.before, carried.after))
    file.write(coded[: spans[0][2]])
    file.writelines(_pack_chunk(*chunk) for chunk in [*_new_chunks(scan, carried), *before])
    file.writelines(coded[start:end] for name, start, end in spans if name == b"IDAT")
    file.writelines(_pack_chunk(*chunk) for chunk in [*after, (b"IEND", b"")])
    file.write(carried.trailer)


def _encode(scan: Scan) -> bytes | bytearray:
    """At 16 bit the left neighbour as guess and run lengths beat a search in size, and in speed five times."""
    samples = join_planes(scan)
    if samples.dtype == np.uint16:
        return imagecodecs.png_encode(samples, strategy=3, filter=16)
    return imagecodecs.png_encode(samples, level=3)


def _pack_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def _find_chunks(data: bytes | memoryview) -> Iterator[tuple[bytes, int, int]]:
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


def _read_chunks(data: bytes) -> tuple[list[Chunk], list[Chunk], bytes]:
    """Chunks before the pixels, chunks behind them without the end, and what lies behind the end."""
    before: list[Chunk] = []
    after: list[Chunk] = []
    current, end = before, 0
    for name, start, end in _find_chunks(data):
        if name == b"IDAT":
            current = after
        elif name != b"IEND":
            body = data[start + 8 : end - 4]
            _check_crc(name, body, data[end - 4 : end])
            current.append((name, body))
        if len(current) > _MAX_CHUNKS:
            raise UnreadableScan("The PNG has absurdly many chunks. Save it again with another program.")
    if not before or before[0][0] != b"IHDR" or len(before[0][1]) != 13:
        raise UnreadableScan("The PNG has no header: damaged. Use a sound copy.")
    return before, after, data[end:]


def _strip_metadata(data: bytes) -> bytes:
    """The same PNG without what says nothing about sample values: libpng would judge, and complain about, profiles."""
    names = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    view = memoryview(data)
    return SIGNATURE + b"".join(view[start:end] for name, start, end in _find_chunks(data) if name in names)


def _check_crc(name: bytes, body: bytes, crc: bytes) -> None:
    if struct.pack(">I", zlib.crc32(body, zlib.crc32(name))) != crc:
        raise UnreadableScan(f"The PNG's {name.decode('latin-1')} chunk is damaged. Use a sound copy.")


def _read_significant_bits(before: list[Chunk]) -> int:
    """Significant bits of a 16-bit PNG that says it has fewer, else 0; its samples span 16 bits nevertheless."""
    bits = [max(data) for name, data in before if name == b"sBIT" and data]
    return bits[0] if before[0][1][8] == 16 and bits and 8 < bits[0] < 16 else 0


def _role_of(name: bytes, data: bytes) -> str:
    """Which field of a scan a chunk fills, empty for none."""
    keyword = data[:80].split(b"\0", 1)[0]
    if name == b"iTXt" and keyword == _XMP:
        return "xmp"
    if name in (b"tEXt", b"zTXt") and keyword == _RAW_IPTC:
        return "iptc"
    return {b"iCCP": "icc", b"eXIf": "exif", b"pHYs": "dpi"}.get(name, "")


def _read_metadata(chunks: list[Chunk]) -> Metadata:
    firsts = {_role_of(*chunk): chunk for chunk in reversed(chunks)}
    icc, block, xmp = (_read_block(*firsts[role]) if role in firsts else None for role in ("icc", "exif", "xmp"))
    orientation, dpi = exif.facts_of(block)
    resources = _read_resources(chunks)
    in_resources = resources is not None and resources.startswith(photoshop.MARK)
    return Metadata(
        dpi=_read_dpi(firsts["dpi"][1]) if "dpi" in firsts else dpi,
        icc=icc,
        exif=block,
        xmp=xmp,
        iptc=photoshop.iptc_of(resources) if in_resources else resources,
        orientation=orientation,
    )


def _read_block(name: bytes, data: bytes) -> bytes:
    """The block inside an `iCCP`, `eXIf` or `iTXt` chunk."""
    if name == b"eXIf":
        return data
    content = data.split(b"\0", 1)[-1]
    if name == b"iTXt":
        text = content[2:].split(b"\0", 2)[-1]
        return _inflate(text) if content[:1] == b"\1" else text
    return _inflate(content[1:])


def _read_resources(chunks: list[Chunk]) -> bytes | None:
    """The first raw IPTC profile: the block alone, or inside Photoshop's resources. None if none can be read."""
    for name, data in chunks:
        if _role_of(name, data) == "iptc":
            content = data.split(b"\0", 1)[-1]
            match = _RAW_PROFILE.fullmatch(_inflate(content[1:]) if name == b"zTXt" else content)
            return _read_digits(match) if match else None
    return None


def _read_digits(profile: re.Match[bytes]) -> bytes | None:
    try:
        raw = bytes.fromhex(profile.group(2).decode("ascii"))
    except ValueError:
        return None
    return raw if len(raw) == int(profile.group(1)[:12]) else None


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(data, _TEXT_LIMIT)
    except zlib.error as error:
        raise UnreadableScan(f"A metadata chunk of the PNG is damaged: {error}. Use a sound copy.") from error
    if unpacker.unconsumed_tail:
        raise UnreadableScan("A metadata chunk of the PNG unpacks to an absurd size. Use a sound copy.")
    return out


def _read_density(density: bytes) -> tuple[int, int, int]:
    """Across, down and unit of a `pHYs` chunk."""
    return struct.unpack(">IIB", density) if len(density) == 9 else (0, 0, 0)


def _read_dpi(density: bytes) -> tuple[float, float] | None:
    across, down, unit = _read_density(density)
    return (round_dpi(across), round_dpi(down)) if unit == 1 and across and down else None


def _carry_chunks(chunks: Iterable[Chunk], scan: Scan, carried: CarriedPng, same_kind: bool) -> list[Chunk]:
    """Carried chunks that are still true."""
    stale = _stale_roles(scan, carried)
    return [
        (name, data)
        for name, data in chunks
        if _role_of(name, data) not in stale and (same_kind or name not in _BY_KIND) and name not in (b"PLTE", b"tRNS")
    ]


def _stale_roles(scan: Scan, carried: CarriedPng) -> set[str]:
    """The roles of which the scan says something else than the carried chunks."""
    now, known = Metadata.from_scan(scan), carried.metadata
    roles = {role for role in ("dpi", "icc", "xmp", "iptc") if getattr(now, role) != getattr(known, role)}
    return roles | ({"exif"} if exif.block_for(scan) != known.exif else set())


def _new_chunks(scan: Scan, carried: CarriedPng) -> Iterator[Chunk]:
    """Chunks for what the carried ones do not say."""
    stale = _stale_roles(scan, carried)
    block = exif.block_for(scan)
    if (
        not carried.header
        and 8 < scan.bits < 16
        and scan.pixels.dtype == np.uint16
        and is_exact(scan.pixels, scan.bits)
    ):
        yield b"sBIT", bytes([scan.bits] * (scan.channels + (scan.alpha is not None)))
    if scan.icc is not None and "icc" in stale:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(scan.icc)
    if scan.dpi is not None and "dpi" in stale:
        yield b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in scan.dpi), 1)
    if block is not None and "exif" in stale:
        yield b"eXIf", block
    if scan.xmp is not None and "xmp" in stale:
        yield b"iTXt", _XMP + b"\0\0\0\0\0" + scan.xmp
    resources = photoshop.resources_of(scan)
    if resources is not None and ("iptc" in stale or not carried.header):
        digits = resources.hex().encode()
        yield b"zTXt", _RAW_IPTC + b"\0\0" + zlib.compress(b"\niptc\n%8d\n%s\n" % (len(resources), digits))


def _list_unportable(chunks: list[Chunk], trailer: int) -> tuple[str, ...]:
    """What no other format has a place for."""
    names = []
    types = {name for name, _ in chunks}
    readable = _read_resources(chunks) is not None
    for name, data in chunks:
        role = _role_of(name, data)
        if name in _PLAIN or (role and (role != "iptc" or readable)):
            continue
        if name in (b"gAMA", b"cHRM") and types & {b"iCCP", b"sRGB"}:
            continue  # the profile says it better
        keyword = data[:80].split(b"\0", 1)[0].decode("latin-1") if name in (b"tEXt", b"zTXt", b"iTXt") else ""
        names.append(f"the PNG text `{keyword}`" if keyword else f"the PNG chunk {name.decode('latin-1')}")
    if trailer:
        names.append(f"{trailer:,} bytes behind the picture's end")
    names += list_repeated(_role_of(*chunk) for chunk in chunks)
    density = next((data for name, data in chunks if name == b"pHYs"), b"")
    across, down, unit = _read_density(density)
    return (*names, *name_aspect(across, down, known=unit == 1))
