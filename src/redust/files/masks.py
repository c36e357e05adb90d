"""Masks and damage maps as files that a person can look at, edit and feed back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redust.core.arrays import DamageMap, Mask, Pixels, check_damage, check_mask
from redust.core.atomic import whole_file
from redust.core.errors import MaskMismatch, TargetError, UnsupportedScan
from redust.core.scan import Scan
from redust.core.tiles import bands
from redust.files.formats import PNG, TIFF, by_suffix
from redust.files.limits import Request
from redust.files.reading import by_content, read_picture

_FORMATS = (PNG, TIFF)
_FULL = 65535


def read_mask(path: str | Path, shape: tuple[int, int]) -> Mask:
    """Read a mask.

    Parameters
    ----------
    path
        A PNG or TIFF of any depth, also 1 bit or palette; grey, or colours in which R = G = B.
    shape : (height, width)
        The size of the scan it belongs to.

    Returns
    -------
    mask : (H, W) bool
        True where a pixel is not black. Fully transparent pixels count as black: a mask may be painted
        on a transparent layer.

    Raises
    ------
    MaskMismatch
        If it has another size, is coloured, or is of a lossy format, which smears a mask's edges.
    ScanError
        If it cannot be read.
    """
    scan = _read(Path(path), shape)
    if scan.shape != shape:
        raise MaskMismatch(
            f"{path} is {scan.shape[1]} x {scan.shape[0]} pixels, the scan {shape[1]} x {shape[0]}. "
            "Give the mask that belongs to this scan."
        )
    pixels = scan.pixels
    if scan.channels == 3 and not (_equal(pixels, 0, 1) and _equal(pixels, 1, 2)):
        raise MaskMismatch(f"{path} is coloured. Save the mask in grey: white is repaired, black is left alone.")
    mask: Mask = pixels[..., 0] != 0
    return mask & (scan.alpha != 0) if scan.alpha is not None else mask


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


def _read(path: Path, shape: tuple[int, int] | None = None) -> Scan:
    refusal = f"{path} is no PNG or TIFF. Save the mask as PNG: lossy formats smear its edges."
    try:
        format = by_content(path)
    except UnsupportedScan as error:
        raise MaskMismatch(refusal) from error
    if format not in _FORMATS:
        raise MaskMismatch(refusal)
    limit = 1000.0 if shape is None else max(1000.0, shape[0] * shape[1] / 1e6)
    return read_picture(Request(path, 0, limit, mask=True))


def _write(samples: Pixels, path: Path, overwrite: bool) -> None:
    format = by_suffix(path)
    if format not in _FORMATS:
        raise TargetError(f"{path} would be {format.name}, which may smear edges. Name it .png or .tif.")
    with whole_file(path, overwrite=overwrite) as file:
        format.codec().write(Scan(samples), file)


def _equal(pixels: Pixels, first: int, second: int) -> bool:
    return bool(np.array_equal(pixels[..., first], pixels[..., second]))
