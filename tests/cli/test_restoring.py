"""`restore`, `detect`, `repair` as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import redust
from drawing import draw
from redust.files import read_map, read_mask, read_scan, write_mask

ScanFile = Callable[..., Path]
Command = Callable[..., Any]
BRIGHT = ("--detector", "bright", "--fill", "mean")


def contents(folder: Path) -> list[str]:
    """The files below a folder, without the ledger."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sqlite"]
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def test_restore_one_scan(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file(dtype=np.uint16)
    ended = redust_command(
        "restore", source, "-o", tmp_path / "o.tif", "--mask-out", tmp_path / "m.png", "--compare", tmp_path / "c.png",
        "--report", tmp_path / "r.json", "--grow", 0, *BRIGHT,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{source} -> {tmp_path / 'o.tif'}, {tmp_path / 'm.png'}, {tmp_path / 'c.png'}: 0.391%")
    assert ended.err == ""
    mask = read_mask(tmp_path / "m.png", (48, 64))
    after = read_scan(tmp_path / "o.tif").pixels
    np.testing.assert_array_equal(after[~mask], read_scan(source).pixels[~mask])
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["settings"]["grow"]) == ("restored", 0)
    assert read_scan(tmp_path / "c.png").channels == 3


def test_layers_go_to_a_file_or_a_folder(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file("roll/a.tif")
    ended = redust_command(
        "restore", source, "-o", tmp_path / "o.tif", "--layers", tmp_path / "l.ora", "--json", *BRIGHT
    )
    assert json.loads(ended.out)["layers_file"] == str(tmp_path / "l.ora")
    mask = np.zeros((48, 64), np.bool_)
    mask[:, :3] = True
    write_mask(mask, tmp_path / "mask.png")
    ended = redust_command(
        "repair", source, "--mask", tmp_path / "mask.png", "-o", tmp_path / "p.tif", "--layers", tmp_path / "l.tif",
        "--fill", "mean",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    ended = redust_command(
        "restore", tmp_path / "roll", "-o", tmp_path / "out", "--layers", tmp_path / "layers", *BRIGHT
    )
    assert ended.code == 0, ended.err
    assert contents(tmp_path / "layers") == ["a.tif"]
    ended = redust_command("restore", source, "-o", tmp_path / "q.tif", "--layers", tmp_path / "l.png", *BRIGHT)
    assert ended.code != 0
    assert ".ora" in ended.err
    assert not (tmp_path / "q.tif").exists()


def test_in_place_replaces_files_that_are_named(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file("roll/a.tif")
    before = source.read_bytes()
    for refused in (("-o", tmp_path / "o.tif"), (tmp_path / "roll",)):
        ended = redust_command("restore", source, "--in-place", *refused, *BRIGHT)
        assert ended.code != 0
        assert "--in-place" in ended.err
    ended = redust_command("restore", source, "--in-place", *BRIGHT)
    assert ended.code == 0, ended.err
    assert "roll/a.original.tif" in ended.out
    assert (tmp_path / "roll" / "a.original.tif").read_bytes() == before
    assert source.read_bytes() != before
    assert contents(tmp_path / "roll") == ["a.original.tif", "a.tif"]


def test_without_o_the_result_goes_beside_the_scan(redust_command: Command, scan_file: ScanFile) -> None:
    source = scan_file("roll/a.tif")
    assert redust_command("restore", source, *BRIGHT).code == 0
    assert contents(source.parent) == ["a.restored.tif", "a.tif"]


def test_folders_keep_their_tree(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    for name in ("in/1/0001.tif", "in/2/0001.tif", "in/2/x.png"):
        scan_file(name)
    ended = redust_command(
        "restore", tmp_path / "in", "-o", tmp_path / "o", "--mask-out", tmp_path / "m", "--compare", tmp_path / "c",
        *BRIGHT,
    )  # fmt: skip
    assert ended.code == 0
    assert contents(tmp_path / "o") == ["1/0001.tif", "2/0001.tif", "2/x.png"]
    assert contents(tmp_path / "m") == contents(tmp_path / "c") == ["1/0001.png", "2/0001.png", "2/x.png"]
    assert ended.err.strip() == "3 of 3 scans done."


def test_json_is_all_there_is_on_standard_output(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    scan_file("in/a.tif")
    (tmp_path / "in/b.tif").write_bytes(b"no picture")
    scan_file("in/c.tif")
    ended = redust_command("restore", tmp_path / "in", "-o", tmp_path / "o", "--json", *BRIGHT)
    reports = [json.loads(line) for line in ended.out.splitlines()]
    assert [report["status"] for report in reports] == ["restored", "failed", "restored"]
    assert reports[1]["error_kind"] == "UnsupportedScan"
    assert "b.tif" in reports[1]["error"]
    assert ended.code == 3


def test_one_bad_scan_does_not_stop_the_others(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    scan_file("in/a.tif")
    scan_file("in/c.tif")
    (tmp_path / "in/b.tif").write_bytes(b"")
    ended = redust_command(
        "restore",
        tmp_path / "in",
        tmp_path / "in/nowhere.tif",
        "-o",
        tmp_path / "o",
        "--report",
        tmp_path / "r",
        *BRIGHT,
    )
    assert ended.code == 3
    assert contents(tmp_path / "o") == ["a.tif", "c.tif"]
    assert "b.tif" in ended.err
    assert "nowhere.tif does not exist" in ended.err
    assert ended.err.strip().endswith("2 of 4 scans done, 2 failed.")
    states = [json.loads(line)["status"] for line in (tmp_path / "r").read_text().splitlines()]
    assert states == ["restored", "failed", "restored", "failed"]


def test_quiet_says_nothing_but_failures(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    ended = redust_command("restore", scan_file(), "-o", tmp_path / "o.tif", "--quiet", *BRIGHT)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = redust_command("restore", tmp_path / "none.tif", "-o", tmp_path / "p.tif", "-q", *BRIGHT)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"error: {tmp_path / 'none.tif'} does not exist. Check the path.\n"


def test_verbose_tells_every_step(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    ended = redust_command("restore", scan_file(), "-o", tmp_path / "o.tif", "--verbose", *BRIGHT)
    assert ended.code == 0
    told = [line.split(": ")[2].split(" took")[0] for line in ended.err.splitlines() if line.startswith("info: ")]
    assert told == ["read", "detect", "decide", "fill", "write"]


def test_a_level_and_a_sensitivity_exclude_each_other(
    redust_command: Command, scan_file: ScanFile, tmp_path: Path
) -> None:
    asked = ("restore", scan_file(), "-o", tmp_path / "o.tif", "--sensitivity", "eager", *BRIGHT)
    ended = redust_command(*asked, "--level", 0.3)
    assert ended.code == 2
    assert "exclude each other" in ended.err
    preset = tmp_path / "roll.toml"
    preset.write_text("level = 0.3")
    ended = redust_command(*asked, "--preset", preset, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["settings"]["sensitivity"] == "eager"


def test_warnings_are_told(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    pixels = draw(specks=0)
    pixels[:, :9] = 255
    source = scan_file(pixels=pixels)
    ended = redust_command("restore", source, "-o", tmp_path / "o.tif", *BRIGHT)
    assert "warning: " in ended.err
    assert "more than damage looks like" in ended.err
    assert redust_command("restore", source, "-o", tmp_path / "p.tif", "-q", *BRIGHT).err == ""


def test_detect_writes_masks_or_maps(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file("a.tif")
    assert redust_command("detect", source, "-o", tmp_path / "m", "--detector", "bright", "--grow", 0).code == 0
    assert redust_command("detect", source, "-o", tmp_path / "d", "--map", "--detector", "bright").code == 0
    mask = read_mask(tmp_path / "m/a.png", (48, 64))
    assert mask.sum() == 12
    assert set(np.unique(read_scan(tmp_path / "m/a.png").pixels)) == {0, 255}
    np.testing.assert_array_equal(read_map(tmp_path / "d/a.png"), mask)
    assert contents(tmp_path / "d") == ["a.png"]


def test_detect_needs_a_place_to_write(redust_command: Command, scan_file: ScanFile) -> None:
    ended = redust_command("detect", scan_file())
    assert ended.code == 2
    assert "--output" in ended.err


def test_scans_of_one_stem_keep_their_masks_apart(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    scan_file("in/a.tif", seed=1)
    scan_file("in/a.png", seed=2)
    scan_file("in/b.png")
    assert redust_command("detect", tmp_path / "in", "-o", tmp_path / "m", "--detector", "bright").code == 0
    assert contents(tmp_path / "m") == ["a.png.png", "a.tif.png", "b.png"]
    again = ("restore", tmp_path / "in", "--mask", tmp_path / "m", "-o", tmp_path / "o", "--fill", "mean")
    assert redust_command(*again).code == 0
    assert all(read_scan(tmp_path / "o" / name).pixels.max() < 230 for name in ("a.tif", "a.png", "b.png"))


def test_what_a_folder_holds_beside_scans_is_counted_and_named(
    redust_command: Command, scan_file: ScanFile, tmp_path: Path
) -> None:
    scan_file("in/a.tif")
    for name in ("b.nef", "c.nef", "d.txt"):
        (tmp_path / "in" / name).touch()
    ended = redust_command("restore", tmp_path / "in", "-o", tmp_path / "o", "--report", tmp_path / "r", *BRIGHT)
    assert ended.code == 0
    assert "Passed over 3 files" in ended.err
    assert "2 .nef, 1 .txt" in ended.err
    assert str(tmp_path / "in/b.nef") in ended.err
    reports = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert [report["status"] for report in reports] == ["restored", "skipped", "skipped", "skipped"]


def test_failures_are_listed_once_more_at_the_end(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.tif", "b.tif"):
        (tmp_path / "in" / name).write_bytes(b"")
    scan_file("in/c.tif")
    err = redust_command("restore", tmp_path / "in", "-o", tmp_path / "o", *BRIGHT).err
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        "error", "error", "failed", "failed", "1 of 3 scans done, 2 failed.",
    ]  # fmt: skip


def test_an_edited_mask_comes_back(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file("a.tif")
    redust_command("detect", source, "-o", tmp_path / "m", "--detector", "bright", "--grow", 0)
    for command, output in (("repair", "r.tif"), ("restore", "s.tif")):
        ended = redust_command(
            command, source, "--mask", tmp_path / "m/a.png", "-o", tmp_path / output, "--fill", "mean"
        )
        assert ended.code == 0, ended.err
    np.testing.assert_array_equal(read_scan(tmp_path / "r.tif").pixels, read_scan(tmp_path / "s.tif").pixels)
    changed = (read_scan(tmp_path / "r.tif").pixels != read_scan(source).pixels).any(axis=2)
    np.testing.assert_array_equal(changed, read_mask(tmp_path / "m/a.png", (48, 64)))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_detecting_then_repairing_writes_the_file_that_restoring_writes(
    redust_command: Command, scan_file: ScanFile, tmp_path: Path, name: str
) -> None:
    source, mask = scan_file(name), tmp_path / "m/a.png"
    redust_command("detect", source, "-o", tmp_path / "m", "--detector", "tophat")
    redust_command("repair", source, "--mask", mask, "-o", tmp_path / "two" / name)
    flags = ("--detector", "tophat", "--mask-out", tmp_path / "mask.png")
    redust_command("restore", source, "-o", tmp_path / "one" / name, *flags)
    assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert mask.read_bytes() == (tmp_path / "mask.png").read_bytes()
    pixels = read_scan(source).pixels
    two_steps = redust.repair(pixels, redust.detect(pixels, detector="tophat"))
    np.testing.assert_array_equal(two_steps, redust.restore(pixels, detector="tophat"))


def test_a_folder_of_edited_masks_comes_back(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    scan_file("in/1/a.tif", seed=1)
    scan_file("in/2/a.tif", seed=2)
    redust_command("detect", tmp_path / "in", "-o", tmp_path / "m", "--detector", "bright")
    ended = redust_command("restore", tmp_path / "in", "--mask", tmp_path / "m", "-o", tmp_path / "o", "--fill", "mean")
    assert ended.code == 0, ended.err
    assert read_scan(tmp_path / "o/2/a.tif").pixels.max() < 230


def test_areas_are_added_and_protected(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    source = scan_file("a.tif")
    redust_command("detect", source, "-o", tmp_path / "m", "--detector", "bright")
    found = tmp_path / "m/a.png"
    redust_command("detect", source, "-o", tmp_path / "n", "--detector", "bright", "--not-mask", found)
    assert not read_mask(tmp_path / "n/a.png", (48, 64)).any()
    redust_command("detect", source, "-o", tmp_path / "p", "--detector", "tophat", "--level", 1, "--add-mask", found)
    np.testing.assert_array_equal(read_mask(tmp_path / "p/a.png", (48, 64)), read_mask(found, (48, 64)))


def test_the_summary_counts_what_is_repaired(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    pixels = draw(specks=0)
    pixels[5:7, 5:7] = pixels[30:32, 50:52] = 255
    source, left, spot = scan_file(pixels=pixels), np.zeros((48, 64), np.bool_), np.zeros((48, 64), np.bool_)
    left[:, :32], spot[40, 20:23] = True, True
    write_mask(left, tmp_path / "left.png")
    write_mask(spot, tmp_path / "spot.png")

    def count(*flags: object) -> tuple[str, dict[str, int]]:
        call = ("restore", source, "-o", tmp_path / "o.tif", "--overwrite", "--report", tmp_path / "r", *BRIGHT, *flags)
        line = redust_command(*call).out.split(": ")[-1].split(",")[0].split(" (")[0]
        return line, json.loads((tmp_path / "r").read_text())["classes"]

    assert count() == ("2 dust", dict.fromkeys(count()[1], 0) | {"dust": 2})
    assert count("--not-mask", tmp_path / "left.png")[0] == "1 dust"
    assert count("--add-mask", tmp_path / "spot.png")[0] == "3 dust"
    assert count("--not-mask", tmp_path / "left.png", "--add-mask", tmp_path / "spot.png")[0] == "1 dust"


def test_masks_are_put_together_without_looking_for_damage(
    redust_command: Command, scan_file: ScanFile, tmp_path: Path
) -> None:
    source = scan_file("a.tif")
    one, other = np.zeros((2, 48, 64), np.bool_)
    one[3, 3:9], other[3, 6:20] = True, True
    write_mask(one, tmp_path / "one.png")
    write_mask(other, tmp_path / "other.png")
    masks = ("--mask", tmp_path / "one.png", "--add-mask", tmp_path / "other.png", "--detector", "explains")
    assert redust_command("detect", source, "-o", tmp_path / "m", *masks).code == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "m/a.png", (48, 64)), one | other)
    assert redust_command("detect", source, "-o", tmp_path / "d", "--map", *masks).code == 0
    np.testing.assert_array_equal(read_map(tmp_path / "d/a.png"), one | other)


def test_flags_win_over_a_preset_which_wins_over_defaults(
    redust_command: Command, scan_file: ScanFile, tmp_path: Path
) -> None:
    (tmp_path / "p.toml").write_text('detector = "bright"\nfill = "mean"\ngrow = 4\noverwrite = true\nlevel = 0.3\n')
    reports = []
    for flags in ((), ("--grow", 1), ("--grow", 1)):
        ended = redust_command(
            "restore", scan_file(), "-o", tmp_path / "o.tif", "--preset", tmp_path / "p.toml", "--json", *flags
        )
        reports.append(json.loads(ended.out)["settings"])
    assert [(one["grow"], one["level"], one["overwrite"]) for one in reports] == [
        (4, 0.3, True), (1, 0.3, True), (1, 0.3, True),
    ]  # fmt: skip
    ended = redust_command(
        "restore", scan_file(), "-o", tmp_path / "o.tif", "--preset", tmp_path / "p.toml", "--no-overwrite"
    )
    assert ended.code == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--detector", "nose"), 2, "no detector named `nose`"),
        (("--fill", "putty"), 2, "no fill named `putty`"),
        (("--level", "2"), 2, "`level`"),
        (("--levle", "2"), 2, "--levle"),
        (("--min-size", "9", "--max-size", "2"), 2, "max_size"),
        (("--preset", "none.toml"), 2, "none.toml"),
        (("--max-megapixels", "0.001"), 3, "megapixel"),
        (("--page", "7"), 3, "page"),
    ],
)
def test_what_goes_wrong_has_a_sentence_and_a_code(
    redust_command: Command, scan_file: ScanFile, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = redust_command("restore", scan_file(), "-o", tmp_path / "o.tif", *BRIGHT, *arguments)
    assert ended.code == code
    assert words in ended.err
    assert not (tmp_path / "o.tif").exists()


def test_results_are_not_replaced_unless_asked(redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
    arguments = ("restore", scan_file(), "-o", tmp_path / "o.tif", "--report", tmp_path / "r.json", *BRIGHT)
    assert redust_command(*arguments).code == 0
    before = (tmp_path / "o.tif").stat().st_mtime_ns
    ended = redust_command(*arguments)
    assert ended.code == 4
    assert "--overwrite" in ended.err
    assert (tmp_path / "o.tif").stat().st_mtime_ns == before
    assert redust_command(*arguments, "--overwrite").code == 0


def test_the_scan_is_never_the_output(redust_command: Command, scan_file: ScanFile) -> None:
    source = scan_file()
    before = source.read_bytes()
    for target in (source, source.parent / "x/.." / source.name, source.parent):
        ended = redust_command("restore", source, "-o", target, "--overwrite", *BRIGHT)
        assert ended.code == 2
        assert "is an input" in ended.err
    assert source.read_bytes() == before


def test_a_reader_that_leaves_does_not_stop_the_work(scan_file: ScanFile, tmp_path: Path) -> None:
    for number in range(3):
        scan_file(f"in/{number}.tif")
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-c", "from redust.cli.entry import main; main()", "restore", str(tmp_path / "in"),
         "-o", str(tmp_path / "o"), "--json", "--detector", "tophat", "--fill", "telea"],
        stdout=write, stderr=subprocess.PIPE, check=False, text=True,
    )  # fmt: skip
    os.close(write)
    assert ended.returncode == 0, ended.stderr
    assert "Broken" not in ended.stderr
    assert len(contents(tmp_path / "o")) == 3
