"""Weights never travel alone, and strangers are searched."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from redust.core.errors import ModelError
from redust.core.settings import Sensitivity
from redust.models import shipped, shipped_folder, shipped_for
from redust.models.card import ModelCard, is_inside, read_card, sha256_of, weights_path


def make_model(folder: Path, **changes: object) -> ModelCard:
    """A model folder with a weights file that is not really one."""
    (folder / "net.onnx").write_bytes(b"weights")
    facts: dict[str, object] = {
        "name": "toy", "summary": "a toy", "architecture": "unet", "parameters": 1, "normalisation": "none",
        "halo": 0, "files": {"onnx": "net.onnx"}, "sha256": {"onnx": sha256_of(folder / "net.onnx")},
    }  # fmt: skip
    card = ModelCard.model_validate(facts | changes)
    card.to_folder(folder)
    return card


def test_a_card_survives_the_trip(tmp_path: Path) -> None:
    card = make_model(tmp_path, metrics={"toy": {"f1": 0.5}}, limits=["all"])
    assert read_card(tmp_path) == card
    assert weights_path(tmp_path, "onnx").read_bytes() == b"weights"


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    make_model(tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="sha256"):
        weights_path(tmp_path, "onnx")


def test_weights_outside_the_folder_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "net.onnx").write_bytes(b"weights")
    make_model(inside, files={"onnx": "../net.onnx"})
    with pytest.raises(ModelError, match="outside"):
        weights_path(inside, "onnx")


@pytest.mark.parametrize("text", ["{}", "no json", '{"name": 1}'])
def test_a_bad_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ModelError, match="card"):
        read_card(tmp_path)


LEVELS = {"eager": 0.3, "normal": 0.5, "shy": 0.9}


def test_levels_by_sensitivity_are_on_the_card(tmp_path: Path) -> None:
    make_model(tmp_path, level=0.5, levels=LEVELS, false_positive_rates={"normal": 9e-5})
    assert read_card(tmp_path).levels[Sensitivity.shy] == 0.9
    assert read_card(tmp_path).false_positive_rates == {"normal": 9e-5}


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"normal": 0.5}, "one level for each"),
        (LEVELS | {"bold": 0.1}, "'shy', 'normal' or 'eager'"),
        (LEVELS | {"normal": 0.6}, "another level for normal"),
        (LEVELS | {"shy": 0.4}, "not in order"),
        (LEVELS | {"shy": 1.4}, r"levels\.shy"),
    ],
)
def test_levels_that_make_no_sense_are_refused(tmp_path: Path, levels: dict[str, float], words: str) -> None:
    card = make_model(tmp_path).model_copy(update={"level": 0.5, "levels": levels})
    (tmp_path / "card.json").write_text(json.dumps(card.model_dump(warnings=False)))
    with pytest.raises(ModelError, match=words):
        read_card(tmp_path)


def test_a_card_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    card = make_model(tmp_path)
    with pytest.raises(ModelError, match="cannot be written"):
        card.to_folder(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_card_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = make_model(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        card.model_copy(update={"level": 0.9}).to_folder(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"card\.json"):
        read_card(tmp_path)


def test_missing_kind_and_file(tmp_path: Path) -> None:
    make_model(tmp_path)
    with pytest.raises(ModelError, match="no onnx-int8"):
        weights_path(tmp_path, "onnx-int8")
    (tmp_path / "net.onnx").unlink()
    with pytest.raises(ModelError, match="missing"):
        weights_path(tmp_path, "onnx")


def test_every_shipped_model_is_whole() -> None:
    cards = shipped()
    assert "unet" in {card.name for card in cards.values()}
    for folder, card in cards.items():
        for kind in card.files:
            assert weights_path(folder, kind).is_file()
        assert card.data, "name the sources"
        assert card.licence, "name the licence"


def test_shipped_weights_stay_small() -> None:
    total = sum(path.stat().st_size for path in shipped_folder(".").rglob("*") if path.is_file())
    assert total < 30e6


@pytest.mark.parametrize(
    ("f1", "kinds", "as_good"),
    [
        ({"onnx": 0.8, "onnx-int8": 0.8}, ("onnx", "onnx-int8"), True),
        ({"onnx": 0.8, "onnx-int8": 0.7951}, ("onnx", "onnx-int8"), True),
        ({"onnx": 0.8, "onnx-int8": 0.79}, ("onnx", "onnx-int8"), False),
        ({"onnx": 0.8, "onnx-int8": 0.9}, ("onnx",), False),
        ({"onnx-int8": 0.9}, ("onnx", "onnx-int8"), False),
        ({}, ("onnx", "onnx-int8"), False),
    ],
)
def test_int8_is_as_good_only_where_both_were_measured(
    tmp_path: Path, f1: dict[str, float], kinds: tuple[str, ...], as_good: bool
) -> None:
    card = make_model(tmp_path, f1_by_weights=f1, files=dict.fromkeys(kinds, "net.onnx"))
    assert card.int8_is_as_good is as_good


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scales": [2, 4]}, "1 among them"),
        ({"scales": [1, 99]}, "scales"),
        ({"scales": [1, 2], "scale_weights": [0.5, 0.4]}, "adding up to 1"),
        ({"stride": 0}, "stride"),
        ({"halo": -1}, "halo"),
        ({"channels": 2}, "channels"),
        ({"task": "dream"}, "task"),
        ({"attention_shift": 9}, "attention_shift"),
        ({"pre_blur": {"sigma": 1, "network": "../x"}}, "network"),
        ({"colour": "blue"}, "colour"),
        ({"stride": 0, "halo": -1}, "2 faults"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_with_its_first_fault(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    card = make_model(tmp_path).model_dump(mode="json") | changes
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=rf"is no model card \(.*{words}.*\)\. Train or copy the model again"):
        read_card(tmp_path)


def test_a_card_without_end_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(b" " * 1_000_001)
    with pytest.raises(ModelError, match="too large"):
        read_card(tmp_path)
    (tmp_path / "card.json").unlink()
    (tmp_path / "card.json").symlink_to("/dev/zero")
    with pytest.raises(ModelError, match=r"holds no card\.json"):
        read_card(tmp_path)


def test_only_files_directly_in_the_folder_are_inside(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "alias").symlink_to("model")
    inside = [tmp_path / "model/a.onnx", tmp_path / "alias/a.onnx", tmp_path / "model/../model/a.onnx"]
    outside = [tmp_path / "a.onnx", tmp_path / "model/deep/a.onnx", tmp_path / "model", Path("/etc/passwd")]
    assert all(is_inside(path, tmp_path / "model") for path in inside)
    assert not any(is_inside(path, tmp_path / "model") for path in outside)
    assert not is_inside(tmp_path / "model/a\0b", tmp_path / "model")
    (tmp_path / "model/link.onnx").symlink_to("/etc/passwd")
    assert not is_inside(tmp_path / "model/link.onnx", tmp_path / "model")


def test_a_task_without_a_shipped_model_says_how_to_get_one() -> None:
    assert shipped_for("unet", "detect", "--detector") == shipped_folder("unet")
    with pytest.raises(ModelError, match=r"Train one \(redust train --task fill\) and name its folder: --fill models/"):
        shipped_for("nobody", "fill", "--fill")
