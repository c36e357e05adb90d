"""Masks and damage maps as files that a person can look at, edit and feed back.

A mask is a picture in black and white, or a transparent layer with paint on it; see :func:`extract_mask`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from redust.core.arrays import DamageMap, Mask, Pixels, Plane, check_damage, check_mask
from redust.core.atomic import whole_file
from redust.core.errors import MaskMismatch, TargetError, UnsupportedScan
from redust.core.scan import Scan
from redust.core.tiles import bands
from redust.files.formats import PNG, TIFF, by_suffix
from redust.files.limits import Request
from redust.files.reading import by_content, read_picture

_FORMATS = (PNG, TIFF)
_FULL = 65535


def read_mask(path: str | Path, shape: tuple[int, int], *, index: int = 0) -> Mask:
    """Read a mask.

    Parameters
    ----------
    path
        A PNG or TIFF of any depth, also 1 bit or palette.
    shape : (height, width)
        The size of the scan it belongs to.
    index
        Which page of a TIFF that has several, from 0, reduced copies not counted; a single page is for all.

    Returns
    -------
    mask : (H, W) bool
        See :func:`extract_mask`.

    Raises
    ------
    MaskMismatch
        If it has another size, is of a lossy format, which smears a mask's edges, or is no mask by its colours.
    ScanError
        If it cannot be read.
    """
    scan = _read(Path(path), shape)
    if index and scan.further_pages:
        if index > len(scan.further_pages):
            raise MaskMismatch(
                f"{path} has {len(scan.further_pages) + 1} pages, the scan more. Give a mask for each, or one for all."
            )
        scan = _read(Path(path), shape, scan.further_pages[index - 1])
    if scan.shape != shape:
        raise MaskMismatch(
            f"{path} is {scan.shape[1]} x {scan.shape[0]} pixels, the scan {shape[1]} x {shape[0]}. "
            "Give the mask that belongs to this scan."
        )
    return extract_mask(scan.pixels, scan.alpha, str(path))


def extract_mask(pixels: Pixels, alpha: Plane | None, name: str = "The mask") -> Mask:
    """Which pixels a picture of a mask marks.

    A pixel is marked where it is neither black nor fully transparent. A picture without a fully transparent pixel has
    to be grey. Where there are some, it is a layer with paint, and paint of any colour but black marks.

    Parameters
    ----------
    pixels : (H, W, C)
    alpha : (H, W), optional
    name
        What messages call it.

    Returns
    -------
    mask : (H, W) bool

    Raises
    ------
    MaskMismatch
        If it is coloured and nowhere transparent, or a layer on which all paint is black.
    """
    mask: Mask = np.asarray(pixels.any(axis=2))
    if alpha is None or alpha.all():
        if pixels.shape[2] == 3 and not (_equal(pixels, 0, 1) and _equal(pixels, 1, 2)):
            raise MaskMismatch(
                f"{name} is coloured and nowhere transparent. Export the painted layer alone, or save the mask in "
                "grey: white is repaired, black is left alone."
            )
        return mask
    mask &= alpha != 0
    if alpha.any() and not mask.any():
        raise MaskMismatch(f"All paint of {name} is black, and black is left alone. Paint in white or in a colour.")
    return mask


def write_mask(mask: Mask, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a mask as 8-bit grey, 0 and 255.

    Parameters
    ----------
    mask : (H, W) bool
        True = repair here.
    path
        PNG, or TIFF by suffix.
    overwrite
        Replace an existing file.

    Raises
    ------
    TargetExists, TargetError
        As for :func:`redust.files.write_scan`.
    """
    check_mask(mask, mask.shape)
    _write(np.multiply(mask, np.uint8(255), dtype=np.uint8)[..., None], Path(path), overwrite)


def write_masks(masks: Iterable[Mask], path: str | Path, *, overwrite: bool = False) -> None:
    """Write the masks of a scan's pages as the pages of one TIFF, 8-bit grey, 0 and 255.

    Raises
    ------
    TargetExists, TargetError
        As for :func:`redust.files.write_scan`; the latter also if the file is no TIFF by its suffix.
    """
    from tifffile import TiffWriter

    if by_suffix(Path(path)) is not TIFF:
        raise TargetError(f"{path} cannot hold a mask for each page. Name it .tif, or choose one page with --page.")
    with whole_file(Path(path), overwrite=overwrite) as file, TiffWriter(file) as writer:
        for mask in masks:
            check_mask(mask, mask.shape)
            samples = np.multiply(mask, np.uint8(255), dtype=np.uint8)
            writer.write(samples, compression="zlib", photometric="minisblack", metadata=None, software=False)


def write_map(damage: DamageMap, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a damage map as 16-bit grey; 65535 means 1.

    Parameters
    ----------
    damage : (H, W) float32 in 0..1
    path
        PNG, or TIFF by suffix.
    overwrite
        Replace an existing file.

    Raises
    ------
    TargetExists, TargetError
        As for :func:`redust.files.write_scan`.
    """
    check_damage(damage, damage.shape)
    steps = np.empty(damage.shape, np.uint16)
    for rows in bands(len(damage)):
        steps[rows] = np.rint(damage[rows] * np.float32(_FULL))
    _write(steps[..., None], Path(path), overwrite)


def read_map(path: str | Path) -> DamageMap:
    """Read a damage map as :func:`write_map` writes it.

    Returns
    -------
    damage : (H, W) float32 in 0..1
        Within half a step, 1/131070, of what was written.

    Raises
    ------
    MaskMismatch
        If it is not 16-bit grey.
    ScanError
        If it cannot be read.
    """
    scan = _read(Path(path))
    if scan.channels != 1 or scan.pixels.dtype != np.uint16:
        raise MaskMismatch(f"{path} is no 16-bit grey damage map. Give one made by `redust detect --map`.")
    return scan.pixels[..., 0] * np.float32(1 / _FULL)


def _read(path: Path, shape: tuple[int, int] | None = None, page: int = 0) -> Scan:
    refusal = f"{path} is no PNG or TIFF. Save the mask as PNG: lossy formats smear its edges."
    try:
        format = by_content(path)
    except UnsupportedScan as error:
        raise MaskMismatch(refusal) from error
    if format not in _FORMATS:
        raise MaskMismatch(refusal)
    limit = 1000.0 if shape is None else max(1000.0, shape[0] * shape[1] / 1e6)
    return read_picture(Request(path, page, limit, mask=True))


def _write(samples: Pixels, path: Path, overwrite: bool) -> None:
    format = by_suffix(path)
    if format not in _FORMATS:
        raise TargetError(f"{path} would be {format.name}, which may smear edges. Name it .png or .tif.")
    with whole_file(path, overwrite=overwrite) as file:
        format.codec().write(Scan(samples), file)


def _equal(pixels: Pixels, first: int, second: int) -> bool:
    return bool(np.array_equal(pixels[..., first], pixels[..., second]))
