from __future__ import annotations

from pathlib import Path

import pytest

from redust.core.errors import SettingsError
from redust.training.config import Architecture, TrainConfig, fields, section_of


def test_every_field_has_one_name_and_a_description() -> None:
    names = [name for _, name, _ in fields()]
    assert len(names) == len(set(names))
    assert all(field.description for _, _, field in fields())


def test_survives_the_trip_through_toml(tmp_path: Path) -> None:
    config = TrainConfig.load(
        flags={
            "data": tmp_path / 'odd "name"',
            "mask_level": 128,
            "start": "unet",
            "channels": (8, 16, 24, 32),
            "rotations": (5.0,),
            "budget_minutes": 2.5,
            "architecture": "unet-thesis",
        }
    )
    (tmp_path / "run.toml").write_text(config.to_toml(), encoding="utf-8")
    assert TrainConfig.load(tmp_path / "run.toml") == config


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[data]\ndata = "pairs"\n[run]\nepochs = 3\n[model]\nfrom = "unet"\n', encoding="utf-8")
    config = TrainConfig.load(path, {"epochs": 5, "architecture": "cnn"})
    assert (config.run.epochs, config.model.architecture, config.model.start) == (5, Architecture.cnn, "unet")
    assert section_of("epochs") == "run"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nepochs = 3\n", "nothing to learn from"),
        ('[data]\ndata = "x"\nmask_levle = 3\n', "mask_levle"),
        ('[data]\ndata = "x"\n[run]\nepochs = 0\n', "run.epochs"),
        ('[data]\ndata = "x"\nrecipe = "r.toml"\n', "--photos"),
        ("[data\n", "cannot be read"),
    ],
)
def test_says_what_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        TrainConfig.load(path)
