"""TIFF scans, by tifffile; what it cannot write (EXIF directories) is added byte by byte."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from golden import metadata
from golden.pictures import picture


def _write(path: Path, pixels: Any, **options: Any) -> None:
    tifffile.imwrite(path, pixels, metadata=None, **{"photometric": "rgb", **options})


def _kind(channels: int = 3, dtype: Any = np.uint8, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pixels = picture(channels, dtype)
        if options.get("planarconfig") == "separate":
            pixels = np.moveaxis(pixels, -1, 0)
        _write(path, pixels[..., 0] if channels == 1 else pixels, **options)

    return write


def _full(dtype: Any, **options: Any) -> Callable[[Path], None]:
    """A scan with every metadata block; a private tag too."""

    def write(path: Path) -> None:
        extra = [
            (271, 2, 0, metadata.MAKE, True),
            (315, 2, 0, metadata.ARTIST, True),
            (274, 3, 1, metadata.ORIENTATION, True),
            (700, 1, len(metadata.XMP), metadata.XMP, True),
            (33723, 7, len(metadata.iptc()), metadata.iptc(), True),
            (34377, 7, len(metadata.photoshop()), metadata.photoshop(), True),
            (65001, 2, 0, "a scanner's own tag", True),
        ]
        _write(
            path,
            picture(3, dtype),
            iccprofile=metadata.icc(),
            resolution=(metadata.DPI, metadata.DPI),
            resolutionunit="INCH",
            software=metadata.SOFTWARE,
            description="Negative 12",
            rowsperstrip=8,
            extratags=extra,
            **options,
        )
        _add_exif(path)

    return write


def _add_exif(path: Path) -> None:
    """Append EXIF and GPS directories, and the first page's directory anew with pointers to them."""
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, first)
    entries = [bytes(data[first + 2 + 12 * i : first + 14 + 12 * i]) for i in range(count)]
    following = bytes(data[first + 2 + 12 * count :][:4])
    taken = metadata.TAKEN.encode() + b"\0"
    exif = [(0x9003, 2, len(taken), taken), (0x920A, 5, 1, struct.pack(order + "2I", 50, 1))]
    gps = [(1, 2, 2, b"N\0"), (2, 5, 3, struct.pack(order + "6I", 52, 1, 30, 1, 15, 1))]
    for code, tags in ((34665, exif), (34853, gps)):
        entries.append(struct.pack(order + "HHII", code, 4, 1, _append(data, order, tags)))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    place = len(data)
    data += struct.pack(order + "H", len(entries)) + b"".join(entries) + following
    struct.pack_into(order + "I", data, 4, place)
    path.write_bytes(data)


def _append(data: bytearray, order: str, tags: list[tuple[int, int, int, bytes]]) -> int:
    entries = b""
    for code, kind, count, value in tags:
        place = len(data)
        if len(value) > 4:
            data += value + b"\0" * (len(value) % 2)
            value = struct.pack(order + "I", place)
        entries += struct.pack(order + "HHI", code, kind, count) + value.ljust(4, b"\0")
    place = len(data)
    data += struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return place


def _pages(path: Path) -> None:
    """Three pages of different kinds, a reduced copy among them, and a sub-image in the first."""
    with tifffile.TiffWriter(path) as file:
        page = picture(3, np.uint16)
        file.write(page, photometric="rgb", metadata=None, subifds=1, compression="zlib", predictor=True)
        file.write(page[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
        file.write(page[::4, ::4], photometric="rgb", metadata=None, subfiletype=1)
        file.write(picture(1, np.uint8, seed=1)[..., 0], photometric="minisblack", metadata=None, compression="lzw")
        file.write(picture(3, np.uint8, seed=2), photometric="rgb", metadata=None, tile=(16, 16), compression="zstd")


def _infrared(path: Path) -> None:
    _write(path, picture(4, np.uint16), extrasamples=["unspecified"])


def _twelve_bit(code: int, **options: Any) -> Callable[[Path], None]:
    """Numbers up to 4095 in 16 bits, with a tag that says so."""

    def write(path: Path) -> None:
        _write(path, picture(3, np.uint16) >> 4, extratags=[(code, 3, 3, (4095, 4095, 4095), True)], **options)

    return write


def _packed(path: Path) -> None:
    """Twelve bits a sample, three bytes for two of them."""
    _write(path, picture(3, np.uint16) >> 4, bitspersample=12, rowsperstrip=9)


def _half(path: Path) -> None:
    _write(path, picture(3, np.float32).astype(np.float16), compression="zlib", predictor=3)


def _alpha_and_infrared(path: Path) -> None:
    _write(path, picture(5, np.uint16), extrasamples=["unassalpha", "unspecified"])


MAKERS: dict[str, Callable[[Path], None]] = {
    "tiff-rgb16": _full(np.uint16),
    "tiff-rgb8": _full(np.uint8),
    "tiff-big-endian": _full(np.uint16, byteorder=">", compression="zlib", predictor=True),
    "tiff-bigtiff": _kind(3, np.uint16, bigtiff=True, compression="zlib", resolution=(300, 300)),
    "tiff-bigtiff-big-endian": _kind(3, np.uint16, bigtiff=True, byteorder=">", tile=(16, 32)),
    "tiff-tiled": _kind(3, np.uint16, tile=(16, 32)),
    "tiff-tiled-lzw": _kind(3, np.uint8, tile=(16, 16), compression="lzw", predictor=True),
    "tiff-planar": _kind(3, np.uint16, planarconfig="separate", rowsperstrip=10),
    "tiff-planar-tiled": _kind(3, np.uint8, planarconfig="separate", tile=(16, 16), compression="zlib", predictor=True),
    "tiff-one-strip": _kind(3, np.uint16, rowsperstrip=10_000),
    "tiff-lzw": _kind(3, np.uint16, compression="lzw", rowsperstrip=9),
    "tiff-deflate": _kind(3, np.uint8, compression="zlib", predictor=True, rowsperstrip=9),
    "tiff-zstd": _kind(3, np.uint16, compression="zstd", predictor=True, byteorder=">", rowsperstrip=9),
    "tiff-packbits": _kind(1, np.uint8, photometric="minisblack", compression="packbits", rowsperstrip=9),
    "tiff-lzma": _kind(3, np.uint8, compression="lzma"),
    "tiff-jpeg": _kind(3, np.uint8, compression="jpeg", compressionargs={"level": 90}, rowsperstrip=16),
    "tiff-jpeg-tiled": _kind(3, np.uint8, photometric="ycbcr", compression="jpeg", subsampling=(2, 2), tile=(32, 32)),
    "tiff-float32": _kind(3, np.float32, compression="zlib", predictor=3),
    "tiff-float32-big-endian": _kind(3, np.float32, byteorder=">"),
    "tiff-grey8": _kind(1, np.uint8, photometric="minisblack", rowsperstrip=9),
    "tiff-grey16": _kind(1, np.uint16, photometric="minisblack"),
    "tiff-white-is-zero": _kind(1, np.uint16, photometric="miniswhite", rowsperstrip=9),
    "tiff-rgba": _kind(4, np.uint16, extrasamples=["unassalpha"]),
    "tiff-premultiplied": _kind(4, np.uint8, extrasamples=["assocalpha"], planarconfig="separate"),
    "tiff-grey-alpha": _kind(2, np.uint8, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]),
    "tiff-infrared": _infrared,
    "tiff-alpha-infrared": _alpha_and_infrared,
    "tiff-pages": _pages,
    "tiff-twelve-bit": _twelve_bit(281, rowsperstrip=9),
    "tiff-twelve-bit-smax": _twelve_bit(341, compression="zlib", predictor=True),
    "tiff-twelve-bit-packed": _packed,
    "tiff-half": _half,
    "tiff-lying-maximum": _kind(3, np.uint16, extratags=[(281, 3, 3, (4095, 4095, 4095), True)]),
}
