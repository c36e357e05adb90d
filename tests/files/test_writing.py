"""Promise 3: results appear whole or not at all, and never over the scan."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from golden import make, picture
from redust.core.errors import LossyTarget, TargetError, TargetExists
from redust.core.scan import Scan
from redust.files import check_target, read_scan, tiff_segments, whole_file, write_mask, write_scan


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    return read_scan(make("tiff-rgb16", tmp_path))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path, scan: Scan) -> None:
    target = tmp_path / "out.tif"
    target.write_bytes(b"precious")
    for refused in (check_target, write_scan):
        with pytest.raises(TargetExists, match="--overwrite"):
            refused(scan, target)
    assert target.read_bytes() == b"precious"
    write_scan(scan, target, overwrite=True)
    assert_array_equal(read_scan(target).pixels, scan.pixels)


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard", "detour", "chain"])
def test_never_over_the_scan_itself(tmp_path: Path, scan: Scan, link: str) -> None:
    source = scan.source
    assert source is not None
    before = source.read_bytes()
    target = tmp_path / "other.tif"
    if link == "itself":
        target = source
    elif link == "symbolic":
        target.symlink_to(source)
    elif link == "hard":
        os.link(source, target)
    elif link == "detour":
        (tmp_path / "sub").mkdir()
        target = tmp_path / "sub" / ".." / source.name
    else:
        (tmp_path / "first.tif").symlink_to(source)
        target.symlink_to(tmp_path / "first.tif")
    for overwrite in (False, True):
        with pytest.raises(TargetExists, match="never written over"):
            write_scan(scan, target, overwrite=overwrite)
    assert source.read_bytes() == before


def test_a_link_to_another_file_gives_way_and_that_file_stays(tmp_path: Path, scan: Scan) -> None:
    other, target = tmp_path / "other.tif", tmp_path / "link.tif"
    other.write_bytes(b"precious")
    target.symlink_to(other)
    write_scan(scan, target, overwrite=True)
    assert other.read_bytes() == b"precious"
    assert not target.is_symlink()


def test_bad_targets(tmp_path: Path, scan: Scan) -> None:
    (tmp_path / "folder.tif").mkdir()
    for path, words in (
        (tmp_path / "none" / "out.tif", "does not exist"),
        (tmp_path / "folder.tif", "is a folder"),
        (tmp_path / "out.bmp", "no suffix ReDust can write"),
        (tmp_path / "out", "no suffix ReDust can write"),
    ):
        with pytest.raises(TargetError, match=words):
            write_scan(scan, path, overwrite=True)


def _explode(error: BaseException) -> Callable[..., Any]:
    def explode(*_: Any, **__: Any) -> Any:
        raise error

    return explode


@pytest.mark.parametrize("step", ["fsync", "link", "replace", "encode"])
@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), TargetError),
        (OSError(errno.EIO, "Input/output error"), TargetError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_a_failure_at_any_step_leaves_no_trace(
    tmp_path: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, seen: type
) -> None:
    target = tmp_path / "out.tif"
    overwrite = step == "replace"
    if overwrite:
        target.write_bytes(b"precious")
    before = names(tmp_path)
    if step == "encode":
        monkeypatch.setattr(tiff_segments, "_split_segment", _explode(error))
    else:
        monkeypatch.setattr(os, step, _explode(error))
    with pytest.raises(seen) as caught:
        write_scan(scan, target, overwrite=overwrite)
    monkeypatch.undo()
    assert names(tmp_path) == before
    assert not overwrite or target.read_bytes() == b"precious"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        assert "Free space" in str(caught.value)


def test_a_full_disk(tmp_path: Path, scan: Scan) -> None:
    """A real limit on file size, in a process of its own."""
    resource = pytest.importorskip("resource")

    program = (
        "import resource, signal, sys\n"
        "from redust.core.errors import TargetError\n"
        "from redust.files import read_scan, write_scan\n"
        "scan = read_scan(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    write_scan(scan, sys.argv[2])\n"
        "except TargetError as error:\n    sys.exit(0 if 'Free space' in str(error) else 2)\n"
        "sys.exit(3)\n"
    )
    assert resource is not None
    ended = subprocess.run([sys.executable, "-c", program, str(scan.source), str(tmp_path / "out.tif")], check=False)
    assert ended.returncode == 0
    assert names(tmp_path) == {"tiff-rgb16.tif"}


def test_a_name_taken_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.bin"

    def write_late() -> None:
        with whole_file(target) as file:
            file.write(b"late")
            target.write_bytes(b"first")

    with pytest.raises(TargetExists):
        write_late()
    assert target.read_bytes() == b"first"
    assert names(tmp_path) == {"out.bin"}


def test_what_a_killed_writer_left_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom redust.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    print(flush=True)\n    sys.stdin.read()\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in ("killed.bin", "alive.bin")
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    writers[0].kill()
    writers[0].communicate()
    (tmp_path / ".redust-0000aaaa-0123.part").write_bytes(b"of another machine, written to right now")
    (tmp_path / ".other.part").write_bytes(b"not ours")
    assert len(names(tmp_path)) == 4
    with whole_file(tmp_path / "next.bin") as file:
        file.write(b"whole")
    assert len(names(tmp_path)) == 4  # the killed one's is gone
    writers[1].communicate()
    assert names(tmp_path) == {"alive.bin", "next.bin", ".redust-0000aaaa-0123.part", ".other.part"}
    assert (tmp_path / "alive.bin").read_bytes() == b"half"


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    target, outcomes = tmp_path / "out.bin", []

    def write(number: int) -> None:
        try:
            with whole_file(target) as file:
                file.write(bytes([number]) * 1000)
            outcomes.append(number)
        except TargetExists:
            outcomes.append(-1)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number in outcomes if number >= 0]
    assert len(winners) == 1
    assert target.read_bytes() == bytes(winners) * 1000
    assert names(tmp_path) == {"out.bin"}


def test_without_hard_links_the_name_is_given_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _explode(OSError(errno.EPERM, "Operation not permitted")))
    write_mask(np.ones((3, 4), bool), tmp_path / "mask.png")
    assert names(tmp_path) == {"mask.png"}


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_mask(np.ones((3, 4), bool), tmp_path / "mask.png")
    finally:
        os.umask(before)
    assert (tmp_path / "mask.png").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "suffix", "words"),
    [
        ("tiff-rgb16", ".jpg", ["16 bit"]),
        ("tiff-alpha-infrared", ".jpg", ["16 bit", "alpha", "infrared"]),
        ("tiff-float32", ".png", ["32-bit float"]),
        ("tiff-rgb8", ".webp", ["IPTC", "Photoshop"]),
        ("tiff-pages", ".png", ["2 further pages"]),
        ("tiff-premultiplied", ".png", ["multiplied"]),
        ("jpeg-exif", ".tif", ["comment", "APP11"]),
        ("jpeg-grey", ".webp", ["grey"]),
        ("png-rgb16", ".tif", ["Author"]),
        ("png-gamma", ".tif", ["gAMA"]),
        ("jp2-rgb8", ".png", ["box xml"]),
    ],
)
def test_everything_that_would_be_lost_is_named_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, suffix: str, words: list[str]
) -> None:
    scan = read_scan(make(name, tmp_path))
    target = tmp_path / f"target{suffix}"
    with pytest.raises(LossyTarget, match="--allow-loss") as caught:
        check_target(scan, target)
    for word in words:
        assert word in str(caught.value)
    assert str(caught.value).count(";") == len(words) - 1
    write_scan(scan, target, allow_loss=True)
    assert caplog.text.count(": lost in ") == len(words)
    again = read_scan(target)
    assert again.shape == scan.shape
    assert again.icc == scan.icc


def test_the_documented_conversion_of_depth(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 60 * 50).astype(np.uint16).reshape(60, 50, 1)
    write_scan(Scan(ramp), tmp_path / "a.webp", allow_loss=True)
    assert_array_equal(read_scan(tmp_path / "a.webp").pixels[..., 1:2], np.rint(ramp / 257))
    light = np.linspace(-0.5, 1.5, 60 * 50, dtype=np.float32).reshape(60, 50, 1)
    write_scan(Scan(light), tmp_path / "b.png", allow_loss=True)
    expected = np.rint(light.clip(0, 1).astype(np.float64) * 65535)
    assert_array_equal(read_scan(tmp_path / "b.png").pixels, expected)


def test_too_long_for_the_format(tmp_path: Path) -> None:
    scan = Scan(np.zeros((1, 20_000, 3), np.uint8))
    with pytest.raises(TargetError, match="WebP ends at 16383"):
        check_target(scan, tmp_path / "a.webp", allow_loss=True)


def test_a_block_too_large_for_jpeg(tmp_path: Path) -> None:
    scan = Scan(picture(), xmp=b"<x:xmpmeta/>".ljust(70_000))
    with pytest.raises(LossyTarget, match="XMP of 70,000 bytes"):
        write_scan(scan, tmp_path / "a.jpg")
    write_scan(scan, tmp_path / "a.jpg", allow_loss=True)
    assert read_scan(tmp_path / "a.jpg").xmp is None
