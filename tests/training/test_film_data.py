from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from redust.core.errors import SettingsError, TrainingError
from redust.core.labels import Label
from redust.training.config import TrainConfig
from redust.training.data import TrainingData
from redust.training.detect import prepare_detection
from redust.training.film_copies import shrink_truth
from redust.training.film_data import SHARES, Source
from redust.training.film_material import find_material
from redust.training.run import fit
from training_samples import changed, interrupt_at, write_material


@pytest.fixture
def material_config(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """The tiny run, on material instead of pairs."""
    folder = write_material(tmp_path / "material")
    return changed(config, data=None, material=folder, held_rolls=("c-", "e_", "s-2"))


@pytest.fixture
def data(material_config: TrainConfig) -> TrainingData:
    return prepare_detection(material_config, 16)


def test_most_patches_are_authentic_film_and_a_fifth_undamaged_photos() -> None:
    film = (Source.film, Source.film_shrunk, Source.film_drawn, Source.transplants, Source.film_sound)
    assert sum(SHARES.values()) == pytest.approx(1)
    assert sum(SHARES[source] for source in film) > 0.5
    assert sum(SHARES[source] for source in (Source.photos, Source.night_skies)) == pytest.approx(0.19)


@pytest.mark.parametrize("source", list(Source))
def test_every_source_draws_patches(data: TrainingData, source: Source) -> None:
    damaged = 0
    for number in range(6):
        light, truth = data.patches.draw_patch(source, number, np.random.default_rng(number))
        assert light.shape == (32, 32, 3)
        assert truth.shape == (32, 32)
        assert light.dtype == np.float32
        assert set(np.unique(truth)) <= set(Label)
        damaged += int((truth == Label.damage).any())
    assert (damaged > 0) is (source not in (Source.film_sound, Source.photos, Source.night_skies))


def test_skies_are_drawn_where_the_material_has_none(material_config: TrainConfig) -> None:
    assert material_config.data.material is not None
    shutil.rmtree(material_config.data.material / "skies")
    data = prepare_detection(material_config, 16)
    for number in range(6):
        light, truth = data.patches.draw_patch(Source.night_skies, number, np.random.default_rng(number))
        assert light.shape == (32, 32, 3)
        assert not truth.any()


def test_a_number_decides_its_patch(data: TrainingData, material_config: TrainConfig) -> None:
    again = prepare_detection(material_config, 16)
    for number in range(8):
        for first, second in zip(data.patches[number, 0], again.patches[number, 5], strict=True):
            assert torch.equal(first, second)


def test_held_rolls_are_kept_apart(material_config: TrainConfig) -> None:
    assert material_config.data.material is not None
    paths = find_material(material_config.data.material, ("c-", "e_"))
    assert [pair.name for pair in paths.held["film"]] == ["c-1", "c-2"]
    assert [pair.name for pair in paths.train["film"]] == ["a-1", "a-2", "b-1"]
    assert [pair.name for pair in paths.held["plates"]] == ["e_R"]


def test_validation_holds_windows_at_both_sizes(data: TrainingData) -> None:
    shapes = {data.validation[index][1].shape for index in range(len(data.validation))}
    assert shapes == {(128, 128), (51, 51)}
    assert any((data.validation[index][1] == Label.damage).any() for index in range(len(data.validation)))


@pytest.mark.parametrize(("rolls", "says"), [((), "held-rolls"), (("x",), "begins with x"), (("",), "fewer rolls")])
def test_rolls_that_cannot_be_held_back_are_named(
    material_config: TrainConfig, rolls: tuple[str, ...], says: str
) -> None:
    with pytest.raises(TrainingError, match=says):
        prepare_detection(changed(material_config, held_rolls=rolls), 16)


def test_something_to_learn_from_is_needed() -> None:
    with pytest.raises(SettingsError, match="material"):
        TrainConfig.load(flags={"name": "empty"})


def test_an_interrupted_run_on_material_goes_on(material_config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redust.training.film_data._EPOCH", 24)
    short = changed(material_config, epochs=1, batch_size=6, hard_negatives=0.3)
    whole = fit(changed(short, name="whole"))
    assert fit(changed(short, name="parts"), on_progress=interrupt_at(2)).interrupted
    parts = fit(changed(short, name="parts"), resume=True)
    assert np.isfinite([row[whole.module.monitor] for row in whole.module.history]).all()
    assert whole.module.monitor == "val_ap_per_picture"
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, parts.module.state_dict()[name]), name


def test_a_thin_mark_survives_shrinking() -> None:
    truth = np.zeros((30, 30), np.uint8)
    truth[:, 13] = Label.damage
    truth[:6, :6] = Label.ignore
    small = shrink_truth(truth, 10)
    assert (small[:, 4] == Label.damage).all()
    assert (small[:2, :2] == Label.ignore).all()
    assert (small == Label.damage).sum() == 10
