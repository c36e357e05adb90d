"""The IPTC digital source type is added to XMP, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from drawing import draw
from redust.core.errors import LossyTarget
from redust.core.scan import Scan
from redust.files import read_scan, write_scan
from redust.files.source_type import ALTERED, COMPOSITE, mark_source_type

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/tiff"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("xmp", [None, XMP])
def test_the_packet_is_whole_and_says_so(xmp: bytes | None) -> None:
    marked = mark_source_type(Scan(draw(), xmp=xmp), trained=False)
    assert marked.xmp is not None
    assert ALTERED.encode() in marked.xmp
    ElementTree.fromstring(marked.xmp.partition(b"?>")[2].strip() if xmp is None else marked.xmp)
    again = mark_source_type(marked, trained=True)
    assert again.xmp == marked.xmp.replace(ALTERED.encode(), COMPOSITE.encode())
    if xmp is not None:
        assert b'dc:format="image/tiff"' in marked.xmp
        assert marked.xmp.count(b'rdf:about="uuid:1"') == 2


def test_an_element_is_replaced_too() -> None:
    xmp = XMP.replace(b"</rdf:RDF>", b"<e:DigitalSourceType>http://x/negativeFilm</e:DigitalSourceType></rdf:RDF>")
    marked = mark_source_type(Scan(draw(), xmp=xmp), trained=False)
    assert marked.xmp == xmp.replace(b"http://x/negativeFilm", ALTERED.encode())


def test_xmp_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(LossyTarget, match="--mark-source-type"):
        mark_source_type(Scan(draw(), xmp="no rdf".encode("utf-16")), trained=False)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp"])
def test_results_say_it_where_the_format_holds_xmp(
    redust_command: Callable[..., Any], tmp_path: Path, suffix: str
) -> None:
    write_scan(Scan(draw()), tmp_path / f"a{suffix}")
    command = ("restore", tmp_path / f"a{suffix}", "--detector", "bright", "--fill", "mean")
    assert redust_command(*command, "-o", tmp_path / f"plain{suffix}").code == 0
    assert read_scan(tmp_path / f"plain{suffix}").xmp is None
    ended = redust_command(*command, "-o", tmp_path / f"marked{suffix}", "--mark-source-type")
    assert ended.code == 0, ended.err
    assert ALTERED.encode() in (read_scan(tmp_path / f"marked{suffix}").xmp or b"")
