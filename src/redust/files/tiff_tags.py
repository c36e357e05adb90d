"""The tags of a TIFF page that say what a scan says, and how its pixels are stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.metadata import name_aspect
from redust.files.tiff_infrared import find_infrared_ifd, is_part_of_picture
from redust.files.tiff_layout import EXTRAS, PREDICTED, RGB, Layout, extra_kinds
from redust.files.tiff_tree import Ifd, Tag, TiffTree, byte_tag

ICC, XMP, IPTC, PHOTOSHOP = 34675, 700, 33723, 34377


def bytes_of(ifd: Ifd, code: int) -> bytes | None:
    """The bytes of a tag, None if it is absent or empty."""
    tag = ifd.tags.get(code)
    return (tag.data or None) if tag is not None else None


def read_iptc(ifd: Ifd) -> bytes | None:
    return bytes_of(ifd, IPTC) or photoshop.iptc_of(bytes_of(ifd, PHOTOSHOP))


def _has_second_iptc(ifd: Ifd) -> bool:
    """Whether Photoshop's resources hold another IPTC block than the page itself."""
    return photoshop.iptc_of(bytes_of(ifd, PHOTOSHOP)) not in (None, bytes_of(ifd, IPTC))


def list_further_pages(tree: TiffTree, page: int) -> tuple[int, ...]:
    """The other pages but reduced copies, which hold nothing of their own, and the page's infrared plane."""
    return tuple(
        number
        for number, ifd in enumerate(tree.pages)
        if number != page and not tree.number(ifd, 254, 0) & 1 and not is_part_of_picture(tree, page, number)
    )


def list_unportable(tree: TiffTree, page: int, layout: Layout) -> tuple[str, ...]:
    """What no other format holds. Reduced copies of the picture do not count."""
    pages = list_further_pages(tree, page)
    below = [ifd for ifd in tree.pages[page].children.get(330, ()) if not tree.number(ifd, 254, 0) & 1]
    names = []
    if pages:
        names.append(f"{len(pages)} further page{'s' * (len(pages) > 1)}")
    plane = find_infrared_ifd(tree, page)
    if plane is not None and plane.child is None:
        names.append(f"infrared ({plane.source})")
    if below:
        names.append(f"{len(below)} sub-image{'s' * (len(below) > 1)}")
    if 37724 in tree.pages[page].tags:
        names.append("Photoshop's document data")
    if layout.premultiplied:
        names.append("an alpha channel that colours are multiplied by")
    if bytes_of(tree.pages[page], IPTC) and _has_second_iptc(tree.pages[page]):
        names.append("a second IPTC block")
    aspect = exif.aspect_of(tree, tree.pages[page])
    return (*names, *exif.list_beyond_block(tree.pages[page]), *name_aspect(*aspect))


def describe_page(tree: TiffTree, ifd: Ifd, scan: Scan, layout: Layout) -> Ifd:
    """The page's directory with everything the scan says; what already agrees stays as it is, byte for byte."""
    if exif.block_of(tree, ifd) != scan.exif and scan.format == "TIFF":
        ifd = _with_exif(tree, ifd, scan)
    tags = dict(ifd.tags)
    segments = {code: spans for code, spans in ifd.segments.items() if code not in (273, 324)}
    _set_structure(tree, tags, layout)
    _set_bytes(tags, ICC, scan.icc, 7)
    _set_bytes(tags, XMP, scan.xmp, 1)
    if scan.format != "TIFF" or scan.iptc != read_iptc(ifd):
        _set_bytes(tags, IPTC, scan.iptc, 7)
        if scan.carried.get("photoshop") is not None:
            _set_bytes(tags, PHOTOSHOP, photoshop.resources_of(scan), 7)
    exif.set_dpi(tree, ifd, tags, scan.dpi)
    exif.set_orientation(tree, ifd, tags, scan.orientation)
    return replace(ifd, tags=tags, segments=segments)


def _with_exif(tree: TiffTree, ifd: Ifd, scan: Scan) -> Ifd:
    """Take the EXIF of a scan whose block was changed since it was read."""
    carried = exif.descriptive(ifd)
    bare = ifd.without([*carried.tags, *carried.children])
    block = exif.tree_of(scan.exif)
    if block is None:
        return bare
    new = exif.descriptive(exif.reorder_bytes(block, tree.order).pages[0])
    return replace(
        bare,
        tags={**bare.tags, **new.tags},
        children={**bare.children, **new.children},
        pointer_types={**bare.pointer_types, **new.pointer_types},
        duplicates=(*bare.duplicates, *new.duplicates),
    )


def _set_structure(tree: TiffTree, tags: dict[int, Tag], layout: Layout) -> None:
    """Make the tags say how the pixels are stored; what says so already stays as it is."""
    values_of: dict[int, tuple[int, ...]] = {
        256: (layout.width,),
        257: (layout.height,),
        258: (layout.stored_bits,) * layout.samples,
        259: (layout.compression,),
        262: (layout.photometric,),
        284: (2 if layout.planar else 1,),
        339: (3 if layout.dtype == np.float32 else 1,) * layout.samples,
    }
    if layout.compression in PREDICTED:  # elsewhere readers ignore it
        values_of[317] = (layout.predictor,)
    if layout.tile is None:
        values_of[278] = (layout.rows,)
    if not layout.extras:
        tags.pop(338, None)
    elif not _declares_extras(tree, tags, layout):
        values_of[338] = tuple(2 if name == "alpha" else 0 for name in layout.extras)
    values_of[277] = (layout.samples,)
    defaults = {259: (1,), 262: (), 277: (1,), 284: (1,), 317: (1,), 339: (1,) * layout.samples}
    for code, values in values_of.items():
        if not _says(tree, tags, code, values, defaults.get(code)):
            tags[code] = tree.long(*values) if max(values) > 65535 else tree.short(*values)
    if layout.photometric == RGB:
        for code in (347, 529, 530, 531, 532):  # JPEG tables and YCbCr: they say nothing about RGB
            tags.pop(code, None)


def _declares_extras(tree: TiffTree, tags: dict[int, Tag], layout: Layout) -> bool:
    """Whether the tags of a page that was read say, if only by their silence, what its extra samples are."""
    if tree.number(Ifd(tags), 277, 0) != layout.samples:
        return False
    kinds = extra_kinds(tree, Ifd(tags), len(layout.extras))
    return tuple(EXTRAS.get(kind, "") for kind in kinds) == layout.extras


def _says(
    tree: TiffTree, tags: dict[int, Tag], code: int, values: tuple[int, ...], default: tuple[int, ...] | None
) -> bool:
    """Whether the directory says so already, if only by default."""
    current = tree.ints(Ifd(tags), code)
    if current is None:
        return values == default
    if code == 278:
        return min(current[0], values[0]) == values[0] and current[0] >= values[0]
    return current == values or (len(current) == 1 and set(values) == set(current))


def _set_bytes(tags: dict[int, Tag], code: int, data: bytes | None, kind: int) -> None:
    if data is None:
        tags.pop(code, None)
    elif code not in tags or tags[code].data != data:
        tags[code] = byte_tag(data, kind)
