"""Every clash is found before any work starts, and trees are kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from redust.batch.worklist import Worklist, make_worklist, split_clashes
from redust.cli.run_jobs import summarise_skipped
from redust.core.errors import SettingsError
from redust.pipeline.job import Job, beside


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two rolls with scans of one name, and what is no scan."""
    for name in (
        "roll1/0001.tif", "roll1/0002.TIF", "roll2/0001.tif", "roll2/deep/a.b.png",
        "roll1/notes.txt", "roll1/.hidden.tif", ".cache/0001.tif", "roll1/0001.restored.tif",
    ):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def sources(worklist: Worklist, base: Path) -> list[str]:
    return [job.source.relative_to(base).as_posix() for job in worklist.jobs]


def test_a_folder_means_all_scans_below_it(tree: Path) -> None:
    worklist = make_worklist([tree], target=tree.parent / "out")
    jobs = worklist.jobs
    assert sources(worklist, tree) == ["roll1/0001.tif", "roll1/0002.TIF", "roll2/0001.tif", "roll2/deep/a.b.png"]
    assert [job.target for job in jobs] == [tree.parent / "out" / job.source.relative_to(tree) for job in jobs]


def test_two_folders_keep_their_names_apart(tree: Path) -> None:
    jobs = make_worklist([tree / "roll1", tree / "roll2"], target=tree.parent / "out").jobs
    assert tree.parent / "out/roll1/0001.tif" in [job.target for job in jobs]
    assert tree.parent / "out/roll2/0001.tif" in [job.target for job in jobs]


def test_files_of_one_folder_go_side_by_side(tree: Path) -> None:
    jobs = make_worklist([tree / "roll1/0001.tif", tree / "roll1/0002.TIF"], target=tree.parent / "out").jobs
    assert [job.target for job in jobs] == [tree.parent / "out/0001.tif", tree.parent / "out/0002.TIF"]


def test_masks_are_named_by_the_stem(tree: Path) -> None:
    jobs = make_worklist([tree / "roll2"], mask_out=tree.parent / "m", compare=tree.parent / "c").jobs
    assert [job.mask_out for job in jobs] == [tree.parent / "m/0001.png", tree.parent / "m/deep/a.b.png"]
    assert [job.compare for job in jobs] == [tree.parent / "c/0001.png", tree.parent / "c/deep/a.b.png"]
    assert [job.target for job in jobs] == [None, None]


def test_the_output_folder_is_not_searched(tree: Path) -> None:
    out = tree / "out"
    (out / "roll1").mkdir(parents=True)
    (out / "roll1/0001.tif").touch()
    assert "out/roll1/0001.tif" not in sources(make_worklist([tree], target=out), tree)


def test_one_scan_may_name_its_target(tree: Path, tmp_path: Path) -> None:
    scan = tree / "roll1/0001.tif"
    (job,) = make_worklist([scan], target=tmp_path / "x.png", mask_out=tmp_path / "m.tif").jobs
    assert (job.target, job.mask_out) == (tmp_path / "x.png", tmp_path / "m.tif")
    (job,) = make_worklist([scan], target=tmp_path / "folder").jobs
    assert job.target == tmp_path / "folder/0001.tif"
    (tmp_path / "odd.tif").mkdir()
    (job,) = make_worklist([scan], target=tmp_path / "odd.tif").jobs
    assert job.target == tmp_path / "odd.tif/0001.tif"


def test_without_a_target_results_go_beside_the_scan(tree: Path) -> None:
    (job,) = make_worklist([tree / "roll1/0001.tif"], restored_beside=True).jobs
    assert job.target == beside(job.source) == tree / "roll1/0001.restored.tif"


def test_a_scan_named_twice_is_one_job(tree: Path) -> None:
    scan = tree / "roll1/0001.tif"
    assert (
        len(make_worklist([scan, tree / "roll2/../roll1/0001.tif", tree / "roll1"], target=tree.parent / "o").jobs) == 2
    )


def test_links_are_not_followed_out_of_the_tree(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.tif").touch()
    os.symlink(tmp_path / "outside", tree / "linked")
    os.symlink(tmp_path / "outside/secret.tif", tree / "secret.tif")
    assert not any("secret" in name for name in sources(make_worklist([tree], target=tmp_path / "o"), tree))


@pytest.mark.parametrize("name", ["*.tif", "roll?/x.tif", "[ab].tif"])
def test_a_pattern_the_shell_left_alone_is_explained(tree: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="pattern that matched nothing"):
        make_worklist([tree / name])


def test_a_name_with_brackets_that_exists_is_no_pattern(tree: Path) -> None:
    (tree / "[1].tif").touch()
    assert len(make_worklist([tree / "[1].tif"], restored_beside=True).jobs) == 1


def test_what_is_no_scan_is_passed_over_but_listed(tree: Path, tmp_path: Path) -> None:
    (tree / "raw.nef").touch()
    os.symlink(tree / "raw.nef", tree / "linked.tif")
    worklist = make_worklist([tree], target=tmp_path / "o", run_files=[tree / "report.jsonl"])
    assert worklist.skipped == [tree / "linked.tif", tree / "raw.nef", tree / "roll1/notes.txt"]


@pytest.mark.parametrize("name", ["loop.tif", f"{'x' * 300}.tif", "closed/a.tif"])
def test_a_path_that_cannot_be_looked_up_is_a_job_that_will_fail(tmp_path: Path, name: str) -> None:
    os.symlink(tmp_path / "loop.tif", tmp_path / "loop.tif")
    assert len(make_worklist([tmp_path / name, tmp_path / "b.tif"], target=tmp_path / "o").jobs) == 2


def test_a_source_that_holds_no_scan_fails_alone(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    worklist = make_worklist([tree, tmp_path / "empty", tmp_path / "*.jpg"], target=tmp_path / "o")
    assert len(worklist.jobs) == 4
    assert [refusal.path.name for refusal in worklist.refusals] == ["empty", "*.jpg"]


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no scan in the folder"):
        make_worklist([tmp_path])


@pytest.mark.parametrize(("first", "second"), [("a.tif", "a.png"), ("a.tif", "A.png")])
def test_scans_that_differ_by_suffix_only_keep_it_in_their_masks_names(tmp_path: Path, first: str, second: str) -> None:
    scans, masks = [tmp_path / first, tmp_path / second, tmp_path / "b.tif"], tmp_path / "m"
    jobs = make_worklist(scans, mask_out=masks).jobs
    assert [job.mask_out for job in jobs] == [masks / f"{first}.png", masks / f"{second}.png", masks / "b.png"]
    masks.mkdir()
    again = make_worklist(scans, mask=masks, target=tmp_path / "o").jobs
    assert [job.mask for job in again] == [job.mask_out for job in jobs]


def test_a_clash_fails_alone_and_names_both(tmp_path: Path) -> None:
    worklist = make_worklist([tmp_path / name for name in ("a.tif", "A.tif", "b.tif")], target=tmp_path / "o")
    assert [job.source.name for job in worklist.jobs] == ["b.tif"]
    assert [refusal.path.name for refusal in worklist.refusals] == ["a.tif", "A.tif"]
    for refusal in worklist.refusals:
        assert str(tmp_path / "a.tif") in str(refusal.error)
        assert str(tmp_path / "A.tif") in str(refusal.error)
        assert "both be written" in str(refusal.error)


def test_where_all_clash_each_is_named(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).touch()
    with pytest.raises(SettingsError, match="is an input") as caught:
        make_worklist([tmp_path], target=tmp_path)
    assert str(tmp_path / "a.tif") in str(caught.value)
    assert str(tmp_path / "b.tif") in str(caught.value)


def test_a_result_never_takes_a_hard_link_of_an_input(tmp_path: Path) -> None:
    scan, other = tmp_path / "a.tif", tmp_path / "b.tif"
    for path in (scan, other):
        path.touch()
        os.link(path, path.with_suffix(".png"))
    with pytest.raises(SettingsError, match="is an input"):
        make_worklist([scan, other], target=tmp_path / "o", run_files=[tmp_path / "b.png"])
    with pytest.raises(SettingsError, match=r"a\.png is an input .* b\.png is an input|a\.png.*b\.png is an input"):
        make_worklist([scan, other], mask_out=tmp_path, target=tmp_path / "o")


def test_results_of_one_scan_may_not_meet_either(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both be written"):
        make_worklist([tmp_path / "a.tif"], target=tmp_path / "o.png", mask_out=tmp_path / "o.png")
    with pytest.raises(SettingsError, match="both be written"):
        make_worklist([tmp_path / "a.tif"], target=tmp_path / "o.png", run_files=[tmp_path / "o.png"])


def test_a_result_never_takes_an_inputs_place(tmp_path: Path) -> None:
    scan, other = tmp_path / "a.tif", tmp_path / "b.tif"
    scan.touch()
    os.symlink(scan, tmp_path / "link.tif")
    for target in (scan, tmp_path / "x/../a.tif", tmp_path / "link.tif", tmp_path / "A.TIF"):
        with pytest.raises(SettingsError, match="is an input"):
            make_worklist([scan], target=target)
    with pytest.raises(SettingsError, match="is an input"):
        make_worklist([scan, other], target=tmp_path)
    with pytest.raises(SettingsError, match="is an input"):
        make_worklist([scan], mask=tmp_path / "m.png", mask_out=tmp_path / "m.png")


def test_a_file_is_no_place_for_several(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "x.tif").touch()
    with pytest.raises(SettingsError, match="Name a folder"):
        make_worklist([tree], target=tmp_path / "x.tif")


@pytest.mark.parametrize("name", ["out.tfi", "out.nef"])
def test_a_suffix_that_cannot_be_written_makes_no_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is neither a folder that exists .* \.tif"):
        make_worklist([tmp_path / "a.tif"], target=tmp_path / name)


def test_results_of_a_folder_make_no_folder_that_is_named_like_a_file(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"one\.png is a file name"):
        make_worklist([tree], target=tmp_path / "one.png")
    jobs = make_worklist([tree], target=tmp_path / "roll.v2").jobs
    assert jobs[0].target == tmp_path / "roll.v2/roll1/0001.tif"


def test_masks_are_looked_up_where_detect_leaves_them(tree: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (masks / "roll1").mkdir(parents=True)
    (masks / "roll1/0001.png").touch()
    jobs = make_worklist(
        [tree], target=tmp_path / "o", mask=masks, add_mask=masks, not_mask=masks / "roll1/0001.png"
    ).jobs
    assert [job.mask for job in jobs] == [masks / job.source.relative_to(tree).with_suffix(".png") for job in jobs]
    assert [job.add_mask for job in jobs] == [masks / "roll1/0001.png", None, None, None]
    assert {job.not_mask for job in jobs} == {masks / "roll1/0001.png"}


def test_masks_that_are_arrays_clash_with_nothing(tmp_path: Path) -> None:
    assert split_clashes([Job(tmp_path / "a.tif", tmp_path / "b.tif", mask=np.zeros((2, 2), np.bool_))])[1] == []


def test_companions_of_scans_are_no_scans(tmp_path: Path) -> None:
    for name in (
        "roll_1.tif", "roll_1_IR.tif", "roll_1-ir.tiff", "roll_1_IR_valid.tif", "roll_1_thumb.jpg", "roll_1.xmp",
        "roll_1.mask.png", "roll_1.tif.receipt.json", "alone_IR.tif", "mask.png", "notes.txt", "fir.tif",
        "roll_1.original.tif", "roll_1.layers.tif",
    ):  # fmt: skip
        (tmp_path / name).touch()
    worklist = make_worklist([tmp_path], mask_out=tmp_path / "m")
    assert sources(worklist, tmp_path) == ["alone_IR.tif", "fir.tif", "mask.png", "roll_1.tif"]
    assert [path.name for path in worklist.skipped] == ["notes.txt"]
    assert len(worklist.companions) == 9
    notes = [summarise_skipped(Worklist([], companions=worklist.companions[:count]))[0] for count in (1, 2)]
    assert [note.split(",")[0] for note in notes] == [
        "Left alone 1 companion of a scan",
        "Left alone 2 companions of scans",
    ]
    named = [tmp_path / "roll_1.tif", tmp_path / "roll_1_IR.tif"]
    assert sources(make_worklist(named, mask_out=tmp_path / "m"), tmp_path) == ["roll_1.tif"]
    assert sources(make_worklist(named[1:], mask_out=tmp_path / "m"), tmp_path) == ["roll_1_IR.tif"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_results_of_earlier_runs_are_not_searched(tree: Path) -> None:
    os.mkfifo(tree / "roll1/pipe.tif")
    (tree / "done").mkdir()
    for name in ("redust-ledger.sqlite", "0001.tif"):
        (tree / "done" / name).touch()
    found = sources(make_worklist([tree], target=tree.parent / "out"), tree)
    assert not {"roll1/pipe.tif", "done/0001.tif"} & set(found)
