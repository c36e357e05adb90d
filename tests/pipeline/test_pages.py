"""Pages of a TIFF: all repaired in one file, or named where they were left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from drawing import draw
from redust.files import read_mask, read_scan
from redust.pipeline.pipeline import Pipeline

Command = Callable[..., Any]
BRIGHT = ("--detector", "bright", "--fill", "mean")


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Three pages of other sizes, depths and codings, and a reduced copy between them."""
    path = tmp_path / "in" / "pages.tif"
    path.parent.mkdir()
    with tifffile.TiffWriter(path, byteorder=">") as file:
        common: dict[str, Any] = {"metadata": None, "photometric": "rgb"}
        file.write(draw(seed=1), description="the first", resolution=(300, 300), **common)
        file.write(draw(24, 32, seed=1), subfiletype=1, description="a reduced copy", **common)
        second = draw(40, 70, dtype=np.uint16, seed=2)
        file.write(second, compression="zlib", predictor=True, description="the second", **common)
        third = draw(63, 71, channels=1, seed=3)[..., 0]
        file.write(third, photometric="minisblack", metadata=None, extratags=[(65000, 2, 0, "private", True)])
    return path


def test_every_page_is_repaired_as_it_is_alone(redust_command: Command, pages: Path, tmp_path: Path) -> None:
    ended = redust_command("restore", pages, "-o", tmp_path / "all.tif", "--page", "all", *BRIGHT)
    assert (ended.code, ended.err) == (0, "")
    for number in (1, 3, 4):
        alone = tmp_path / f"{number}.tif"
        assert redust_command("restore", pages, "-o", alone, "--page", number, *BRIGHT).code == 0
        after = read_scan(tmp_path / "all.tif", page=number - 1)
        np.testing.assert_array_equal(after.pixels, read_scan(alone, page=number - 1).pixels)
        before = read_scan(pages, page=number - 1)
        assert (after.pixels != before.pixels).any()
        assert (after.dpi, after.bits, after.exif, after.page) == (before.dpi, before.bits, before.exif, before.page)


def test_order_tags_and_reduced_copies_stay(redust_command: Command, pages: Path, tmp_path: Path) -> None:
    redust_command("restore", pages, "-o", tmp_path / "all.tif", "--page", "all", *BRIGHT)
    with tifffile.TiffFile(pages) as before, tifffile.TiffFile(tmp_path / "all.tif") as after:
        assert after.byteorder == ">"
        assert len(after.pages) == 4
        for old, new in zip(before.pages, after.pages, strict=True):
            moved = {"StripOffsets", "StripByteCounts"}
            assert {tag.name: tag.value for tag in old.tags if tag.name not in moved} == {
                tag.name: tag.value for tag in new.tags if tag.name not in moved
            }
        np.testing.assert_array_equal(before.pages[1].asarray(), after.pages[1].asarray())


def test_the_report_sums_and_has_each_page(pages: Path, tmp_path: Path, plugins: None) -> None:
    import redust

    report = redust.restore(pages, tmp_path / "all.tif", page="all", detector="bright", fill="mean")
    assert [page.page for page in report.pages] == [1, 3, 4]
    assert report.classes["dust"] == sum(page.classes["dust"] for page in report.pages) == 9
    masked = sum(round(page.coverage * page.height * page.width) for page in report.pages)
    assert report.coverage == pytest.approx(masked / (48 * 64 + 40 * 70 + 63 * 71))
    assert (report.status, report.source, report.largest_change_outside) == ("restored", str(pages), 0.0)
    assert set(report.pages[1].seconds) == {"detect", "decide", "fill"}
    assert report.model_validate_json(report.to_json()) == report


def test_pages_that_are_left_are_named(redust_command: Command, pages: Path, tmp_path: Path) -> None:
    ended = redust_command("restore", pages, "-o", tmp_path / "one.tif", *BRIGHT)
    assert "2 further pages were left as they are. Repair all with --page all." in ended.err
    ended = redust_command("detect", pages, "-o", tmp_path / "m", "--detector", "bright")
    assert "2 further pages were left as they are" in ended.err
    np.testing.assert_array_equal(read_scan(tmp_path / "one.tif", page=3).pixels, read_scan(pages, page=3).pixels)


@pytest.mark.parametrize(
    ("flag", "name", "sentence"),
    [
        ("--mask-out", "m.png", "cannot hold 3 masks. Name it .tif"),
        ("--compare", "m.png", "3 pages: maps, comparisons and layers are of one page"),
        ("--layers", "m.ora", "3 pages: maps, comparisons and layers are of one page"),
    ],
)
def test_what_is_of_one_page_is_refused(
    redust_command: Command, pages: Path, tmp_path: Path, flag: str, name: str, sentence: str
) -> None:
    flags = ("--page", "all", flag, tmp_path / name, *BRIGHT)
    ended = redust_command("restore", pages, "-o", tmp_path / "all.tif", *flags)
    assert ended.code == 4
    assert sentence in ended.err
    assert not (tmp_path / "all.tif").exists()
    assert redust_command("restore", pages, "-o", tmp_path / "all.png", "--page", "all", *BRIGHT).code == 4


def test_each_page_has_its_mask(redust_command: Command, pages: Path, tmp_path: Path) -> None:
    masks, flags = tmp_path / "masks.tif", ("--page", "all", "--mask-out", tmp_path / "masks.tif", *BRIGHT)
    assert redust_command("restore", pages, "-o", tmp_path / "all.tif", *flags).code == 0
    for index, number in enumerate((1, 3, 4)):
        alone = tmp_path / f"{number}.png"
        redust_command("restore", pages, "-o", tmp_path / "x.tif", "--page", number, "--mask-out", alone, "--overwrite",
                       *BRIGHT)  # fmt: skip
        mask = read_mask(alone, read_scan(pages, page=number - 1).shape)
        np.testing.assert_array_equal(read_mask(masks, mask.shape, index=index), mask)
    assert redust_command("restore", tmp_path / "in", "-o", tmp_path / "twice", "--mask", masks, "--page", "all",
                          "--fill", "mean").code == 0  # fmt: skip
    assert (tmp_path / "twice/pages.tif").read_bytes() == (tmp_path / "all.tif").read_bytes()


def test_detect_writes_and_restore_takes_masks_of_all_pages_in_folders(
    redust_command: Command, pages: Path, tmp_path: Path
) -> None:
    all_pages = ("--page", "all")
    folder, direct, masks = pages.parent, tmp_path / "direct", tmp_path / "m"
    assert redust_command("restore", folder, "-o", direct, "--mask-out", tmp_path / "w", *all_pages, *BRIGHT).code == 0
    assert redust_command("detect", folder, "-o", masks, *all_pages, "--detector", "bright").code == 0
    assert (masks / "pages.tif").read_bytes() == (tmp_path / "w/pages.tif").read_bytes()
    redust_command("restore", folder, "-o", tmp_path / "two", "--mask", masks, *all_pages, "--fill", "mean")
    assert (tmp_path / "two/pages.tif").read_bytes() == (direct / "pages.tif").read_bytes()
    with tifffile.TiffWriter(tmp_path / "short.tif") as file:
        for height, width in ((48, 64), (40, 70)):
            file.write(np.zeros((height, width), np.uint8), metadata=None)
    ended = redust_command("restore", pages, "-o", tmp_path / "s.tif", "--mask", tmp_path / "short.tif", *all_pages)
    assert (ended.code, "has 2 pages, the scan more" in ended.err) == (3, True)


def test_a_file_of_one_page_takes_all_as_any(redust_command: Command, scan_file: Any, tmp_path: Path) -> None:
    for name in ("a.tif", "b.png"):
        flags = ("--page", "all", "--mask-out", tmp_path / f"{name}.mask.png", *BRIGHT)
        assert redust_command("restore", scan_file(name), "-o", tmp_path / f"o.{name}", *flags).code == 0
    ended = redust_command("restore", scan_file("c.tif"), "-o", tmp_path / "o.tif", "--page", "none")
    assert (ended.code, "counted from 1, or all" in ended.err) == (2, True)


def test_one_page_that_changes_too_much_leaves_the_file(redust_command: Command, pages: Path, tmp_path: Path) -> None:
    flags = ("--page", "all", "--max-change", 0.01, "--mask-out", tmp_path / "masks.tif", *BRIGHT)
    assert redust_command("restore", pages, "-o", tmp_path / "all.tif", *flags).code == 8
    assert not (tmp_path / "all.tif").exists()
    with tifffile.TiffFile(tmp_path / "masks.tif") as masks:  # to look at
        assert len(masks.pages) == 3


def test_there_is_never_more_than_one_page_in_memory(
    pages: Path, tmp_path: Path, plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import weakref

    from redust.core.settings import RestoreSettings

    alive: list[weakref.ref[Any]] = []
    read = Pipeline.read

    def watched(self: Pipeline, *arguments: Any) -> Any:
        assert not any(reference() is not None for reference in alive)
        scan = read(self, *arguments)
        alive.append(weakref.ref(scan.pixels))
        return scan

    monkeypatch.setattr(Pipeline, "read", watched)
    settings = RestoreSettings(page="all", detector="bright", fill="mean")
    Pipeline(settings).restore(pages, tmp_path / "all.tif")
    assert len(alive) == 4  # the first is read twice


def test_the_source_type_is_marked_on_each_page_that_was_repaired(
    redust_command: Command, pages: Path, tmp_path: Path
) -> None:
    flags = ("--page", "all", "--mark-source-type", *BRIGHT)
    assert redust_command("restore", pages, "-o", tmp_path / "all.tif", *flags).code == 0
    for number in (1, 3, 4):
        after = read_scan(tmp_path / "all.tif", page=number - 1)
        repaired = (after.pixels != read_scan(pages, page=number - 1).pixels).any()
        assert (after.xmp is not None and b"digitalsourcetype" in after.xmp) == repaired
    assert read_scan(pages).xmp is None
