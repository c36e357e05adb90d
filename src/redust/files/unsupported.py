"""What a target's format cannot hold, named at once and before any work; and the documented way to go on."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from redust.core.arrays import Pixels, Plane, full_scale
from redust.core.errors import LossyTarget, TargetError
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.formats import Format

logger = logging.getLogger(__name__)


def list_losses(scan: Scan, format: Format) -> list[str]:
    """Name everything that `scan` carries and `format` cannot hold."""
    names = _list_sample_losses(scan, format)
    if scan.iptc is not None and not format.iptc:
        names.append("IPTC")
    if not format.photoshop and photoshop.beyond_iptc(scan):
        names.append("Photoshop's image resources")
    if not _holds_dpi(scan, format):
        names.append("a resolution of {:g} x {:g} dpi".format(*scan.dpi or ()))
    if _has_stranded_profile(scan, format):
        names.append("its grey ICC profile (the colours of R G B would be undefined)")
    blocks = {"EXIF": (scan.exif, format.block_limit), "XMP": (scan.xmp, format.block_limit)}
    blocks["an ICC profile"] = (scan.icc, format.icc_limit)
    names += [
        f"{name} of {len(block):,} bytes" for name, (block, limit) in blocks.items() if block and len(block) > limit
    ]
    if format.name == "TIFF" and scan.exif is not None and exif.tree_of(scan.exif) is None:
        names.append("its EXIF block, which is damaged")
    names += _carried_names(scan, "lost anyway")
    return names + list(_carried_names(scan, "only here") if scan.format != format.name else ())


def _list_sample_losses(scan: Scan, format: Format) -> list[str]:
    names = []
    dtype = scan.pixels.dtype
    if dtype.name not in format.dtypes:
        depth = "32-bit float" if dtype == np.float32 else "16 bit"
        names.append(f"{depth} samples ({8 * np.dtype(format.dtypes[-1]).itemsize} bit at most)")
    if scan.channels == 1 and not format.grey:
        names.append("a single grey channel (it would become R G B)")
    planes = [name for name in ("alpha", "infrared") if getattr(scan, name) is not None]
    return names + [f"the {name} channel" for name in planes if not getattr(format, name)]


def _holds_dpi(scan: Scan, format: Format) -> bool:
    lowest, highest = format.dpi_range
    return scan.dpi is None or scan.format == format.name or all(lowest <= value <= highest for value in scan.dpi)


def _has_stranded_profile(scan: Scan, format: Format) -> bool:
    """Whether a profile for grey would stand in a file of colours."""
    return scan.channels == 1 and not format.grey and scan.icc is not None and scan.icc[16:20] == b"GRAY"


def check_losses(scan: Scan, format: Format) -> None:
    """Refuse a target that cannot hold everything.

    Raises
    ------
    LossyTarget
        It names all that would be lost.
    """
    names = list_losses(scan, format)
    if names:
        raise LossyTarget(
            f"{format.name} cannot hold what {scan.name} carries: {'; '.join(names)}. "
            f"Write {'TIFF' if format.name != 'TIFF' else 'the format of the scan'}, or leave it out with --allow-loss."
        )


def check_sides(scan: Scan, format: Format) -> None:
    """Refuse a picture that is too long for the format, which no conversion can help.

    Raises
    ------
    TargetError
        If a side is longer than the format allows, or its encoder would take more memory than ReDust allows itself.
    """
    if scan.megapixels > format.max_megapixels:
        raise TargetError(
            f"{scan.name} has {scan.megapixels:.0f} megapixels; {format.name} is coded whole, and more than "
            f"{format.max_megapixels:g} take too much memory. Write TIFF or PNG."
        )
    if max(scan.shape) > format.longest:
        raise TargetError(
            f"{scan.name} is {scan.shape[1]} x {scan.shape[0]} pixels; "
            f"{format.name} ends at {format.longest}. Write TIFF."
        )


def fit_to_format(scan: Scan, format: Format) -> Scan:
    """The scan without what the format cannot hold; a warning is logged for each loss.

    Samples become the deepest integers the format holds, rounded to the nearest step: 16 bit to 8 by v / 257,
    float from 0..1, clipped. Grey becomes equal R, G and B. Channels and blocks without a place are left out.
    """
    for name in list_losses(scan, format):
        logger.warning("%s: lost in %s: %s", scan.name, format.name, name)
    dtype = scan.pixels.dtype
    if dtype.name not in format.dtypes:
        dtype = np.dtype(format.dtypes[-1])
    pixels = rescale(scan.pixels, dtype)
    if scan.channels == 1 and not format.grey:
        pixels = np.repeat(pixels, 3, axis=2)
    alpha = scan.alpha if format.alpha and not _premultiplied(scan, format) else None
    return replace(
        scan,
        pixels=pixels,
        bits=8 * dtype.itemsize if dtype != scan.pixels.dtype else scan.bits,
        alpha=None if alpha is None else rescale(alpha, dtype),
        infrared=scan.infrared if format.infrared else None,
        iptc=scan.iptc if format.iptc else None,
        dpi=scan.dpi if _holds_dpi(scan, format) else None,
        exif=_within(scan.exif, format.block_limit),
        icc=None if _has_stranded_profile(scan, format) else _within(scan.icc, format.icc_limit),
        xmp=_within(scan.xmp, format.block_limit),
    )


def rescale(samples: Pixels | Plane, dtype: np.dtype[np.generic]) -> Pixels | Plane:
    """Samples on the scale of another dtype, in blocks of rows; the same array if nothing changes.

    >>> rescale(np.array([[0, 128, 65535]], np.uint16), np.dtype(np.uint8)).tolist()
    [[0, 0, 255]]
    """
    if samples.dtype == dtype:
        return samples
    factor = full_scale(dtype) / full_scale(samples.dtype)
    out = np.empty(samples.shape, dtype)
    for row in range(0, len(samples), 256):
        scaled = np.multiply(samples[row : row + 256], factor, dtype=np.float64)
        out[row : row + 256] = np.rint(scaled.clip(0, full_scale(dtype)))
    return out


def _premultiplied(scan: Scan, format: Format) -> bool:
    return scan.format != format.name and any("multiplied" in loss for loss in _carried_names(scan, "only here"))


def _within(block: bytes | None, limit: int) -> bytes | None:
    return None if block is not None and len(block) > limit else block


def _carried_names(scan: Scan, key: str) -> tuple[str, ...]:
    names = scan.carried.get(key, ())
    return names if isinstance(names, tuple) else ()
