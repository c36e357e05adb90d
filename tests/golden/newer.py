"""WebP scans by Pillow, JPEG 2000 scans by OpenJPEG with boxes by hand."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from golden import metadata
from golden.pictures import picture

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")


def _webp(channels: int = 3, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        Image.fromarray(picture(channels)).save(path, **options)

    return write


def _webp_full(path: Path) -> None:
    blocks = {"icc_profile": metadata.icc(), "exif": metadata.exif(), "xmp": metadata.XMP}
    Image.fromarray(picture()).save(path, lossless=True, **blocks)


def _jp2(channels: int, dtype: Any, bits: int, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pixels = picture(channels, dtype) >> (8 * np.dtype(dtype).itemsize - bits)
        pixels = pixels[..., 0] if channels == 1 else pixels
        path.write_bytes(imagecodecs.jpeg2k_encode(pixels, reversible=True, bitspersample=bits, **options))

    return write


def _jp2_full(path: Path) -> None:
    """A profile and a resolution in the header, three metadata boxes behind the pixels and an unknown one."""
    stream = imagecodecs.jpeg2k_encode(picture(), level=0, reversible=True, codecformat="j2k")
    height, width, _ = picture().shape
    header = (
        _box(b"ihdr", struct.pack(">IIHBBBB", height, width, 3, 7, 7, 0, 0))
        + _box(b"colr", b"\2\0\0" + metadata.icc())
        + _box(b"res ", _box(b"resc", struct.pack(">4H2b", metadata.DPI, 254, metadata.DPI, 254, 4, 4)))
    )
    boxes = [
        (b"jP  ", b"\r\n\x87\n"),
        (b"ftyp", b"jp2 \0\0\0\0jp2 "),
        (b"jp2h", header),
        (b"jp2c", stream),
        (b"uuid", b"JpgTiffExif->JP2" + metadata.exif()),
        (b"uuid", _XMP + metadata.XMP),
        (b"uuid", _IPTC + metadata.iptc()),
        (b"xml ", b"<scanner>its own words</scanner>"),
    ]
    path.write_bytes(b"".join(_box(*box) for box in boxes))


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


MAKERS: dict[str, Callable[[Path], None]] = {
    "webp-lossless": _webp_full,
    "webp-lossy": _webp(quality=80),
    "webp-alpha": _webp(4, lossless=True, exact=True),
    "jp2-rgb8": _jp2_full,
    "jp2-rgb16": _jp2(3, np.uint16, 16),
    "jp2-grey12": _jp2(1, np.uint16, 12),
    "jp2-alpha": _jp2(4, np.uint8, 8),
    "jp2-lossy": _jp2(3, np.uint8, 8, level=30),
    "jp2-codestream": _jp2(3, np.uint8, 8, codecformat="j2k"),
}
