from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from redust.cli.app import app
from redust.cli.training import describe_progress
from redust.core.errors import SettingsError, TrainingError
from redust.training.checkpoint import TrainingProgress
from redust.training.config import list_fields
from training_samples import run, write_photos


def test_every_field_is_a_flag() -> None:
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    flags = {flag for parameter in command.params for flag in parameter.opts}
    names = {"from" if name == "start" else name.replace("_", "-") for _, name, _ in list_fields()}
    assert {f"--{name}" for name in names} <= flags
    assert len(command.params) <= 42  # 40, and --config and --resume


def test_train_says_what_a_fill_is_worth_and_how_it_is_used(tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", 3), tmp_path / "out"
    said = run(
        "train", "--task", "fill", "--photos", photos, "--out", out, "--epochs", 1, "--channels", 2, "--channels", 2,
        "--channels", 2, "--patch", 32, "--patches-per-picture", 1, "--batch-size", 2, "--precision", "float32",
    )  # fmt: skip
    assert "kriging  inside" in said
    assert f"redust restore --fill {out / 'models/my-model'} SCAN" in said


def test_figures_are_shown_once_they_are_known() -> None:
    nan = float("nan")
    begun = TrainingProgress(step=1, steps=None, epoch=0.1, share=0.01, loss=nan, score=nan, seconds=1.0)
    assert describe_progress(begun) == "epoch 0.1"
    assert describe_progress(replace(begun, loss=0.5, score=0.25)) == "epoch 0.1  loss 0.5000  f1 0.250"


def test_evaluate_asks_as_restoring_would(pairs: Path) -> None:
    plain, softened, twice = (
        json.loads(run("evaluate", "--data", pairs, "--model", "unet", "--no-tophat", *flags, "--json"))["unet"]["loss"]
        for flags in (("--blur", 0), ("--blur", 0.6), ("--blur", 0.6, "--tta", 2))
    )
    assert len({plain, softened, twice}) == 3


def test_evaluate_scores_files_that_any_tool_wrote(pairs: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predicted"
    predictions.mkdir()
    for path in (pairs / "test/masks").iterdir():
        cv2.imwrite(str(predictions / path.name), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    arguments = ["evaluate", "--data", pairs, "--predictions", predictions, "--no-tophat"]
    said = json.loads(run(*arguments, "--json"))
    assert list(said) == ["predicted", "empty mask"]
    assert said["predicted"]["f1_strict"] == 1.0
    assert said["predicted"]["ap"] is None
    assert "predicted" in run(*arguments).splitlines()[1]
    cv2.imwrite(str(predictions / "20.png"), np.zeros((3, 3), np.uint8))
    with pytest.raises(TrainingError, match="another size"):
        run(*arguments)
    (predictions / "20.png").unlink()
    with pytest.raises(TrainingError, match="no prediction"):
        run(*arguments)
    with pytest.raises(SettingsError, match="exclude each other"):
        run(*arguments, "--model", "tophat")


def test_study_refuses_what_it_cannot_study(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no test half"):
        run("study", "--data", pairs / "train", "--out", tmp_path / "study")
    with pytest.raises(SettingsError, match="unet-thesis"):
        run("study", "--data", pairs, "--out", tmp_path / "study", "--only", "nothing")
