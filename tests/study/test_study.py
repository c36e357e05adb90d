from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from redust.core.errors import SettingsError, TrainingError
from redust.evaluation.metrics import MetricCounter, Metrics
from redust.files.pairs import Library, find_splits
from redust.study import cost, study
from redust.study.cost import CellCost, choose_scale, estimate_cost
from redust.study.grid import Cell, StudyPlan, thesis_grid
from redust.study.report import Heading, Image, Table, Text, to_html, to_markdown
from redust.study.study import run_study
from redust.study.unseen import DISTURBANCES, OTHER_KINDS, DisturbedPictures, OtherDamage, measure_thesis_loss
from redust.training.checkpoint import TrainingProgress
from training_samples import picture

TINY = {"channels": (8, 8, 8, 8), "patch": 32, "batch_size": 4, "precision": "float32"}


@pytest.fixture
def plan(pairs: Path, tmp_path: Path) -> StudyPlan:
    """A study of three small cells."""
    grid = (
        Cell("base", "architecture", "the base", epochs=4),
        Cell("long", "epochs", "longer", epochs=12),
        Cell("cut-1", "mask level", "cut at 1", {"mask_level": 1}, epochs=4),
    )
    return StudyPlan(pairs, tmp_path / "study", grid=grid, shared=TINY)


def test_the_grid_asks_what_the_thesis_asked() -> None:
    grid = thesis_grid(gpu=True)
    assert len({cell.name for cell in grid}) == len(grid)
    assert {cell.question for cell in grid} >= {
        "architecture", "batch size", "epochs", "regularisation", "overfitting", "mask level", "training size",
        "device",
    }  # fmt: skip
    assert "gpu" not in {cell.name for cell in thesis_grid(gpu=False)}
    plan = StudyPlan(Path("data"), Path("out"))
    names = [plan.make_config(cell, 3).run.name for cell in grid]  # every cell is a valid configuration
    assert names == [cell.name for cell in grid]


def test_the_sanity_check_is_never_cut_short() -> None:
    by_heart = next(cell for cell in thesis_grid(gpu=False) if cell.name == "overfit-8")
    assert by_heart.scale_epochs(0.01) == by_heart.epochs == 800
    assert Cell("long", "epochs", "longer", epochs=500).scale_epochs(0.1) == 50
    assert Cell("short", "epochs", "shorter").scale_epochs(0.001) == 1


def test_a_study_is_budgeted_resumed_and_reported(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "estimate_cost", lambda _plan, _cell, _splits: CellCost(25.5, 0.0, 0.0))
    interrupted = False

    def interrupt(progress: TrainingProgress) -> None:
        nonlocal interrupted
        if progress.step == 5 and not interrupted and named[-1] == "long":
            interrupted = True
            raise KeyboardInterrupt

    named: list[str] = []
    shares: list[float] = []

    def note(name: str, share: float) -> None:
        named.append(name)
        shares.append(share)

    run_study(plan, budget_minutes=5.0, on_cell=note, on_progress=interrupt)
    assert named == ["base", "long"]
    assert shares == pytest.approx([0, 1 / 3])
    # Twenty epochs take 510 seconds, and 255 are there: half of the epochs fit.
    assert json.loads((plan.out / "plan.json").read_text())["scale"] == pytest.approx(
        0.5, abs=0.1
    )  # the budget counts from the start
    done = plan.out / "cells/results"
    assert [(done / name / "cell.json").exists() for name in ("base", "long", "cut-1")] == [True, False, False]
    first = (done / "base/cell.json").read_bytes()
    report = Path(run_study(plan))
    assert (done / "base/cell.json").read_bytes() == first
    long = json.loads((done / "long/cell.json").read_text())
    assert long["planned_epochs"] == 12
    assert 4 < long["epochs"] < 7
    assert (done / "long/card.json").exists()
    text = report.read_text()
    for wanted in (
        "scaled by 0.",
        "## Epochs",
        "longer",
        "Nothing is concluded here: 3 of 3 runs",
        "has no GPU",
        "![",
        "tophat",
    ):
        assert wanted in text
    page = report.with_suffix(".html").read_text()
    for name in [line.split("](")[1][:-1] for line in text.splitlines() if line.startswith("![")]:
        assert (plan.out / name).stat().st_size > 1000
        assert f'src="{name}"' in page


def test_a_study_is_not_continued_on_other_data_or_with_unknown_cells(plan: StudyPlan, tmp_path: Path) -> None:
    plan.out.mkdir()
    (plan.out / "plan.json").write_text(json.dumps({"scale": 1.0, "data": "other", "budget_minutes": None}))
    with pytest.raises(TrainingError, match="other data"):
        run_study(plan)
    with pytest.raises(SettingsError, match="Choose of: base"):
        run_study(plan, only=["basis"])
    with pytest.raises(TrainingError, match="no test half"):
        run_study(dataclasses.replace(plan, data=plan.data / "train"))


def test_trial_steps_measure_a_cell(plan: StudyPlan) -> None:
    splits = find_splits(plan.data)
    measured = estimate_cost(plan, plan.grid[0], splits)
    assert min(measured.epoch, measured.validation, measured.end) > 0
    half = estimate_cost(plan, dataclasses.replace(plan.grid[0], train_size=3), splits)
    assert half.epoch == pytest.approx(measured.epoch / 3)


def test_the_scale_is_the_largest_that_fits() -> None:
    cells = [(Cell("a", "q", "a", epochs=100), CellCost(1.0, 0.5, 10.0))]
    scale = choose_scale(cells, 100.0)
    assert cells[0][1].total_seconds(cells[0][0].scale_epochs(scale)) <= (1 - cost.REPORT_SHARE) * 100
    assert cells[0][1].total_seconds(cells[0][0].scale_epochs(scale) + 2) > (1 - cost.REPORT_SHARE) * 100
    assert choose_scale(cells, 1e6) == 1.0
    assert choose_scale(cells, 1.0) == 0.0


def test_what_does_not_fit_is_left_out_and_named(plan: StudyPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "estimate_cost", lambda _plan, _cell, _splits: CellCost(1e6, 0.0, 0.0))
    report = Path(run_study(plan, budget_minutes=5.0))
    assert "Not run for want of time: the base, longer, cut at 1." in report.read_text()


def test_disturbances_change_the_picture_and_leave_the_truth(pairs: Path) -> None:
    test = Library(find_splits(pairs).test, None)
    for kind in DISTURBANCES:
        pixels, truth = DisturbedPictures(test, kind)[0]
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(truth, test[0][1])
        assert (pixels != test[0][0]).any() == (kind != "none")


def test_other_damage_is_asked_for_alone(pairs: Path) -> None:
    test = Library(find_splits(pairs).test, None)
    drawn = [(index, *OtherDamage(test, kind)[index]) for kind in OTHER_KINDS for index in range(len(test))]
    for index, pixels, truth in drawn:
        before = test[index]
        assert pixels.shape == before[0].shape
        assert set(np.unique(truth[before[1] == 255])) <= {128, 255}
    assert any((truth == 255).any() for _, _, truth in drawn)


def test_the_first_loss_of_the_thesis_condemns_the_perfect_answer() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[:, :4] = 255
    said = measure_thesis_loss([truth])
    # Four damaged pixels of equal share in each row: 4 * ln 4.
    assert said["perfect_loss"] == pytest.approx(4 * np.log(4), rel=1e-5)
    assert said["perfect_loss_zero_to_255"] == pytest.approx(255 * said["perfect_loss"])
    assert said["grey_loss"] == pytest.approx(4 * np.log(100), rel=1e-5)
    assert said["perfect_row_accuracy"] == said["grey_row_accuracy"] == 1.0


def test_blocks_become_markdown_and_html() -> None:
    blocks = [Heading("A & B", 1), Text("so"), Table([("a", "b"), ("1", "<2>")]), Image("x.png", "a picture")]
    assert to_markdown(blocks) == (
        "# A & B\n\nso\n\n| a | b |\n| --- | --- |\n| 1 | <2> |\n\n![a picture](x.png)\n"
    )  # fmt: skip
    page = to_html(blocks, "t")
    assert "<h1>A &amp; B</h1>" in page
    assert "<td>&lt;2&gt;</td>" in page


def test_a_result_survives_its_file() -> None:
    tally = MetricCounter()
    tally.add(picture(0)[1], np.zeros((40, 48), np.float32))
    figures = tally.figures()
    again = Metrics.model_validate_json(figures.model_dump_json())
    assert np.isnan(again.ap)
    assert again.recall == 0.0
