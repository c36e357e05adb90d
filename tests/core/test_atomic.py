"""Files appear whole or not at all, never over an input, and leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from redust.core.atomic import check_path, growing_file, whole_file, whole_files
from redust.core.errors import TargetError, TargetExists


class Interrupted(BaseException):
    """Stands for anything that may happen while a file is written."""


def write_then(path: Path, failure: type[BaseException], *, overwrite: bool = False) -> None:
    """Write half a file, then fail."""
    with whole_file(path, overwrite=overwrite) as file:
        file.write(b"half")
        raise failure


def write_while_another_does(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"mine")
        path.write_bytes(b"theirs")


def append_then(path: Path, failure: type[BaseException]) -> None:
    with growing_file(path) as append:
        append(b"one\n")
        raise failure


def write_model(folder: Path, failure: type[BaseException] | None = None) -> None:
    """Write a card and weights that belong together."""
    with whole_files(folder, "card.json") as unfinished:
        (unfinished / "card.json").write_text("after")
        (unfinished / "model.onnx").write_text("weights")
        if failure is not None:
            raise failure


def test_a_file_takes_its_name_only_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with whole_file(path) as file:
        file.write(b"first")
        assert not path.exists()
        assert len(list(tmp_path.iterdir())) == 1  # hidden, in the same folder
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [Interrupted, KeyboardInterrupt, ValueError])
def test_what_fails_inside_leaves_no_trace(tmp_path: Path, kind: type[BaseException]) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"before")
    with pytest.raises(kind):
        write_then(path, kind, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"before"


def test_overwriting_must_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"before")
    with pytest.raises(TargetExists, match=r"exists already.*--overwrite"), whole_file(path):
        pass
    assert path.read_bytes() == b"before"
    with whole_file(path, overwrite=True) as file:
        file.write(b"after")
    assert path.read_bytes() == b"after"


def test_a_name_that_was_taken_meanwhile_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with pytest.raises(TargetExists):
        write_while_another_does(path)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_refused_under_each_of_its_names(tmp_path: Path, link: object, overwrite: bool) -> None:
    source, alias = tmp_path / "a.tif", tmp_path / "b.tif"
    source.write_bytes(b"scan")
    link(source, alias)  # type: ignore[operator]
    for target in (source, alias, tmp_path / "." / "a.tif"):
        with pytest.raises(TargetExists, match="an input, which is never written over"):
            check_path(target, source=source, overwrite=overwrite)
        with pytest.raises(TargetExists):
            check_path(target, source=[tmp_path / "other.tif", source], overwrite=overwrite)


def test_an_input_that_does_not_exist_is_compared_as_spelled(tmp_path: Path) -> None:
    with pytest.raises(TargetExists, match="an input"):
        check_path(tmp_path / "roll" / ".." / "a.tif", source=tmp_path / "a.tif")
    check_path(tmp_path / "b.tif", source=tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/a.tif", "does not exist. Make it first"),
        ("folder", "a folder or a device"),
        ("a" * 300, "cannot be written"),
        ("a\0b", "cannot be a file's name"),
        ("loop/a.tif", "cannot be written"),
    ],
)
def test_a_target_that_cannot_be_written_is_refused_before_work_begins(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for overwrite in (False, True):
        with pytest.raises(TargetError, match=words):
            check_path(tmp_path / name, overwrite=overwrite)


def test_a_broken_link_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to("nowhere.tif")
    with pytest.raises(TargetExists, match="exists already"):
        check_path(tmp_path / "a.tif")


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with whole_file(tmp_path / "whole"):
        pass
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_growing_file_holds_each_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with growing_file(path) as append:
        assert path.read_bytes() == b""
        append(b"one\n")
        assert path.read_bytes() == b"one\n"
        append(b"")
        append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    with pytest.raises(TargetExists), growing_file(path):
        pass
    with growing_file(path, overwrite=True) as append:
        append(b"anew\n")
    assert path.read_bytes() == b"anew\n"


def test_an_interrupted_growing_file_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with pytest.raises(Interrupted):
        append_then(path, Interrupted)
    assert path.read_bytes() == b"one\n"


def test_files_that_belong_together_appear_together(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "model"
    with whole_files(folder, "card.json") as unfinished:
        (unfinished / "card.json").write_text("card")
        (unfinished / "model.onnx").write_text("weights")
        assert not [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.onnx"]


def test_of_files_that_belong_together_none_appears_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("before")
    with pytest.raises(Interrupted):
        write_model(tmp_path, Interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    assert (tmp_path / "card.json").read_text() == "before"


def test_the_last_of_files_that_belong_together_names_what_is_there(tmp_path: Path) -> None:
    """A file that cannot take its name leaves the old card: it never describes weights that are not there."""
    (tmp_path / "model.onnx").mkdir()
    (tmp_path / "card.json").write_text("before")
    with pytest.raises(TargetError):
        write_model(tmp_path)
    assert (tmp_path / "card.json").read_text() == "before"
