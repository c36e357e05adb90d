"""The infrared plane of a scan, wherever scanner programs keep it.

In the scan's own file: a fourth sample (VueScan RGBI), or a page or sub-image of its own (SilverFast HDRi; see
:mod:`redust.files.tiff_infrared`). Beside it: ``scan_IR.tif`` or ``scan-ir.tif``, with ``scan_IR_valid.tif`` where not
all of it was measured. Or in a file that the user names. What is read here serves detection only: the scan keeps every
sample, page and sub-image as it is.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from redust.core.arrays import Mask
from redust.core.errors import ScanError
from redust.core.infrared import InfraredPlane
from redust.core.scan import Scan
from redust.files.masks import read_mask
from redust.files.reading import read_scan
from redust.files.tiff import CarriedTiff
from redust.files.tiff_infrared import find_infrared_ifd, read_plane

AUTO, OFF, CHANNEL = "auto", "off", "channel"

_SIBLING = re.compile(r"[ ._-](ir|infrared)$", re.IGNORECASE)
_VALID = re.compile(r"[ ._-]ir[ ._-]?valid$", re.IGNORECASE)
_SUFFIXES = (".tif", ".tiff")


def find_infrared(scan: Scan, choice: str = AUTO, *, max_megapixels: float = 1000) -> InfraredPlane | None:
    """Find and read the infrared plane of a scan.

    Parameters
    ----------
    scan
        As read.
    choice
        ``"auto"``: the scan's own plane, else that of a file beside it. ``"off"``: none. ``"channel"``: its fourth
        channel, also one that is tagged as alpha. Else the path of a file: a grey picture, or a scan with infrared.
    max_megapixels
        The largest file accepted, by its header.

    Returns
    -------
    infrared : InfraredPlane or None
        None if there is none.

    Raises
    ------
    ScanError
        If what was named is not there or holds no infrared, or what was found cannot be read.
    """
    if choice == OFF:
        return None
    if choice == CHANNEL:
        return _take_channel(scan)
    if choice != AUTO:
        return read_infrared_file(Path(choice), max_megapixels)
    return _own_plane(scan) or _sibling_plane(scan, max_megapixels)


def _take_channel(scan: Scan) -> InfraredPlane:
    plane = scan.infrared if scan.infrared is not None else scan.alpha
    if plane is None:
        raise ScanError(f"{scan.name} has no further channel to take for infrared. Leave out --infrared channel.")
    return InfraredPlane(plane, "its further channel")


def _own_plane(scan: Scan) -> InfraredPlane | None:
    """The plane in the scan's own file."""
    if scan.infrared is not None:
        return InfraredPlane(scan.infrared, "its further channel")
    carried = scan.carried.get("tiff")
    if not isinstance(carried, CarriedTiff):
        return None
    ifd = find_infrared_ifd(carried.tree, scan.page)
    if ifd is None:
        return None
    with carried.open() as file:
        return InfraredPlane(read_plane(file, carried.tree, ifd), ifd.source)


def read_infrared_file(path: Path, max_megapixels: float = 1000) -> InfraredPlane:
    """Read the infrared plane out of a file: a scan with infrared, then with its red light, or a grey picture.

    Raises
    ------
    ScanError
        If it cannot be read or holds no infrared.
    """
    scan = read_scan(path, max_megapixels=max_megapixels)
    infrared = _own_plane(scan) or (InfraredPlane(scan.alpha, "") if scan.alpha is not None else None)
    if infrared is not None:
        red = np.ascontiguousarray(scan.pixels[..., 0]) if infrared.shape == scan.shape else None
        return replace(infrared, source=path.name, red=red)
    if scan.channels == 1:
        return InfraredPlane(scan.pixels[..., 0], path.name)
    raise ScanError(f"{path} holds no infrared. Name a grey picture of it, or a scan with a fourth channel.")


def _sibling_plane(scan: Scan, max_megapixels: float) -> InfraredPlane | None:
    """The plane of a file beside the scan."""
    path = find_sibling(scan.source, _SIBLING) if scan.source is not None else None
    if path is None or scan.source is None:
        return None
    infrared = read_infrared_file(path, max_megapixels)
    valid = find_sibling(scan.source, _VALID)
    return replace(infrared, red=None, valid=None if valid is None else _read_valid(valid, infrared.shape))


def _read_valid(path: Path, shape: tuple[int, int]) -> Mask:
    return read_mask(path, shape)


def is_infrared_path(path: Path) -> bool:
    """Whether a file's name says that it is the infrared of a scan, or where that was measured.

    >>> is_infrared_path(Path("roll_1_IR.tif")), is_infrared_path(Path("roll_1.tif"))
    (True, False)
    """
    return _match_ending(path) is not None


def name_scan_of(path: Path) -> str | None:
    """The name, without suffix and in lower case, of the scan whose infrared a file holds; None if it holds none.

    >>> name_scan_of(Path("Roll_1_IR.tif")), name_scan_of(Path("roll_1.tif"))
    ('roll_1', None)
    """
    match = _match_ending(path)
    return path.stem[: match.start()].casefold() if match and path.suffix.lower() in _SUFFIXES else None


def _match_ending(path: Path) -> re.Match[str] | None:
    return _SIBLING.search(path.stem) or _VALID.search(path.stem)


def find_infrared_files(path: Path) -> list[Path]:
    """The files beside a scan that hold its infrared, alphabetically."""
    stem = path.stem.casefold()
    if not path.parent.is_dir():
        return []
    names = [name for name in os.listdir(path.parent) if name.casefold().startswith(stem)]
    return [file for name in sorted(names) if name_scan_of(file := path.parent / name) == stem]


def find_sibling(path: Path, ending: re.Pattern[str] = _SIBLING) -> Path | None:
    """The TIFF beside a scan whose name is the scan's with an ending, such as ``_IR``; None if there is none."""
    if ending.search(path.stem):
        return None
    return next((file for file in find_infrared_files(path) if ending.search(file.stem)), None)
