"""PNG scans: pixels by imagecodecs or Pillow, chunks by hand."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from golden import metadata
from golden.pictures import picture


def with_chunks(png: bytes, before: list[tuple[bytes, bytes]], after: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """The PNG with chunks behind its header and before its end."""
    packed = [b"".join(map(_packed, chunks)) for chunks in (before, after or [])]
    return png[:33] + packed[0] + png[33:-12] + packed[1] + png[-12:]


def _packed(chunk: tuple[bytes, bytes]) -> bytes:
    name, body = chunk
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _kind(channels: int, dtype: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pixels = picture(channels, dtype)
        path.write_bytes(imagecodecs.png_encode(pixels[..., 0] if channels == 1 else pixels))

    return write


def _full(path: Path) -> None:
    raw = metadata.photoshop()
    before = [
        (b"iCCP", b"sRGB\0\0" + zlib.compress(metadata.icc())),
        (b"sBIT", bytes((14, 14, 14))),
        (b"pHYs", struct.pack(">IIB", *[round(metadata.DPI / 0.0254)] * 2, 1)),
        (b"eXIf", metadata.exif()),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.XMP),
        (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(b"\niptc\n%8d\n%s\n" % (len(raw), raw.hex().encode()))),
    ]
    after = [(b"tEXt", b"Author\0Anna Atkins"), (b"tIME", struct.pack(">H5B", 2020, 1, 2, 3, 4, 5))]
    path.write_bytes(with_chunks(imagecodecs.png_encode(picture(3, np.uint16)), before, after))


def _palette(path: Path) -> None:
    Image.fromarray(picture(3)).quantize(16).save(path, dpi=(300, 300))


def _palette_alpha(path: Path) -> None:
    Image.fromarray(picture(3)).quantize(16).save(path, transparency=bytes(range(0, 256, 16)))


def _key_colour(path: Path) -> None:
    Image.fromarray(picture(3)).save(path, transparency=(1, 2, 3))


def _gamma(path: Path) -> None:
    png = imagecodecs.png_encode(picture(3))
    path.write_bytes(with_chunks(png, [(b"gAMA", struct.pack(">I", 100_000))]))


MAKERS: dict[str, Callable[[Path], None]] = {
    "png-rgb16": _full,
    "png-rgb8": _kind(3, np.uint8),
    "png-grey8": _kind(1, np.uint8),
    "png-grey16": _kind(1, np.uint16),
    "png-grey-alpha16": _kind(2, np.uint16),
    "png-rgba8": _kind(4, np.uint8),
    "png-rgba16": _kind(4, np.uint16),
    "png-palette": _palette,
    "png-palette-alpha": _palette_alpha,
    "png-key-colour": _key_colour,
    "png-gamma": _gamma,
}
