"""Trees of tags: values in either byte order, rationals, what cannot be told, trees as blocks."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.errors import ScanError
from redust.core.scan import Scan
from redust.files import exif, photoshop
from redust.files.metadata import list_repeated, name_aspect, round_dpi
from redust.files.tiff_reader import read_tree
from redust.files.tiff_tree import Ifd, Order, Tag, TiffTree, byte_tag

orders = st.sampled_from(["<", ">"])


def tree_with(order: Order, **tags: Tag) -> tuple[TiffTree, Ifd]:
    """A tree of one directory: ``tree_with("<", t256=tag)``."""
    ifd = Ifd({int(name[1:]): tag for name, tag in tags.items()})
    return TiffTree(order, False, (ifd,)), ifd


@given(order=orders, values=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=9))
def test_integers_return_from_their_tag_in_either_byte_order(order: Order, values: list[int]) -> None:
    tree = TiffTree(order, False, ())
    for tag in (tree.short(*values), tree.long(*values)):
        ifd = Ifd({1: tag})
        assert tree.ints(ifd, 1) == tuple(values)
        assert tree.number(ifd, 1, -1) == values[0]


@given(order=orders, value=st.floats(1 / (2**32 - 1), 2**32 - 1))
def test_rationals_are_near_and_never_absurd(order: Order, value: float) -> None:
    tree = TiffTree(order, False, ())
    ratio = tree.ratio(Ifd({1: tree.rational(value)}), 1)
    assert ratio is not None
    assert ratio == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("dpi", [72.0, 300.0, 4000.0, 118.11, 0.5])
def test_usual_resolutions_are_exact_or_near(dpi: float) -> None:
    tree = TiffTree("<", False, ())
    assert tree.ratio(Ifd({1: tree.rational(dpi)}), 1) == pytest.approx(dpi, rel=1e-9)


def test_large_offsets_need_a_bigtiff() -> None:
    big = TiffTree("<", True, ())
    assert (big.long(2**32).type, big.long(2**32 - 1).type, big.long(1, 2**40).type) == (16, 4, 16)
    assert big.ints(Ifd({1: big.long(2**40)}), 1) == (2**40,)
    with pytest.raises(struct.error):
        TiffTree("<", False, ()).long(2**32)


def test_what_a_tag_does_not_say_has_a_default() -> None:
    tree, ifd = tree_with(
        "<", t1=byte_tag(b"abc\0"), t2=Tag(5, 1, b"\0" * 8), t3=Tag(3, 0, b""), t4=Tag(99, 1, b"xxxx")
    )
    assert (tree.ints(ifd, 9), tree.number(ifd, 9, 7), tree.ratio(ifd, 9), tree.text(ifd, 9)) == (None, 7, None, "")
    assert tree.ints(ifd, 2) is None
    assert tree.ratio(ifd, 2) is None  # nothing divided by nothing
    assert tree.number(ifd, 3, 7) == 7
    assert tree.number(ifd, 4, 7) == 7
    assert tree.text(ifd, 1) == "abc"
    absurd = Ifd({1: Tag(1, 1 << 21, bytes(1 << 21))})
    assert tree.ints(absurd, 1) is None


def test_a_directory_without_some_tags_keeps_its_others_and_stays_itself() -> None:
    child = Ifd({5: byte_tag(b"x")})
    ifd = Ifd({1: byte_tag(b"a"), 2: byte_tag(b"b")}, {3: (child,)}, duplicates=((2, byte_tag(b"c")),))
    bare = ifd.without([2, 3])
    assert (set(bare.tags), bare.children, bare.duplicates) == ({1}, {}, ())
    assert set(ifd.tags) == {1, 2}
    assert list(ifd.walk()) == [ifd, child]


@given(order=orders, data=st.binary(max_size=40), orientation=st.integers(1, 8))
def test_a_block_reads_back_as_it_was_packed(order: Order, data: bytes, orientation: int) -> None:
    tree = TiffTree(order, False, ())
    ifd = Ifd(
        {274: tree.short(orientation), 315: byte_tag(data + b"\0", 2)}, {34665: (Ifd({36864: byte_tag(b"0232")}),)}
    )
    block = exif.pack_block(replace(tree, pages=(ifd,)))
    read = exif.tree_of(block)
    assert read is not None
    assert read.order == order
    assert exif.orientation_of(read, read.pages[0]) == orientation
    assert read.pages[0].tags[315].data == data + b"\0"
    assert read.pages[0].children[34665][0].tags[36864].data == b"0232"
    swapped = exif.reorder_bytes(read, "<" if order == ">" else ">")
    assert exif.reorder_bytes(swapped, order).pages == read.pages
    assert swapped.ints(swapped.pages[0], 274) == (orientation,)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_tree_are_refused_and_break_nothing(data: bytes) -> None:
    assert exif.tree_of(b"XX" + data) is None
    assert exif.facts_of(b"XX" + data) == (1, None)
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        try:
            read_tree(io.BytesIO(head + data))
        except (ScanError, struct.error):
            continue


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_absurd_orientation_is_upright(value: int) -> None:
    tree, ifd = tree_with("<", t274=TiffTree("<", False, ()).short(value))
    assert exif.orientation_of(tree, ifd) == 1


@given(order=orders, across=st.integers(1, 9600), down=st.integers(1, 9600))
def test_a_resolution_that_is_set_is_the_one_that_is_told(order: Order, across: int, down: int) -> None:
    tree = TiffTree(order, False, ())
    tags: dict[int, Tag] = {}
    exif.set_dpi(tree, Ifd({}), tags, (across, down))
    assert exif.dpi_of(tree, Ifd(tags)) == (across, down)
    assert exif.aspect_of(tree, Ifd(tags)) == (0.0, 0.0)
    unitless = {**tags, 296: tree.short(1)}
    assert exif.dpi_of(tree, Ifd(unitless)) is None
    assert exif.aspect_of(tree, Ifd(unitless)) == (across, down)
    exif.set_dpi(tree, Ifd(tags), tags, None)
    assert tags == {}


@given(iptc=st.one_of(st.none(), st.binary(max_size=30)), other=st.binary(max_size=30))
def test_iptc_is_put_into_photoshops_resources_beside_what_they_hold(iptc: bytes | None, other: bytes) -> None:
    resource = b"8BIM" + struct.pack(">HHI", 0x03ED, 0, len(other)) + other + b"\0" * (len(other) % 2)
    filled = photoshop.with_iptc(resource, iptc)
    assert filled is not None
    assert filled.startswith(resource)
    assert photoshop.iptc_of(filled) == iptc
    assert photoshop.with_iptc(filled, None) == resource
    alone = photoshop.with_iptc(None, iptc)
    assert photoshop.iptc_of(alone) == iptc
    assert photoshop.with_iptc(alone, None) is None


@given(st.binary(max_size=80))
def test_damaged_resources_say_nothing_and_end(data: bytes) -> None:
    iptc = photoshop.iptc_of(b"8BIM" + data)
    assert iptc is None or iptc in data


def test_only_resources_beside_iptc_are_a_loss(simple_scan: Scan) -> None:
    iptc_alone = replace(simple_scan, carried={"photoshop": photoshop.with_iptc(None, b"caption")})
    assert not photoshop.beyond_iptc(iptc_alone)
    assert not photoshop.beyond_iptc(simple_scan)
    guides = b"8BIM" + struct.pack(">HHI", 0x0408, 0, 2) + b"ab"
    assert photoshop.beyond_iptc(replace(simple_scan, carried={"photoshop": guides}))
    assert photoshop.resources_of(replace(simple_scan, iptc=b"new", carried={"photoshop": guides})) == (
        photoshop.with_iptc(guides, b"new")
    )


@given(dpi=st.integers(1, 20_000))
def test_whole_dots_per_inch_survive_the_metre(dpi: int) -> None:
    assert round_dpi(round(dpi / 0.0254)) == dpi


@pytest.mark.parametrize(("across", "down", "named"), [(1, 1, 0), (0, 5, 0), (2, 1, 1), (1, 2, 1)])
def test_only_pixels_that_are_not_square_have_a_shape_to_lose(across: float, down: float, named: int) -> None:
    assert len(name_aspect(across, down)) == named
    assert name_aspect(across, down, known=True) == []


def test_each_repeated_block_is_named_once() -> None:
    assert list_repeated(["icc", "icc", "icc", "xmp", "iptc", "iptc"]) == [
        "a second ICC profile",
        "a second IPTC block",
    ]
    assert list_repeated([]) == []
