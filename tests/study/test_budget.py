"""A study keeps its budget, by a clock that the tests turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redust.evaluation.plots import draw_curves, draw_lines
from redust.files.pairs import Library, find_splits
from redust.study import study
from redust.study.cost import REPORT_SHARE, CellCost
from redust.study.grid import Cell, StudyPlan
from redust.study.study import run_study
from redust.training.checkpoint import TrainingProgress

TINY = {"channels": (8, 8, 8, 8), "patch": 32, "batch_size": 4, "precision": "float32"}


class Clock:
    """A clock that stands until it is turned."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(study, "time", clock)
    return clock


def test_a_cell_that_takes_longer_than_it_should_is_saved_and_left(
    pairs: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = (Cell("base", "architecture", "the base", epochs=6), Cell("next", "epochs", "the next", epochs=6))
    plan = StudyPlan(pairs, tmp_path / "study", grid=grid, shared=TINY)
    monkeypatch.setattr(study, "estimate_cost", lambda *_: CellCost(1.0, 0.0, 0.0))

    def turn(_: TrainingProgress) -> None:
        clock.seconds += 30.0  # a step was estimated to take less than a second

    report = Path(run_study(plan, budget_minutes=3.0, on_progress=turn))
    assert (1 - REPORT_SHARE) * 180 < clock.seconds <= 1.15 * 180
    assert "Not run for want of time: the base, the next." in report.read_text()
    assert (tmp_path / "study/cells/runs/base/last.ckpt").exists()
    clock.seconds = 0.0
    assert "| the base | 6 |" in Path(run_study(plan)).read_text()


def test_only_as_many_unseen_pictures_are_scored_as_fit(
    pairs: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = Library(find_splits(pairs).test, None)

    def predict(*_: object) -> np.ndarray:
        clock.seconds += 2.0
        return np.zeros((1, 1), np.float32)

    monkeypatch.setattr(study, "predict_map", predict)
    assert study._count_affordable(None, [test, test], end=104.0) == 25
    assert study._count_affordable(None, [test, test], end=clock.seconds) == 4


def test_a_single_point_is_no_curve(tmp_path: Path) -> None:
    row = {"epoch": 1.0, "train_loss": 0.5}
    assert not draw_curves([row], tmp_path / "a.png")
    assert not draw_lines({"a": [row], "b": [row]}, ["train_loss"], tmp_path / "b.png")
    assert not list(tmp_path.iterdir())
    assert draw_curves([row, row | {"epoch": 2.0}], tmp_path / "a.png")
    assert draw_lines({"a": [row], "b": [row, row | {"epoch": 2.0}]}, ["train_loss"], tmp_path / "b.png")
