"""The file formats ReDust reads and writes, as data. Anything else is refused."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from redust.core.errors import TargetError, UnsupportedScan
from redust.core.scan import Scan
from redust.files.limits import Request

_LARGEST = (1 << 32) - 1


class Codec(Protocol):
    """What the module of a format offers."""

    def read(self, file: BinaryIO, request: Request) -> Scan:
        """Read a scan from a seekable file; its source is not set."""
        ...

    def write(self, scan: Scan, file: BinaryIO) -> None:
        """Write a scan that the format can hold into an empty file."""
        ...


@dataclass(frozen=True)
class Format:
    """One file format.

    Parameters
    ----------
    name
        As in :attr:`redust.core.scan.Scan.format`.
    suffixes
        Lower case; the first is the usual one.
    module
        Where its codec is; loaded when first needed.
    dtypes
        What it can hold, the deepest last.
    grey, alpha, infrared, iptc, photoshop
        Whether it has a place for that.
    lossless
        Whether what ReDust writes reads back bit for bit.
    longest
        The longest side in pixels.
    block_limit, icc_limit
        The largest EXIF or XMP block, and the largest ICC profile, in bytes.
    dpi_range
        The smallest and the largest resolution.
    max_megapixels
        The largest picture that can be written within the limit on memory.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    dtypes: tuple[str, ...]
    grey: bool = True
    alpha: bool = True
    infrared: bool = False
    iptc: bool = True
    photoshop: bool = False
    lossless: bool = True
    longest: int = (1 << 31) - 1
    block_limit: int = (1 << 31) - 1
    icc_limit: int = (1 << 31) - 1
    dpi_range: tuple[float, float] = (1 / _LARGEST, _LARGEST)  # an unsigned rational of TIFF and EXIF
    max_megapixels: float = float("inf")

    def codec(self) -> Codec:
        """The module that reads and writes it."""
        return cast(Codec, importlib.import_module(self.module))


TIFF = Format(
    "TIFF", (".tif", ".tiff"), "redust.files.tiff", ("uint8", "uint16", "float32"), infrared=True, photoshop=True
)
PNG = Format(
    "PNG",
    (".png",),
    "redust.files.png",
    ("uint8", "uint16"),
    photoshop=True,
    dpi_range=(0.0254, ((1 << 31) - 1) * 0.0254),
)
JPEG = Format(
    "JPEG",
    (".jpg", ".jpeg", ".jpe"),
    "redust.files.jpeg",
    ("uint8",),
    alpha=False,
    photoshop=True,
    lossless=False,
    longest=65535,
    block_limit=65500,
    icc_limit=255 * 65519,
    dpi_range=(1, 65535),
)
WEBP = Format(
    "WebP", (".webp",), "redust.files.webp", ("uint8",), grey=False, iptc=False, longest=16383, max_megapixels=23
)
JPEG2000 = Format("JPEG 2000", (".jp2",), "redust.files.jpeg2000", ("uint8", "uint16"), dpi_range=(1e-100, 1e100))

DNG = Format("DNG", (".dng",), "redust.files.dng", ("uint8", "uint16", "float32"), infrared=True)
"""Linear DNG; written only as a copy of the DNG that was read."""
CAMERA_RAW = Format(
    "camera raw",
    (".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq"),
    "redust.files.camera_raw",
    (),
)
"""Known by its suffix, since most are TIFFs by their first bytes; never written."""

FORMATS = (TIFF, PNG, JPEG, WEBP, JPEG2000)

SCAN_SUFFIXES = tuple(suffix for format in (*FORMATS, DNG) for suffix in format.suffixes)
OPEN_RASTER = ".ora"
LAYERED_SUFFIXES = (*TIFF.suffixes, OPEN_RASTER)

_MAGIC = (
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
)
_FOREIGN = (
    (b"SIMPLE  =", "a FITS picture"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP picture"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"II\xbc\x01", "a JPEG XR picture"),
)
_NAMES = "TIFF, DNG, PNG, JPEG, WebP or JPEG 2000"


def identify_format(head: bytes) -> Format:
    """The format of a file by its first bytes, whatever its name.

    Raises
    ------
    UnsupportedScan
        If it is none of those on the list.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    for magic, format in _MAGIC:
        if head.startswith(magic):
            return format
    kind = next((name for magic, name in _FOREIGN if head.startswith(magic)), "no picture of a kind ReDust knows")
    raise UnsupportedScan(f"It is {kind}. Give a {_NAMES}.")


def by_suffix(path: Path) -> Format:
    """The format of a target by its suffix.

    Raises
    ------
    TargetError
        If there is none for that suffix.
    """
    for format in (*FORMATS, DNG):
        if path.suffix.lower() in format.suffixes:
            return format
    listed = ", ".join(format.suffixes[0] for format in FORMATS)
    raise TargetError(f"{path.name} has no suffix ReDust can write. Name it with one of {listed}.")


def is_scan_path(path: Path) -> bool:
    """Whether a file's suffix is that of a scan; the file itself is not opened.

    >>> is_scan_path(Path("roll/0001.TIF")), is_scan_path(Path("roll/notes.txt"))
    (True, False)
    """
    return path.suffix.lower() in SCAN_SUFFIXES


def lossless(path: Path) -> bool:
    """Whether what is written under this name reads back bit for bit.

    >>> lossless(Path("a.tif")), lossless(Path("a.webp")), lossless(Path("a.jpg"))
    (True, True, False)

    Raises
    ------
    TargetError
        If there is no format for that suffix.
    """
    return by_suffix(path).lossless
