"""Scans with infrared as scanner programs lay them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.synthesis.infrared_film import InfraredFrame

_PLAIN: dict[str, Any] = {"metadata": None}
_GREY: dict[str, Any] = {**_PLAIN, "photometric": "minisblack"}
_RGB: dict[str, Any] = {**_PLAIN, "photometric": "rgb"}
_MASK_TYPE = 4


def write_rgbi(path: Path, frame: InfraredFrame, extrasample: str = "unspecified") -> None:
    """VueScan: a fourth sample."""
    samples = np.dstack([frame.pixels, frame.infrared])
    tifffile.imwrite(path, samples, extrasamples=[extrasample], **_RGB)


def write_rgbi_tagged_as_alpha(path: Path, frame: InfraredFrame) -> None:
    """The same saved by an editor."""
    write_rgbi(path, frame, "unassalpha")


def write_undeclared(path: Path, frame: InfraredFrame) -> None:
    """A fourth sample of which nothing is said: the tag is renamed to one that nobody knows."""
    write_rgbi(path, frame)
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags[338]  # type: ignore[union-attr]
        offset, order = tag.offset, tiff.byteorder
    data = bytearray(path.read_bytes())
    data[offset : offset + 2] = (339).to_bytes(2, "little" if order == "<" else "big")
    data[offset + 8 : offset + 10] = (1).to_bytes(2, "little" if order == "<" else "big")
    path.write_bytes(data)


def write_grey_page(path: Path, frame: InfraredFrame) -> None:
    """A second page, grey and of the same size."""
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(frame.pixels, **_RGB)
        tiff.write(frame.infrared, **_GREY)


def write_typed_page(path: Path, frame: InfraredFrame) -> None:
    """SilverFast HDRi: a grey page of NewSubfileType 4."""
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(frame.pixels, **_RGB)
        tiff.write(frame.infrared, subfiletype=2, **_GREY)
    with tifffile.TiffFile(path, mode="r+") as tiff_file:
        tiff_file.pages[1].tags[254].overwrite(_MASK_TYPE)


def write_sub_image(path: Path, frame: InfraredFrame) -> None:
    """A SubIFD of NewSubfileType 4."""
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(frame.pixels, subifds=1, **_RGB)
        tiff.write(frame.infrared, subfiletype=2, compression="zlib", **_GREY)
    with tifffile.TiffFile(path, mode="r+") as tiff_file:
        tiff_file.pages[0].pages[0].tags[254].overwrite(_MASK_TYPE)


def write_three_pages(path: Path, frame: InfraredFrame) -> None:
    """SilverFast 9: the picture, a small copy, infrared."""
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(frame.pixels, **_RGB)
        tiff.write(frame.pixels[::4, ::4], **_RGB)
        tiff.write(frame.infrared, **_GREY)


def write_sibling(path: Path, frame: InfraredFrame, ending: str = "_IR.tif") -> None:
    """A file beside the scan."""
    tifffile.imwrite(path, frame.pixels, **_RGB)
    tifffile.imwrite(path.with_name(path.stem + ending), frame.infrared, **_GREY)


#: What `--infrared` must say for each layout, and how it is written.
LAYOUTS: dict[str, tuple[str, Callable[[Path, InfraredFrame], None]]] = {
    "fourth-sample": ("auto", write_rgbi),
    "undeclared-sample": ("auto", write_undeclared),
    "tagged-as-alpha": ("channel", write_rgbi_tagged_as_alpha),
    "grey-page": ("auto", write_grey_page),
    "typed-page": ("auto", write_typed_page),
    "sub-image": ("auto", write_sub_image),
    "three-pages": ("auto", write_three_pages),
    "sibling": ("auto", write_sibling),
}


def score_mask(mask: Mask, truth: Mask) -> tuple[float, float]:
    """Recall and precision of a mask, with a tolerance of 2 pixels."""
    return _share_near(truth, mask), _share_near(mask, truth)


def _share_near(marked: Mask, reference: Mask) -> float:
    """Share of the marked pixels within 2 pixels of the reference; 1 if none is marked."""
    offsets = np.arange(-2, 3) ** 2
    disc: NDArray[np.uint8] = (np.add.outer(offsets, offsets) <= 4).astype(np.uint8)
    near = cv2.dilate(reference.astype(np.uint8), disc).astype(np.bool_)
    return float(near[marked].mean()) if marked.any() else 1.0
