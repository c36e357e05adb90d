"""EXIF blocks: small TIFF trees without a picture.

Every format but TIFF keeps EXIF as one block, which is carried byte for byte. In a TIFF the same tags are
the page's own; :func:`block_of` gathers them into a block, so that other formats can hold them, and
:func:`descriptive` goes the other way.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace

import numpy as np

from redust.core.errors import ScanError
from redust.core.scan import Scan
from redust.files.tiff_tree import (
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    SIZES,
    Ifd,
    Order,
    Tag,
    TiffTree,
    read_tree,
    write_tree,
)

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT = 274, 282, 283, 296
_OWN_FIELDS = {ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT}
#: Tags that say how pixels lie in the file, and blocks that have fields of their own in a scan.
_STRUCTURE = frozenset(
    code
    for first, last in [
        (254, 266),
        (273, 273),
        (277, 280),
        (284, 284),
        (288, 293),
        (297, 297),
        (317, 317),
        (320, 325),
        (330, 330),
        (332, 347),
        (512, 532),
        (700, 700),
        (32995, 32998),
        (33723, 33723),
        (34377, 34377),
        (34675, 34675),
        (37724, 37724),
    ]
    for code in range(first, last + 1)
)
_INCH_PER_UNIT = {2: 1.0, 3: 2.54}


def descriptive(ifd: Ifd) -> Ifd:
    """What a directory says about the picture rather than about how its pixels are stored."""
    bare = ifd.without(_STRUCTURE)
    kept = {code: child for code, child in bare.children.items() if code in (EXIF_IFD, GPS_IFD, INTEROP_IFD)}
    return Ifd(bare.tags, kept)


def block_of(tree: TiffTree, ifd: Ifd) -> bytes | None:
    """The EXIF block of a TIFF page.

    Returns
    -------
    block : bytes or None
        None if the page says nothing beyond what has a field of its own (resolution, orientation).
    """
    told = descriptive(ifd)
    if not told.children and not set(told.tags) - _OWN_FIELDS:
        return None
    return packed(TiffTree(tree.order, False, (told,)))


def packed(tree: TiffTree, source: bytes = b"") -> bytes:
    """Write a tree as a block; thumbnails are copied out of `source`, the block it was read from."""
    block = io.BytesIO()
    write_tree(block, replace(tree, big=False, pages=tuple(map(_narrow, tree.pages))), io.BytesIO(source), {})
    return block.getvalue()


def tree_of(block: bytes | None) -> TiffTree | None:
    """The tree in a block, None if there is no block or it is damaged."""
    try:
        return read_tree(io.BytesIO(block)) if block else None
    except (ScanError, struct.error):
        return None


def orientation_of(tree: TiffTree, ifd: Ifd) -> int:
    """The orientation tag, 1..8; 1 where it is absent or absurd."""
    value = tree.number(ifd, ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def dpi_of(tree: TiffTree, ifd: Ifd) -> tuple[float, float] | None:
    """Resolution (horizontal, vertical) in dots per inch, None if it is absent or has no unit."""
    factor = _INCH_PER_UNIT.get(tree.number(ifd, UNIT, 2))
    across, down = tree.ratio(ifd, X_RESOLUTION), tree.ratio(ifd, Y_RESOLUTION)
    if factor is None or across is None or down is None:
        return None
    return across * factor, down * factor


def facts_of(block: bytes | None) -> tuple[int, tuple[float, float] | None]:
    """Orientation and resolution told by a block."""
    tree = tree_of(block)
    return (orientation_of(tree, tree.pages[0]), dpi_of(tree, tree.pages[0])) if tree else (1, None)


def set_dpi(tree: TiffTree, ifd: Ifd, tags: MutableMapping[int, Tag], dpi: tuple[float, float] | None) -> None:
    """Make `tags`, which began as those of `ifd`, say this resolution; what agrees already is not touched."""
    if dpi_of(tree, ifd) == dpi:
        return
    for code in (X_RESOLUTION, Y_RESOLUTION, UNIT):
        tags.pop(code, None)
    if dpi is not None:
        tags[X_RESOLUTION], tags[Y_RESOLUTION] = tree.rational(dpi[0]), tree.rational(dpi[1])
        tags[UNIT] = tree.short(2)


def set_orientation(tree: TiffTree, ifd: Ifd, tags: MutableMapping[int, Tag], orientation: int) -> None:
    """Make `tags`, which began as those of `ifd`, say this orientation."""
    if orientation_of(tree, ifd) != orientation:
        tags[ORIENTATION] = tree.short(orientation)


def block_for(scan: Scan, *, with_dpi: bool = False) -> bytes | None:
    """The block to write into a format that is not TIFF.

    Parameters
    ----------
    with_dpi
        Whether the block must also tell the resolution, in a format that has no other place for it.

    Returns
    -------
    block : bytes or None
        The scan's own block, untouched, if it agrees with the scan's orientation (and resolution).
    """
    tree = tree_of(scan.exif)
    if tree is None:
        if scan.exif is not None:
            return scan.exif
        tree = TiffTree("<", False, (Ifd({}),))
    first = tree.pages[0]
    tags = dict(first.tags)
    set_orientation(tree, first, tags, scan.orientation)
    if with_dpi:
        set_dpi(tree, first, tags, scan.dpi)
    if tags == first.tags:
        return scan.exif
    return packed(replace(tree, pages=(replace(first, tags=tags), *tree.pages[1:])), scan.exif or b"")


def reordered(tree: TiffTree, order: Order) -> TiffTree:
    """The same tree in the other byte order."""
    if tree.order == order:
        return tree
    return replace(tree, order=order, pages=tuple(map(_swapped, tree.pages)))


def _swapped(ifd: Ifd) -> Ifd:
    tags = {code: replace(tag, data=_swap(tag)) for code, tag in ifd.tags.items()}
    return replace(ifd, tags=tags, children=_each(ifd, _swapped))


def _swap(tag: Tag) -> bytes:
    unit = 4 if tag.type in (5, 10) else SIZES[tag.type]
    return np.frombuffer(tag.data, f"V{unit}").view(f"u{unit}").byteswap().tobytes() if unit > 1 else tag.data


def _narrow(ifd: Ifd) -> Ifd:
    """A BigTIFF's 64-bit values have no place in a block: those tags stay behind."""
    tags = {code: tag for code, tag in ifd.tags.items() if tag.type not in (16, 17, 18)}
    return replace(ifd, tags=tags, children=_each(ifd, _narrow))


def _each(ifd: Ifd, change: Callable[[Ifd], Ifd]) -> Mapping[int, tuple[Ifd, ...]]:
    return {code: tuple(change(child) for child in children) for code, children in ifd.children.items()}
