"""WebP in and out, always written losslessly; every chunk but the pixels is carried as it is.

A lossy WebP becomes a lossless one: bigger, but no sound pixel changes.
Source: RFC 9649, WebP Image Format (2024).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import imagecodecs

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata, list_repeated
from redust.files.planes import join_planes, split_planes

Chunk: TypeAlias = tuple[bytes, bytes]

_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG, _MOVING_FLAG = 0x20, 0x10, 0x08, 0x04, 0x02
_ROLES = {b"ICCP": "icc", b"EXIF": "exif", b"XMP ": "xmp"}
_PIXELS = {b"VP8 ", b"VP8L", b"ALPH", b"VP8X"}
_PREFIX = b"Exif\0\0"  # some writers put JPEG's mark before the block
_METHOD = 0  # others take a third more memory and three times as long, to save a seventh of the size
_MAX_CHUNKS = 20_000


@dataclass(frozen=True)
class CarriedWebp:
    """What a WebP needs to be written with the same chunks, and what lies behind its end, again."""

    chunks: tuple[Chunk, ...]
    metadata: Metadata
    trailer: bytes = b""


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a WebP (see :func:`redust.files.read_scan`)."""
    data = file.read()
    chunks = list(_read_chunks(data))
    trailer = data[_end_of(data) :]
    if any((name == b"VP8X" and body[0] & _MOVING_FLAG) or name == b"ANIM" for name, body in chunks):
        raise UnsupportedScan("It is an animation. Save the picture you want as a file of its own first.")
    for name, body in chunks:
        if name in _PIXELS - {b"ALPH"}:
            check_size(*_size(name, body), request)
    try:
        pixels, alpha = split_planes(imagecodecs.webp_decode(data))
    except (imagecodecs.WebpError, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    metadata = _read_metadata(chunks)
    further = tuple(chunk for chunk in chunks if chunk[0] not in _PIXELS)
    carried = {
        "webp": CarriedWebp(further, metadata, trailer),
        "only here": _list_unportable(further, len(trailer)),
    }
    return metadata.to_scan(pixels, alpha, format="WebP", carried=carried)


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as WebP (see :func:`redust.files.write_scan`)."""
    coded = imagecodecs.webp_encode(join_planes(scan), lossless=True, method=_METHOD)
    pixels = next(body for name, body in _read_chunks(memoryview(coded)) if name == b"VP8L")
    chunks = _arrange_chunks(scan)
    head = [(b"VP8X", _extended_header(scan, chunks))] if chunks else []
    before = b"".join(map(_pack_chunk, [*head, *(chunk for chunk in chunks if chunk[0] == b"ICCP")]))
    after = b"".join(map(_pack_chunk, [chunk for chunk in chunks if chunk[0] != b"ICCP"]))
    padding = bytes(len(pixels) % 2)
    size = 4 + len(before) + 8 + len(pixels) + len(padding) + len(after)
    file.write(b"RIFF" + struct.pack("<I", size) + b"WEBP" + before + b"VP8L" + struct.pack("<I", len(pixels)))
    file.write(_mark_alpha(pixels[:5], scan))
    file.write(pixels[5:])
    file.write(padding + after)
    carried = scan.carried.get("webp")
    file.write(carried.trailer if isinstance(carried, CarriedWebp) else b"")


def _end_of(data: bytes) -> int:
    """Where the RIFF container ends, by its header."""
    (size,) = struct.unpack_from("<I", data, 4) if len(data) >= 12 else (0,)
    return 8 + int(size) + int(size) % 2


def _read_chunks(data: bytes | memoryview) -> Iterator[tuple[bytes, Any]]:
    (size,) = struct.unpack_from("<I", data, 4) if len(data) >= 12 else (0,)
    end = 8 + size
    if end > len(data) or end < 20:
        raise UnreadableScan("The WebP ends too early: truncated. Use a sound copy.")
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        name, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise UnreadableScan("A chunk of the WebP leads outside the file: damaged. Use a sound copy.")
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise UnreadableScan("The WebP has absurdly many chunks. Save it again with another program.")


def _pack_chunk(chunk: Chunk) -> bytes:
    name, body = chunk
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _size(name: bytes, body: bytes) -> tuple[int, int]:
    """(height, width) a chunk claims."""
    body = body[:10].ljust(10, b"\0")
    if name == b"VP8X":
        return int.from_bytes(body[7:10], "little") + 1, int.from_bytes(body[4:7], "little") + 1
    if name == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", body, 6)
    return height & 0x3FFF, width & 0x3FFF


def _read_metadata(chunks: Sequence[Chunk]) -> Metadata:
    blocks = {_ROLES[name]: body for name, body in reversed(chunks) if name in _ROLES}
    block = blocks.get("exif")
    block = block.removeprefix(_PREFIX) if block is not None else None
    orientation, dpi = exif.facts_of(block)
    return Metadata(dpi=dpi, icc=blocks.get("icc"), exif=block, xmp=blocks.get("xmp"), orientation=orientation)


def _list_unportable(chunks: Sequence[Chunk], trailer: int) -> tuple[str, ...]:
    """What no other format has a place for."""
    names = [f"the WebP chunk {name.decode('latin-1')}" for name, _ in chunks if name not in _ROLES]
    if trailer:
        names.append(f"{trailer:,} bytes behind the picture's end")
    return (*names, *list_repeated(_ROLES.get(name, "") for name, _ in chunks))


def _arrange_chunks(scan: Scan) -> list[Chunk]:
    """Metadata chunks: the carried ones as they are, and new ones for what they do not say."""
    carried = scan.carried.get("webp")
    known = carried.metadata if isinstance(carried, CarriedWebp) else Metadata()
    chunks = carried.chunks if isinstance(carried, CarriedWebp) else ()
    now = {"icc": scan.icc, "exif": exif.block_for(scan, with_dpi=True), "xmp": scan.xmp}
    stale = {role for role, block in now.items() if block != getattr(known, role)}
    names = {role: name for name, role in _ROLES.items()}
    new = [(names[role], block) for role, block in now.items() if role in stale and block is not None]
    return [*((name, body) for name, body in chunks if _ROLES.get(name) not in stale), *new]


def _mark_alpha(header: memoryview, scan: Scan) -> bytes:
    """The first five bytes of the pixels, marked as having alpha, which the encoder leaves out where all is opaque."""
    return bytes(header[:4]) + bytes((header[4] | (0x10 if scan.alpha is not None else 0),))


def _extended_header(scan: Scan, chunks: Sequence[Chunk]) -> bytes:
    names = {name for name, _ in chunks}
    flags = (
        _ICC_FLAG * (b"ICCP" in names)
        | _EXIF_FLAG * (b"EXIF" in names)
        | _XMP_FLAG * (b"XMP " in names)
        | _ALPHA_FLAG * (scan.alpha is not None)
    )
    height, width = scan.shape
    return struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
