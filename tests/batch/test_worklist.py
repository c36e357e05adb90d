"""Every clash is found before any work starts, and trees are kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from redust.batch.worklist import check_outputs, make_worklist
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


def sources(jobs: list[Job], base: Path) -> list[str]:
    return [job.source.relative_to(base).as_posix() for job in jobs]


def test_a_folder_means_all_scans_below_it(tree: Path) -> None:
    jobs = make_worklist([tree], target=tree.parent / "out")
    assert sources(jobs, tree) == ["roll1/0001.tif", "roll1/0002.TIF", "roll2/0001.tif", "roll2/deep/a.b.png"]
    assert [job.target for job in jobs] == [tree.parent / "out" / job.source.relative_to(tree) for job in jobs]


def test_two_folders_keep_their_names_apart(tree: Path) -> None:
    jobs = make_worklist([tree / "roll1", tree / "roll2"], target=tree.parent / "out")
    assert tree.parent / "out/roll1/0001.tif" in [job.target for job in jobs]
    assert tree.parent / "out/roll2/0001.tif" in [job.target for job in jobs]


def test_files_of_one_folder_go_side_by_side(tree: Path) -> None:
    jobs = make_worklist([tree / "roll1/0001.tif", tree / "roll1/0002.TIF"], target=tree.parent / "out")
    assert [job.target for job in jobs] == [tree.parent / "out/0001.tif", tree.parent / "out/0002.TIF"]


def test_masks_are_named_by_the_stem(tree: Path) -> None:
    jobs = make_worklist([tree / "roll2"], mask_out=tree.parent / "m", compare=tree.parent / "c")
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
    (job,) = make_worklist([scan], target=tmp_path / "x.png", mask_out=tmp_path / "m.tif")
    assert (job.target, job.mask_out) == (tmp_path / "x.png", tmp_path / "m.tif")
    (job,) = make_worklist([scan], target=tmp_path / "folder")
    assert job.target == tmp_path / "folder/0001.tif"
    (tmp_path / "odd.tif").mkdir()
    (job,) = make_worklist([scan], target=tmp_path / "odd.tif")
    assert job.target == tmp_path / "odd.tif/0001.tif"


def test_without_a_target_results_go_beside_the_scan(tree: Path) -> None:
    (job,) = make_worklist([tree / "roll1/0001.tif"], restored_beside=True)
    assert job.target == beside(job.source) == tree / "roll1/0001.restored.tif"


def test_a_scan_named_twice_is_one_job(tree: Path) -> None:
    scan = tree / "roll1/0001.tif"
    assert len(make_worklist([scan, tree / "roll2/../roll1/0001.tif", tree / "roll1"], target=tree.parent / "o")) == 2


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
    assert len(make_worklist([tree / "[1].tif"], restored_beside=True)) == 1


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no scan in the folder"):
        make_worklist([tmp_path])


@pytest.mark.parametrize(("first", "second"), [("a.tif", "a.png"), ("a.tif", "A.png")])
def test_two_scans_that_make_one_mask_are_refused(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(SettingsError, match=r"a\.tif.*A?a?\.png would both be written") as caught:
        make_worklist([tmp_path / first, tmp_path / second], mask_out=tmp_path / "m")
    assert first in str(caught.value)
    assert second in str(caught.value)


def test_scans_that_differ_by_letter_case_only_are_refused_not_lost(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both be written"):
        make_worklist([tmp_path / "a.tif", tmp_path / "A.tif"], target=tmp_path / "o")


def test_results_of_one_scan_may_not_meet_either(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both be written"):
        make_worklist([tmp_path / "a.tif"], target=tmp_path / "o.png", mask_out=tmp_path / "o.png")
    with pytest.raises(SettingsError, match="both be written"):
        make_worklist([tmp_path / "a.tif"], target=tmp_path / "o.png", others=[tmp_path / "o.png"])


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


def test_a_misspelt_suffix_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"out\.tfi is neither"):
        make_worklist([tmp_path / "a.tif"], target=tmp_path / "out.tfi")


def test_masks_are_looked_up_where_detect_leaves_them(tree: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (masks / "roll1").mkdir(parents=True)
    (masks / "roll1/0001.png").touch()
    jobs = make_worklist([tree], target=tmp_path / "o", mask=masks, add_mask=masks, not_mask=masks / "roll1/0001.png")
    assert [job.mask for job in jobs] == [masks / job.source.relative_to(tree).with_suffix(".png") for job in jobs]
    assert [job.add_mask for job in jobs] == [masks / "roll1/0001.png", None, None, None]
    assert {job.not_mask for job in jobs} == {masks / "roll1/0001.png"}


def test_masks_that_are_arrays_clash_with_nothing(tmp_path: Path) -> None:
    check_outputs([Job(tmp_path / "a.tif", tmp_path / "b.tif", mask=np.zeros((2, 2), np.bool_))])
