"""JPEG scans: pixels by Pillow, segments by hand."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from golden import metadata
from golden.pictures import picture

ODD_TABLES = [[1 + (7 * i + 3 * j) % 23 for i in range(64)] for j in range(3)]


def coded(channels: int = 3, **options: Any) -> bytes:
    """The picture as a plain JPEG."""
    pixels = picture(channels)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(out, "JPEG", **options)
    return out.getvalue()


def with_segments(jpeg: bytes, segments: list[tuple[int, bytes]], *, jfif: bool = True) -> bytes:
    """The JPEG with segments behind its JFIF segment, or instead of it."""
    end = 4 + struct.unpack_from(">H", jpeg, 4)[0] if jpeg[3] == 0xE0 else 2
    new = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return (jpeg[:end] if jfif else jpeg[:2]) + new + jpeg[end:]


def _kind(channels: int = 3, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(coded(channels, **options))

    return write


def _full(path: Path) -> None:
    segments = [
        (0xE1, b"Exif\0\0" + metadata.exif()),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + metadata.XMP),
        (0xE2, b"ICC_PROFILE\0\x01\x01" + metadata.icc()),
        (0xED, b"Photoshop 3.0\0" + metadata.photoshop()),
        (0xFE, b"a comment"),
        (0xEB, b"a scanner's own segment"),
    ]
    dpi = (metadata.DPI, metadata.DPI)
    path.write_bytes(with_segments(coded(quality=83, subsampling=2, dpi=dpi), segments))


def _long_profile(path: Path) -> None:
    """A profile of 150,000 bytes in three segments, not in order."""
    profile = np.random.default_rng(0).bytes(150_000)
    parts = [(0xE2, b"ICC_PROFILE\0" + bytes((i + 1, 3)) + profile[50_000 * i : 50_000 * (i + 1)]) for i in range(3)]
    path.write_bytes(with_segments(coded(quality=70), [parts[2], parts[0], parts[1]]))


def _rgb(path: Path) -> None:
    """Components are R G B, told by the Adobe segment alone."""
    path.write_bytes(coded(quality=90, keep_rgb=True, subsampling=0))


MAKERS: dict[str, Callable[[Path], None]] = {
    "jpeg-exif": _full,
    "jpeg-plain": _kind(quality=75),
    "jpeg-444": _kind(quality=95, subsampling=0),
    "jpeg-progressive": _kind(quality=60, progressive=True, subsampling=1),
    "jpeg-three-tables": _kind(qtables=ODD_TABLES, subsampling=0),
    "jpeg-grey": _kind(1, quality=85, dpi=(1200, 1200)),
    "jpeg-long-icc": _long_profile,
    "jpeg-rgb": _rgb,
}
