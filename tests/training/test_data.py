"""What a run is trained and measured on, and what it writes down."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.errors import SettingsError, TrainingError
from redust.files.pairs import Library, PairPaths, find_splits
from redust.training.checkpoint import write_history
from redust.training.config import DataConfig, TrainConfig
from redust.training.data import choose_patch, count_patches, make_synthesizer, measure_area, split_validation
from redust.training.result import RunFolders, finite_rows, spread_indices
from training_samples import changed

PAIRS = tuple(PairPaths(str(number), Path(f"{number}.png")) for number in range(30))


@pytest.mark.parametrize("count", [2, 3, 15, 30])
def test_pairs_are_learned_from_or_held_back(config: TrainConfig, count: int) -> None:
    train, held = split_validation(PAIRS[:count], config)
    assert set(train) | set(held) == set(PAIRS[:count])
    assert not set(train) & set(held)
    assert len(held) == max(1, round(0.1 * count))
    assert split_validation(PAIRS[:count], config) == (train, held)


def test_the_seed_decides_which_pairs_are_held_back(config: TrainConfig) -> None:
    assert len({split_validation(PAIRS, changed(config, seed=seed))[1] for seed in range(5)}) > 1


def test_fewer_training_pairs_leave_the_held_ones_as_they_are(config: TrainConfig) -> None:
    train, held = split_validation(PAIRS, config)
    few, held_too = split_validation(PAIRS, config, train_size=4)
    assert few == train[:4]
    assert held_too == held


def test_a_run_that_learns_by_heart_is_validated_on_what_it_learns(config: TrainConfig) -> None:
    train, held = split_validation(PAIRS, changed(config, overfit=3))
    assert train == held
    assert len(train) == 3
    assert split_validation(PAIRS[:1], changed(config, overfit=3)) == (PAIRS[:1], PAIRS[:1])


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pairs_are_refused_with_advice(config: TrainConfig, count: int) -> None:
    with pytest.raises(TrainingError, match=r"too few.*--overfit 1"):
        split_validation(PAIRS[:count], config)


@given(area=st.floats(1, 1e8), stride=st.sampled_from([8, 16, 100]))
def test_a_chosen_patch_suits_network_and_pictures(area: float, stride: int) -> None:
    config = TrainConfig.load(flags={"data": Path("pairs")})
    side = choose_patch(config, stride, area)
    assert side % stride == 0
    assert stride <= side < 192 + stride
    assert side < area**0.5 + stride


def test_a_patch_that_does_not_suit_the_network_is_refused_with_the_next_that_does(config: TrainConfig) -> None:
    assert choose_patch(changed(config, patch=48), 16, 1e6) == 48
    with pytest.raises(SettingsError, match=r"unet takes patches .* multiple of 16, not 50\. Say --patch 64"):
        choose_patch(changed(config, patch=50), 16, 1e6)


@pytest.mark.parametrize(("area", "patches"), [(10.0, 1), (100**2, 1), (100**2 + 1, 2), (1e9, 64)])
def test_an_epoch_about_covers_each_picture(area: float, patches: int) -> None:
    assert count_patches(DataConfig(), 100, area) == patches
    assert count_patches(DataConfig(patches_per_picture=7), 100, area) == 7


def test_the_area_is_the_mean_of_the_pictures(pairs: Path) -> None:
    assert measure_area(Library(find_splits(pairs).train, None)) == 40 * 48


def test_material_is_used_or_its_absence_explained(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no material\. Put overlays/"):
        make_synthesizer(DataConfig(photos=tmp_path, material=tmp_path), 0)
    (tmp_path / "cracks.npz").write_bytes(b"no archive")
    with pytest.raises((TrainingError, SettingsError), match=r"\.$"):
        make_synthesizer(DataConfig(photos=tmp_path, material=tmp_path), 0)


def test_a_history_is_one_line_for_each_validation_under_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write_history([{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "val_f1": 0.75}], path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"step": "1", "loss": "0.5", "val_f1": ""}, {"step": "2", "loss": "0.25", "val_f1": "0.75"}]
    write_history([{"step": 3}], path)
    assert path.read_text().split() == ["step", "3"]


def test_figures_without_a_value_become_null() -> None:
    rows = finite_rows([{"loss": float("nan"), "f1": 0.5, "ap": float("inf")}])
    assert json.loads(json.dumps(rows)) == [{"loss": None, "f1": 0.5, "ap": None}]


@given(length=st.integers(1, 500), count=st.integers(1, 50))
def test_spread_indices_are_different_and_reach_both_ends(length: int, count: int) -> None:
    indices = spread_indices(length, count)
    assert len(set(indices)) == len(indices) == min(length, count)
    assert indices == sorted(indices)
    assert indices[0] == 0
    if count > 1:
        assert indices[-1] == length - 1


def test_the_model_of_a_run_gets_no_folder_before_there_is_one(config: TrainConfig) -> None:
    folders = RunFolders.of(changed(config, name="a"))
    folders.make()
    folders.make()
    assert (folders.state.is_dir(), folders.results.is_dir(), folders.model.exists()) == (True, True, False)
    assert not set(vars(folders).values()) & set(vars(RunFolders.of(changed(config, name="b"))).values())
