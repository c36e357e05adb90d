"""WebP in and out, always written losslessly; every chunk but the pixels is carried as it is.

A lossy WebP becomes a lossless one: bigger, but no sound pixel changes.
Source: RFC 9649, WebP Image Format (2024).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import imagecodecs

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files import exif
from redust.files.limits import Request, check_size
from redust.files.metadata import Metadata
from redust.files.planes import joined, split

Chunk: TypeAlias = tuple[bytes, bytes]

_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG, _MOVING_FLAG = 0x20, 0x10, 0x08, 0x04, 0x02
_ROLES = {b"ICCP": "icc", b"EXIF": "exif", b"XMP ": "xmp"}
_PIXELS = {b"VP8 ", b"VP8L", b"ALPH", b"VP8X"}
_PREFIX = b"Exif\0\0"  # some writers put JPEG's mark before the block
_EFFORT = 50


@dataclass(frozen=True)
class CarriedWebp:
    """What a WebP needs to be written with the same chunks again."""

    chunks: tuple[Chunk, ...]
    metadata: Metadata


def read(file: BinaryIO, request: Request) -> Scan:
    """Read a WebP (see :func:`redust.files.read_scan`)."""
    data = file.read()
    chunks = list(_chunks(data))
    if any((name == b"VP8X" and body[0] & _MOVING_FLAG) or name == b"ANIM" for name, body in chunks):
        raise UnsupportedScan("It is an animation. Save the picture you want as a file of its own first.")
    for name, body in chunks:
        if name in _PIXELS - {b"ALPH"}:
            check_size(*_size(name, body), request)
    try:
        pixels, alpha = split(imagecodecs.webp_decode(data))
    except (imagecodecs.WebpError, ValueError) as error:
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    told = _metadata(chunks)
    rest = [name.decode("latin-1") for name, _ in chunks if name not in _PIXELS and name not in _ROLES]
    carried = {
        "webp": CarriedWebp(tuple(chunk for chunk in chunks if chunk[0] not in _PIXELS), told),
        "only here": tuple(f"the WebP chunk {name}" for name in rest),
    }
    return told.scan(pixels, alpha, format="WebP", carried=carried)


def write(scan: Scan, file: BinaryIO) -> None:
    """Write a scan as WebP (see :func:`redust.files.write_scan`)."""
    coded = bytes(imagecodecs.webp_encode(joined(scan), level=_EFFORT, lossless=True))
    pixels = [(name, _with_alpha(body, scan)) for name, body in _chunks(coded) if name == b"VP8L"]
    told = _told(scan)
    first = [chunk for chunk in told if chunk[0] == b"ICCP"]
    last = [chunk for chunk in told if chunk[0] != b"ICCP"]
    head = [(b"VP8X", _extended(scan, told))] if told else []
    body = b"".join(_packed(chunk) for chunk in [*head, *first, *pixels, *last])
    file.write(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP")
    file.write(body)


def _chunks(data: bytes) -> Iterator[Chunk]:
    (size,) = struct.unpack_from("<I", data, 4) if len(data) >= 12 else (0,)
    end = 8 + size
    if end > len(data) or end < 20:
        raise UnreadableScan("The WebP ends too early: truncated. Use a sound copy.")
    at = 12
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise UnreadableScan("A chunk of the WebP leads outside the file: damaged. Use a sound copy.")
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _packed(chunk: Chunk) -> bytes:
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


def _metadata(chunks: Sequence[Chunk]) -> Metadata:
    found = {_ROLES[name]: body for name, body in reversed(chunks) if name in _ROLES}
    block = found.get("exif")
    block = block.removeprefix(_PREFIX) if block is not None else None
    orientation, dpi = exif.facts_of(block)
    return Metadata(dpi=dpi, icc=found.get("icc"), exif=block, xmp=found.get("xmp"), orientation=orientation)


def _told(scan: Scan) -> list[Chunk]:
    """Metadata chunks: the carried ones as they are, and new ones for what they do not say."""
    carried = scan.carried.get("webp")
    known = carried.metadata if isinstance(carried, CarriedWebp) else Metadata()
    chunks = carried.chunks if isinstance(carried, CarriedWebp) else ()
    now = {"icc": scan.icc, "exif": exif.block_for(scan, with_dpi=True), "xmp": scan.xmp}
    kept = [
        (name, body) for name, body in chunks if name not in _ROLES or now[_ROLES[name]] == getattr(known, _ROLES[name])
    ]
    names = {role: name for name, role in _ROLES.items()}
    fresh = [(names[role], body) for role, body in now.items() if body is not None and body != getattr(known, role)]
    return [*kept, *fresh]


def _with_alpha(body: bytes, scan: Scan) -> bytes:
    """The pixels marked as having alpha, which the encoder leaves out where all is opaque."""
    return body[:4] + bytes((body[4] | 0x10,)) + body[5:] if scan.alpha is not None else body


def _extended(scan: Scan, told: Sequence[Chunk]) -> bytes:
    names = {name for name, _ in told}
    flags = (
        _ICC_FLAG * (b"ICCP" in names)
        | _EXIF_FLAG * (b"EXIF" in names)
        | _XMP_FLAG * (b"XMP " in names)
        | _ALPHA_FLAG * (scan.alpha is not None)
    )
    height, width = scan.shape
    return struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
