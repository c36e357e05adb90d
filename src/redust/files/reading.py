"""A scan out of a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from redust.core.arrays import Pixels
from redust.core.errors import ScanError, UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files.formats import CAMERA_RAW, DNG, Format, identify_format
from redust.files.limits import Request

logger = logging.getLogger(__name__)

_BLOCK_ROWS = 256


def read_scan(path: str | Path, *, page: int = 0, max_megapixels: float = 1000, keep_damaged: bool = False) -> Scan:
    """Read one page of a scan with all that must survive the trip.

    The format is told by the content, not by the name. The header's size is checked before a pixel is decoded.

    Parameters
    ----------
    path
        A TIFF, linear DNG, PNG, JPEG, WebP or JPEG 2000 file, or a camera raw, which is developed.
    page
        Which page of a TIFF, from 0.
    max_megapixels
        The largest picture accepted, by its header.
    keep_damaged
        Read what is there of a JPEG, or a JPEG-compressed TIFF, whose coded data is cut; a warning is logged.

    Returns
    -------
    scan : Scan
        Pixels uint8, uint16 or float32, grey or R G B, not turned. White is the largest value of the dtype: a
        scan of 12 significant bits is spread over 16, and a TIFF in which white is zero is inverted, here; the
        opposite when written, so that stored values stay.

    Raises
    ------
    ScanError
        If the file is missing, is a folder, may not be read, or has no such page.
    UnreadableScan
        If it is empty, truncated or lies about itself.
    UnsupportedScan
        If it is of a kind that ReDust refuses, such as CMYK or 64-bit float.
    ScanTooLarge
        If its header claims more than `max_megapixels`.
    """
    return read_picture(Request(Path(path), page, max_megapixels, keep_damaged=keep_damaged))


def read_picture(request: Request) -> Scan:
    """As :func:`read_scan`, also pictures that make sense as masks only, spread to 8 bit."""
    path = request.path
    with _name_errors(path), _open_scan(path) as (file, format):
        if request.page < 0 or (request.page and format.name != "TIFF"):
            raise ScanError(f"There is no page {request.page + 1}. Choose page 1.")
        scan = format.codec().read(file, request)
        _check_finite(scan.pixels)
    if path.suffix.lower() not in (DNG if scan.format == DNG.name else format).suffixes:
        logger.warning("%s is a %s file, whatever its name says", path, scan.format)
    return replace(scan, source=path, warnings=tuple(request.warnings))


def by_content(path: Path) -> Format:
    """The format of a file by its first bytes.

    Raises
    ------
    ScanError
        As for :func:`read_scan`.
    """
    with _name_errors(path), _open_scan(path) as (_, format):
        return format


@contextmanager
def _open_scan(path: Path) -> Iterator[tuple[BinaryIO, Format]]:
    if path.is_dir():
        raise ScanError("It is a folder. Give a file, or a command that takes folders.")
    if path.exists() and not path.is_file():
        raise ScanError("It is a device, not a file. Give a file.")
    with open(path, "rb") as file:
        head = file.read(16)
        if not head:
            raise UnreadableScan("It is empty. Use a sound copy.")
        file.seek(0)
        yield file, CAMERA_RAW if path.suffix.lower() in CAMERA_RAW.suffixes else identify_format(head)


@contextmanager
def _name_errors(path: Path) -> Iterator[None]:
    """Put the file's name before every message; explain what the system, or a decoder out of memory, says."""
    try:
        yield
    except ScanError as error:
        raise type(error)(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise ScanError(f"{path} does not exist. Check the path.") from error
    except PermissionError as error:
        raise ScanError(f"{path} may not be read. Check its permissions.") from error
    except OSError as error:
        raise ScanError(f"{path} cannot be read: {error.strerror or error}. Check the path and the disk.") from error
    except MemoryError as error:
        raise ScanError(f"{path} does not fit into memory. Use a machine with more, or a smaller scan.") from error


def _check_finite(pixels: Pixels) -> None:
    if pixels.dtype != np.float32:
        return
    for row in range(0, pixels.shape[0], _BLOCK_ROWS):
        if not np.isfinite(pixels[row : row + _BLOCK_ROWS]).all():
            raise UnsupportedScan("It holds NaN or infinite values. Replace them by numbers, such as 0, first.")
    if float(pixels.max()) > 2.0:
        logger.warning("float values reach %g; 1.0 is taken as full light", float(pixels.max()))
