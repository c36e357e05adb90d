"""Cells of a study: their configurations, their cost, their results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.errors import SettingsError
from redust.study.cost import REPORT_SHARE, CellCost, choose_scale
from redust.study.grid import BASE, Cell, StudyPlan, thesis_grid
from study_samples import result_of

seconds = st.floats(0.0, 100.0)
costs = st.lists(
    st.tuples(
        st.builds(Cell, st.just("a"), st.just("q"), st.just("a"), epochs=st.integers(1, 900)),
        st.builds(CellCost, seconds, seconds, seconds),
    ),
    min_size=1,
    max_size=4,
)


@given(cost=st.builds(CellCost, seconds, seconds, seconds), epochs=st.integers(0, 400))
def test_more_epochs_never_cost_less(cost: CellCost, epochs: int) -> None:
    assert cost.total_seconds(epochs) <= cost.total_seconds(epochs + 1)
    assert cost.total_seconds(0) == cost.end


def test_validations_are_bounded_and_epochs_are_not() -> None:
    cost = CellCost(epoch=0.0, validation=1.0, end=0.0)
    assert cost.total_seconds(10) == 10
    assert cost.total_seconds(1000) == cost.total_seconds(2000)
    assert CellCost(1.0, 0.0, 0.0).total_seconds(2000) == 2000


@given(cells=costs, budget=st.floats(0.0, 1e5))
def test_a_scaled_grid_fits_its_budget_or_is_not_begun(cells: list[tuple[Cell, CellCost]], budget: float) -> None:
    scale = choose_scale(cells, budget)
    assert 0 <= scale <= 1
    if scale:
        total = sum(cost.total_seconds(cell.scale_epochs(scale)) for cell, cost in cells)
        assert total <= (1 - REPORT_SHARE) * budget


@given(cells=costs, budget=st.floats(1.0, 1e4))
def test_a_larger_budget_never_shortens_a_study(cells: list[tuple[Cell, CellCost]], budget: float) -> None:
    assert choose_scale(cells, budget) <= choose_scale(cells, 2 * budget)


def test_a_study_without_cells_needs_no_scaling() -> None:
    assert choose_scale([], 0.0) == 1.0


def test_a_cell_overrules_what_all_share_and_that_the_plan() -> None:
    plan = StudyPlan(Path("data"), Path("out"), mask_level=100, seed=7, shared={"batch_size": 4, "epochs": 9})
    config = plan.make_config(Cell("a", "q", "a", {"batch_size": 2, "mask_level": 1}), epochs=30)
    assert (config.data.mask_level, config.run.seed, config.run.name) == (1, 7, "a")
    assert plan.make_config(Cell("b", "q", "b"), 30).data.mask_level == 100
    flat = {name: value for table in config.model_dump().values() for name, value in table.items()}
    assert (flat["batch_size"], flat["epochs"]) == (2, 9)


def test_cells_lie_apart_in_the_folder_of_the_study() -> None:
    plan = StudyPlan(Path("data"), Path("out"))
    folders = [plan.find_folders(cell) for cell in plan.cells]
    assert len({folder.results for folder in folders}) == len({folder.state for folder in folders}) == len(folders)
    assert all(Path("out/cells") in folder.results.parents for folder in folders)


def test_chosen_cells_keep_the_order_of_the_grid() -> None:
    plan = StudyPlan(Path("data"), Path("out"), grid=thesis_grid(gpu=False))
    assert [cell.name for cell in plan.choose_cells(["loss-bce", "cnn", BASE])] == [BASE, "cnn", "loss-bce"]
    assert plan.choose_cells(None) == plan.choose_cells([]) == plan.cells
    with pytest.raises(SettingsError, match=r"no cell batch-7, cmn\. Choose of: .*batch-8"):
        plan.choose_cells(["cmn", "batch-7", "cnn"])


def test_the_thesis_grid_is_the_default() -> None:
    names = {cell.name for cell in StudyPlan(Path("data"), Path("out")).cells}
    assert names >= {cell.name for cell in thesis_grid(gpu=False)}
    assert {cell.question for cell in thesis_grid(gpu=True)} - {cell.question for cell in thesis_grid(gpu=False)} == {
        "device"
    }


def test_the_network_of_a_cell_has_its_channels_and_dropout() -> None:
    plan = StudyPlan(Path("data"), Path("out"), shared={"channels": (8, 8, 8, 8)})
    network = plan.plan_network(Cell("a", "q", "a", dropout=0.3))
    assert network.architecture == "unet"
    assert network.options == {"dropout": 0.3, "channels": (8, 8, 8, 8)}
    assert StudyPlan(Path("data"), Path("out")).plan_network(Cell("a", "q", "a")).options == {"dropout": 0.1}


@given(scale=st.floats(0.0, 1.0), epochs=st.integers(1, 1000))
def test_each_cell_gets_an_epoch_and_none_more_than_planned(scale: float, epochs: int) -> None:
    cell = Cell("a", "q", "a", epochs=epochs)
    assert 1 <= cell.scale_epochs(scale) <= epochs
    assert replace(cell, fixed_epochs=True).scale_epochs(scale) == epochs


def test_a_result_is_read_from_the_cells_own_folder_once_there_is_one(tmp_path: Path) -> None:
    plan = StudyPlan(tmp_path, tmp_path / "out", grid=(Cell("a", "q", "a"), Cell("b", "q", "b")))
    assert plan.read_result(plan.cells[0]) is None
    folder = plan.find_folders(plan.cells[0]).results
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(result_of("a").model_dump_json(), encoding="utf-8")
    assert plan.read_result(plan.cells[1]) is None
    read = plan.read_result(plan.cells[0])
    assert read is not None
    assert read.figures.f1_strict == 1.0
    assert read.history[0]["val_loss"] is None
