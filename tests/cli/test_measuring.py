"""The commands that draw damage, measure and train: what they print, and what they refuse before any work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redust.cli.measuring import show_figures
from redust.cli.training import training_screen
from redust.evaluation.metrics import MetricCounter
from redust.training.checkpoint import TrainingProgress
from training_samples import write_photos

Command = Callable[..., Any]


def counter_of(*damaged: int) -> MetricCounter:
    """The counts of a mask of eight pixels that marks some of them; the first two are damaged."""
    truth, damage = np.zeros((1, 8), np.uint8), np.zeros((1, 8), np.float32)
    truth[0, :2] = 255
    damage[0, list(damaged)] = 1
    counter = MetricCounter(0.5, 0)
    counter.add(truth, damage)
    return counter


def test_figures_are_a_table_of_one_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    show_figures({"right": counter_of(0, 1), "a much longer name": counter_of(0, 5)}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[1].split()[:2] == ["right", "1"]
    assert lines[3] == "right: objects found by size  1-15 px 1.00"  # no clean picture, so no false alarms per picture
    assert lines[4].startswith("a much longer name: objects found by size")


def test_figures_as_json_have_null_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_figures({"right": counter_of(0, 1), "empty": counter_of()}, as_json=True)
    figures = json.loads(capsys.readouterr().out)
    assert figures["right"]["f1"] == 1.0
    assert figures["empty"]["precision"] is None
    assert figures["right"].keys() == figures["empty"].keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "--data", "nowhere", "--no-tophat"], "no folder nowhere"),
        (["evaluate", "--data", "nowhere", "--model", "nobody"], "no detector named `nobody`"),
        (["evaluate", "--data", ".", "--model", "tophat", "--predictions", "."], "exclude each other"),
        (["evaluate", "--data", ".", "--tolerance", "-1"], "--tolerance"),
        (["evaluate", "--data", ".", "--level", "2"], "--level"),
        (["calibrate"], "nothing to calibrate on. Give --photos"),
        (["calibrate", "--photos", "nowhere"], "no folder nowhere"),
        (["synthesize", "--seed", "1"], "nothing to write. Give --output DIR"),
        (["synthesize", "--output", "new"], "no photos to draw on"),
        (["synthesize", "nowhere.png", "--output", "new"], "nowhere.png"),
        (["synthesize", "--sheet", "sheet.jpg", "--recipe", "no.toml"], "no.toml"),
        (["train", "--epochs", "3"], "no training data"),
        (["train", "--data", "x", "--epochs", "0"], "epochs"),
        (["train", "--data", "x", "--task", "paint"], "--task"),
        (["study", "--data", "nowhere", "--out", "new"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    redust_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = redust_command(*arguments)
    assert ended.code >= 2
    assert words in ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.rstrip().endswith(".")
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_few_pairs_are_drawn_counted_and_not_drawn_again(redust_command: Command, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    first = redust_command("synthesize", photos, "-o", tmp_path / "drawn", "--workers", 1)
    assert (first.code, first.err) == (0, "")
    assert "2 pairs" in first.out
    images = {path.name: path.read_bytes() for path in (tmp_path / "drawn/images").iterdir()}
    assert len(images) == 2
    again = redust_command("synthesize", photos, "-o", tmp_path / "drawn", "--workers", 1)
    assert "2 of 2 pairs exist already" in again.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "drawn/images").iterdir()} == images


def test_a_run_off_a_terminal_tells_its_progress_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress(3, 6, 1.5, 0.5, 0.25, 0.75, 9.0, "ap")
    with training_screen(lambda: "my-model") as show_progress:
        show_progress(progress)
        show_progress(progress)  # not again within seconds
    assert capsys.readouterr().err == "my-model:  50%  step 3/6  epoch 1.5  loss 0.2500  ap 0.750\n"
