"""A scan into a file: everything it carries, or a refusal that says what would be lost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from redust.core.arrays import Mask, Pixels, check_mask
from redust.core.atomic import check_path, whole_file
from redust.core.errors import TargetError
from redust.core.scan import Scan
from redust.files.formats import DNG, TIFF, by_suffix
from redust.files.reading import read_scan
from redust.files.unsupported import check_losses, check_sides, fit_to_format, list_losses, rescale

_BLOCK_ROWS = 256


def check_target(scan: Scan, path: str | Path, *, overwrite: bool = False, allow_loss: bool = False) -> None:
    """Refuse, before any work, whatever :func:`write_scan` would refuse for another reason than a full disk.

    Parameters and errors are those of :func:`write_scan`.
    """
    path = Path(path)
    format = by_suffix(path)
    check_path(path, source=scan.source, overwrite=overwrite)
    if format is DNG and scan.format != DNG.name:
        raise TargetError(f"{path} would be a DNG, which ReDust writes only of a linear DNG. Name it .tif.")
    check_sides(scan, format)
    if not allow_loss:
        check_losses(scan, format)


def name_losses(scan: Scan, path: str | Path) -> list[str]:
    """Name what the format of a target cannot hold of a scan, one sentence for each.

    Raises
    ------
    TargetError
        If there is no format for its suffix.
    """
    format = by_suffix(Path(path))
    return [f"Lost in {format.name}: {name}." for name in list_losses(scan, format)]


def write_scan(scan: Scan, path: str | Path, *, overwrite: bool = False, allow_loss: bool = False) -> None:
    """Write a scan with everything it carries; the file appears whole or not at all.

    The suffix chooses the format. A scan read from a file of that format is written as the same kind of file
    again: compression, byte order, tiles and planes of a TIFF, chunks of a PNG, tables and segments of a JPEG.
    TIFF, PNG, WebP and JPEG 2000 are written losslessly.

    Parameters
    ----------
    scan : Scan
        Its `source` is never written over.
    path
        The target; its folder must exist.
    overwrite
        Replace an existing file.
    allow_loss
        Go on without what the format cannot hold (see :func:`redust.files.unsupported.fit_to_format`); a warning is
        logged for each loss.

    Raises
    ------
    LossyTarget
        If the format cannot hold something the scan carries and `allow_loss` is off; it names everything at once.
    TargetExists
        If the target exists, or is the scan's own file under any name.
    TargetError
        If the suffix names no format, the picture is too long for it, or the disk refuses.
    ScanError
        If further pages must be copied out of the source and it has changed or gone.
    """
    path = Path(path)
    check_target(scan, path, overwrite=overwrite, allow_loss=allow_loss)
    format = by_suffix(path)
    with whole_file(path, source=scan.source, overwrite=overwrite) as file:
        format.codec().write(fit_to_format(scan, format) if allow_loss else scan, file)


def write_pages(scans: Iterable[Scan], path: str | Path, *, overwrite: bool = False, allow_loss: bool = False) -> None:
    """Write several pages of one TIFF as that TIFF again: as :func:`write_scan`, one page after the other.

    Parameters
    ----------
    scans
        Pages read from one TIFF, in its order; each is taken when the one before it is written. Pages that are not
        among them are copied.

    Raises
    ------
    TargetError, ScanError
        As :func:`write_scan`.
    """
    from redust.files import tiff

    path = Path(path)
    format = by_suffix(path)
    if format is not TIFF:
        raise TargetError(f"{path} would be {format.name}, which holds one page. Name it .tif, or choose one page.")

    def fit_page(scan: Scan) -> Scan:
        check_target(scan, path, overwrite=overwrite, allow_loss=allow_loss)
        return fit_to_format(scan, format) if allow_loss else scan

    with whole_file(path, overwrite=overwrite) as file:
        tiff.write_pages(map(fit_page, scans), file)


def largest_change_outside(pixels: Pixels, path: str | Path, mask: Mask, *, page: int = 0) -> float:
    """Decode what was written and compare it with the scan as read.

    Parameters
    ----------
    pixels : (H, W, C) uint8, uint16 or float32
        The scan before repair.
    path
        The file that was written.
    mask : (H, W) bool
        What was repaired; it is not compared.
    page
        Which page of a TIFF, from 0.

    Returns
    -------
    change : float
        The largest difference of a sample outside the mask, in steps of the written file's depth (1 for
        float); 0 for every lossless format that holds the scan's depth.

    Raises
    ------
    ScanError
        If the written file cannot be read.
    TargetError
        If its size is not the scan's.
    """
    written = read_scan(path, page=page, max_megapixels=float("inf")).pixels
    check_mask(mask, pixels.shape[:2])
    if written.shape[:2] != pixels.shape[:2]:
        raise TargetError(f"{path} has another size than the scan. Write it again.")
    largest = 0.0
    for row in range(0, len(pixels), _BLOCK_ROWS):
        rows = slice(row, row + _BLOCK_ROWS)
        before = rescale(pixels[rows], written.dtype).astype(np.float64)
        change = np.abs(before - written[rows]).max(axis=2)[~mask[rows]]
        largest = max(largest, float(change.max(initial=0.0)))
    return largest
