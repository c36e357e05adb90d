"""EXIF blocks: small TIFF trees without a picture.

Every format but TIFF keeps EXIF as one block, which is carried byte for byte. In a TIFF the same tags are
the page's own; :func:`block_of` gathers them into a block, so that other formats can hold them, and
:func:`descriptive` goes the other way.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, MutableMapping
from dataclasses import replace

import numpy as np

from redust.core.errors import ScanError
from redust.core.scan import Scan
from redust.files.tiff_reader import read_tree
from redust.files.tiff_tree import (
    SIZES,
    Ifd,
    Order,
    Tag,
    TiffTree,
)
from redust.files.tiff_writer import write_tree

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT = 274, 282, 283, 296
_OWN_FIELDS = {ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT}
#: Tags that say how pixels lie in the file, and blocks that have fields of their own in a scan.
_STRUCTURE = frozenset(
    code
    for first, last in [
        (254, 259),
        (262, 262),
        (266, 266),
        (273, 273),
        (277, 281),
        (284, 284),
        (288, 289),
        (292, 293),
        (317, 317),
        (320, 320),
        (322, 325),
        (330, 330),
        (338, 341),
        (347, 347),
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
_MAKER_NOTES = 37500
_FARTHEST_NOTES = 32_000  # a JPEG's block ends at 65,535 bytes
#: Maker notes whose offsets count from their own start.
_RELATIVE_NOTES = (b"Nikon\0\2", b"OLYMPUS\0", b"OM SYSTEM", b"FUJIFILM", b"Apple iOS", b"PENTAX \0")
_WIDE_TYPES = {16, 17, 18}
_INCH_PER_UNIT = {2: 1.0, 3: 2.54}


def descriptive(ifd: Ifd) -> Ifd:
    """What a directory says about the picture rather than about how its pixels are stored."""
    bare = ifd.without(_STRUCTURE)
    children = {code: below for code, below in bare.children.items() if not _has_pixels(below)}
    return replace(bare, children=children, segments={})


def list_beyond_block(ifd: Ifd) -> list[str]:
    """Name what a TIFF page says and an EXIF block has no place for."""
    directories = descriptive(ifd)
    tags = [(code, tag) for below in directories.walk() for code, tag in _all_tags(below)]
    names = [f"the 64-bit tag {code}" for code, tag in tags if tag.type in _WIDE_TYPES]
    dropped = set(ifd.without(_STRUCTURE).children) - set(directories.children)
    names += [f"the directory of tag {code}" for code in sorted(dropped)]
    notes = [tag for code, tag in tags if code == _MAKER_NOTES and not tag.data.startswith(_RELATIVE_NOTES)]
    if any(tag.offset > _FARTHEST_NOTES for tag in notes):
        names.append("the offsets inside its maker notes, which count from the start of the TIFF")
    return names


def list_unknown_tags(tree: TiffTree) -> list[str]:
    """Name the tags of unknown type: nobody can tell where their values lie."""
    tags = [(code, tag) for page in tree.pages for ifd in page.walk() for code, tag in _all_tags(ifd)]
    return [f"the value of tag {code}, whose type {tag.type} is unknown" for code, tag in tags if tag.type not in SIZES]


def block_of(tree: TiffTree, ifd: Ifd) -> bytes | None:
    """The EXIF block of a TIFF page.

    Returns
    -------
    block : bytes or None
        None if the page says nothing beyond what has a field of its own (resolution, orientation).
    """
    page = _map_tags(descriptive(ifd), _release)
    if not page.children and not page.duplicates and not set(page.tags) - _OWN_FIELDS:
        return None
    return pack_block(TiffTree(tree.order, False, (page,)))


def pack_block(tree: TiffTree, source: bytes = b"") -> bytes:
    """Write a tree as a block; thumbnails are copied out of `source`, the block it was read from."""
    block = io.BytesIO()
    pages = tuple(_map_tags(page, _narrow) for page in tree.pages)
    write_tree(block, replace(tree, big=False, pages=pages), io.BytesIO(source), ((page, None) for page in pages))
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


def aspect_of(tree: TiffTree, ifd: Ifd) -> tuple[float, float]:
    """Resolution (horizontal, vertical) without a unit, which says only what shape pixels have; zeros if it has one."""
    across, down = tree.ratio(ifd, X_RESOLUTION), tree.ratio(ifd, Y_RESOLUTION)
    if tree.number(ifd, UNIT, 2) in _INCH_PER_UNIT or across is None or down is None:
        return 0.0, 0.0
    return across, down


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
    return pack_block(replace(tree, pages=(replace(first, tags=tags), *tree.pages[1:])), scan.exif or b"")


def reorder_bytes(tree: TiffTree, order: Order) -> TiffTree:
    """The same tree in the other byte order."""
    if tree.order == order:
        return tree
    return replace(tree, order=order, pages=tuple(_map_tags(page, _swap_bytes) for page in tree.pages))


def _map_tags(ifd: Ifd, change: Callable[[Tag], Tag | None]) -> Ifd:
    """The directory and all below it with every tag changed, or dropped where `change` returns None."""
    changed = [(code, change(tag)) for code, tag in ifd.tags.items()]
    doubled = [(code, change(tag)) for code, tag in ifd.duplicates]
    return replace(
        ifd,
        tags={code: tag for code, tag in changed if tag is not None},
        children={code: tuple(_map_tags(child, change) for child in below) for code, below in ifd.children.items()},
        duplicates=tuple((code, tag) for code, tag in doubled if tag is not None),
    )


def _swap_bytes(tag: Tag) -> Tag:
    unit = 4 if tag.type in (5, 10) else SIZES.get(tag.type, 1)
    if unit == 1:
        return tag
    return replace(tag, data=np.frombuffer(tag.data, f"V{unit}").view(f"u{unit}").byteswap().tobytes())


def _narrow(tag: Tag) -> Tag | None:
    """A BigTIFF's 64-bit values, and values of unknown type, have no place in a block: those tags stay behind."""
    return None if tag.type in _WIDE_TYPES or tag.type not in SIZES else tag


def _release(tag: Tag) -> Tag:
    """A tag that may lie anywhere, if it must not lie where a block can reach."""
    return replace(tag, offset=0) if tag.offset > _FARTHEST_NOTES else tag


def _all_tags(ifd: Ifd) -> list[tuple[int, Tag]]:
    return [*ifd.tags.items(), *ifd.duplicates]


def _has_pixels(directories: tuple[Ifd, ...]) -> bool:
    return any(ifd.segments for directory in directories for ifd in directory.walk())
