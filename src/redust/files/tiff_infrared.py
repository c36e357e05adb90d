"""Where a TIFF keeps the infrared plane of a page: a page or a sub-image of its own.

SilverFast HDRi writes it as a grey page or SubIFD of NewSubfileType 4, SilverFast 9 as the third page behind a smaller
copy of the picture, and without a type. (https://github.com/marcinz606/NegPy/pull/681 and
https://github.com/Signynt/signynts-darkroom-script/issues/7.) A fourth sample, as VueScan writes it, is a matter of the
page's layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import tifffile

from redust.core.arrays import Plane
from redust.core.errors import UnreadableScan
from redust.files.tiff_layout import BLACK_IS_ZERO, DTYPES, WHITE_IS_ZERO
from redust.files.tiff_tree import SUB_IFDS, Ifd, TiffTree

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class InfraredIfd:
    """The directory of an infrared plane.

    Parameters
    ----------
    page, child
        Which page, from 0; which sub-image of it, None for the page itself.
    ifd
        The directory.
    """

    page: int
    child: int | None
    ifd: Ifd

    @property
    def source(self) -> str:
        """What messages call it."""
        return f"page {self.page + 1}" if self.child is None else f"sub-image {self.child + 1} of page {self.page + 1}"


def find_infrared_ifd(tree: TiffTree, page: int) -> InfraredIfd | None:
    """The infrared plane of a page, by its type; or by being the only further full page of a colour picture, and grey.

    Parameters
    ----------
    page
        The picture's, from 0.
    """
    picture = tree.pages[page]
    for plane in _list_planes(tree, page):
        if tree.number(plane.ifd, 254, 0) & _MASK and _same_aspect(tree, plane.ifd, picture):
            return plane
    full = [number for number in range(len(tree.pages)) if number != page and not _is_copy(tree, number, picture)]
    alone = [plane for plane in _list_planes(tree, page) if plane.child is None and plane.page in full]
    colour = tree.number(picture, 277, 1) >= 3
    if page == 0 and colour and len(full) == len(alone) == 1 and _size(tree, alone[0].ifd) == _size(tree, picture):
        return alone[0]
    return None


def is_part_of_picture(tree: TiffTree, page: int, number: int) -> bool:
    """Whether page `number` is the infrared plane of `page`, or a smaller copy of it beside such a plane."""
    plane = find_infrared_ifd(tree, page)
    if plane is None:
        return False
    return (plane.child is None and plane.page == number) or _is_copy(tree, number, tree.pages[page])


def _list_planes(tree: TiffTree, page: int) -> Iterator[InfraredIfd]:
    """Grey pages and sub-images of a depth that infrared has."""
    for number, top in enumerate(tree.pages):
        children = top.children.get(SUB_IFDS, ())
        for child, ifd in [(None, top), *enumerate(children)]:
            depth = tree.number(ifd, 339, 1), tree.number(ifd, 258, 1)
            grey = tree.number(ifd, 262, BLACK_IS_ZERO) in (WHITE_IS_ZERO, BLACK_IS_ZERO)
            if (number, child) != (page, None) and grey and tree.number(ifd, 277, 1) == 1 and depth in DTYPES:
                yield InfraredIfd(number, child, ifd)


def _size(tree: TiffTree, ifd: Ifd) -> tuple[int, int]:
    return tree.number(ifd, 257, 0), tree.number(ifd, 256, 0)


def _same_aspect(tree: TiffTree, ifd: Ifd, picture: Ifd) -> bool:
    (height, width), (tall, wide) = _size(tree, ifd), _size(tree, picture)
    return min(height, width, tall, wide) > 0 and abs(height * wide / (width * tall) - 1) <= _ASPECT_TOLERANCE


def _is_copy(tree: TiffTree, number: int, picture: Ifd) -> bool:
    """Whether a page is a smaller copy of a picture, by its type or by its size and channels."""
    ifd = tree.pages[number]
    if tree.number(ifd, 254, 0) & _REDUCED:
        return True
    smaller = _size(tree, ifd) < _size(tree, picture) and _same_aspect(tree, ifd, picture)
    return smaller and tree.number(ifd, 277, 1) == tree.number(picture, 277, 1)


def read_plane(file: BinaryIO, tree: TiffTree, plane: InfraredIfd) -> Plane:
    """Decode an infrared plane, (h, w) uint8, uint16 or float32; white is large.

    Raises
    ------
    UnreadableScan
        If it cannot be decoded.
    """
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page: Any = tiff.pages[plane.page]
            light = (page if plane.child is None else page.pages[plane.child]).asarray()
    except Exception as error:
        raise UnreadableScan(
            f"Its infrared plane ({plane.source}) cannot be decoded: {error}. Use a sound copy, or --infrared off."
        ) from error
    light = np.asarray(light, light.dtype.newbyteorder("=")).reshape(_size(tree, plane.ifd))
    inverted = tree.number(plane.ifd, 262, BLACK_IS_ZERO) == WHITE_IS_ZERO and light.dtype != np.float32
    return np.asarray(np.invert(light) if inverted else light)
