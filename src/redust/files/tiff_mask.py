"""TIFF pages that make sense as masks only: palettes, fax, and depths that no scan has."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from redust.core.errors import MaskMismatch, UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files.limits import Request, check_size
from redust.files.tiff_layout import COMPRESSIONS, DTYPES, JPEG, PALETTE, PHOTOMETRICS, WHITE_IS_ZERO, check_kind
from redust.files.tiff_tree import Ifd, TiffTree

_FAX = {2, 3, 4}
_LOSSY = {6, JPEG, 33003, 33005, 34712, 34892, 50001, 50002}
_TRANSPARENCY_MASK = 4
_MOST_BITS = 64


def check_lossless(tree: TiffTree, ifd: Ifd) -> None:
    """Refuse a mask whose compression may have smeared its edges.

    Raises
    ------
    MaskMismatch
        If it is JPEG, JPEG 2000, WebP or JPEG XL inside a TIFF.
    """
    if tree.number(ifd, 259, 1) in _LOSSY:
        raise MaskMismatch("It is compressed by a method that smears edges. Save the mask as PNG, or with Deflate.")


def is_mask_only(tree: TiffTree, ifd: Ifd) -> bool:
    """Whether a page is of a kind that is refused as a scan and accepted as a mask."""
    depth = tree.number(ifd, 339, 1), tree.number(ifd, 258, 1)
    kinds = (PALETTE, _TRANSPARENCY_MASK)
    return tree.number(ifd, 262, 1) in kinds or depth not in DTYPES or tree.number(ifd, 259, 1) in _FAX


def read_mask_page(file: BinaryIO, tree: TiffTree, page: int, request: Request) -> Scan:
    """Read a page as a mask.

    Returns
    -------
    scan : Scan
        Pixels uint8, one channel: 255 where the page is not black.

    Raises
    ------
    UnsupportedScan
        If it is coded or has channels as no mask has.
    UnreadableScan
        If it cannot be decoded.
    MaskMismatch
        If it is coloured.
    """
    ifd = tree.pages[page]
    check_kind(tree, ifd, photometrics=(*PHOTOMETRICS, PALETTE, _TRANSPARENCY_MASK))
    check_size(tree.number(ifd, 257, 0), tree.number(ifd, 256, 0), request)
    if tree.number(ifd, 259, 1) not in {*COMPRESSIONS, *_FAX} or tree.number(ifd, 258, 1) > _MOST_BITS:
        raise UnsupportedScan("It is coded in a way that ReDust does not read. Save the mask as PNG.")
    if tree.number(ifd, 277, 1) not in (1, 3):
        raise UnsupportedScan("It has channels that a mask does not have. Save the mask as PNG in grey.")
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            marked = _read_marked(tiff.pages[page], tree, ifd)
    except Exception as error:
        if isinstance(error, MaskMismatch):
            raise
        raise UnreadableScan(f"Its pixels cannot be decoded: {error}. Use a sound copy.") from error
    return Scan((marked * np.uint8(255))[..., None], format="TIFF")


def _read_marked(page: Any, tree: TiffTree, ifd: Ifd) -> NDArray[np.bool_]:
    """Where a page is not black: (H, W)."""
    samples: NDArray[Any] = page.asarray()
    if samples.ndim == 3 and tree.number(ifd, 284, 1) == 2:
        samples = np.moveaxis(samples, 0, -1)
    if tree.number(ifd, 262, 1) == PALETTE:
        samples = np.moveaxis(page.colormap[:, samples], 0, -1)
    if samples.ndim == 3 and samples.shape[2] == 3:
        _check_grey(samples)
        samples = samples[..., 0]
    if samples.ndim != 2:
        raise ValueError(f"a mask has rows and columns, this page has the shape {samples.shape}")
    if tree.number(ifd, 262, 1) == WHITE_IS_ZERO:
        white = (1 << tree.number(ifd, 258, 1)) - 1
        return np.asarray(samples != white)
    return np.asarray(samples != 0)


def _check_grey(samples: NDArray[Any]) -> None:
    if not (np.array_equal(samples[..., 0], samples[..., 1]) and np.array_equal(samples[..., 1], samples[..., 2])):
        raise MaskMismatch(
            "It is coloured and nowhere transparent. Save the mask in grey: white is repaired, black is left alone."
        )
