from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from redust.core.errors import SettingsError
from redust.models.card import ModelCard
from redust.synthesis.recipe import Recipe
from redust.training.config import Task, TrainConfig, find_field, list_fields
from redust.training.result import CardText

RECIPES = Path(__file__).parents[2] / "recipes"


def test_every_field_has_one_name_and_a_description() -> None:
    names = [name for _, name, _ in list_fields()]
    assert len(names) == len(set(names)) <= 39
    assert all(field.description for _, _, field in list_fields())


def test_survives_the_trip_through_toml(tmp_path: Path) -> None:
    config = TrainConfig.load(
        flags={
            "data": tmp_path / 'odd "name"',
            "mask_level": 128,
            "start": "unet",
            "channels": (8, 16, 24, 32),
            "teacher": ("unet", "other"),
            "budget_minutes": 2.5,
            "augment": "tone",
        }
    )
    (tmp_path / "run.toml").write_text(config.to_toml(), encoding="utf-8")
    assert TrainConfig.load(tmp_path / "run.toml") == config


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[data]\ndata = "pairs"\n[run]\nepochs = 3\n[model]\nfrom = "unet"\n', encoding="utf-8")
    config = TrainConfig.load(path, {"epochs": 5, "task": "generator"})
    assert (config.run.epochs, config.run.task, config.model.start) == (5, Task.generator, "unet")
    assert find_field("epochs")[0] == "run"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_loads(path: Path) -> None:
    if path.stem in ("damage", "usual-scan", "regions-drawn"):
        assert Recipe.from_preset(path).kinds
    elif path.stem == "regions-card":
        assert tomllib.loads(path.read_text(encoding="utf-8")).keys() <= ModelCard.model_fields.keys()
    elif path.stem == "unet-card":
        assert CardText.from_preset(path).licence
    else:
        source = "material" if path.stem == "unet" else "data"
        assert TrainConfig.load(path, {source: Path("folder")}).run.task in Task


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nepochs = 3\n", "no training data"),
        ('[data]\ndata = "x"\nmask_levle = 3\n', "mask_levle"),
        ('[data]\ndata = "x"\n[run]\nepochs = 0\n', "run.epochs"),
        ('[data]\ndata = "x"\nrecipe = "r.toml"\n', "--photos"),
        ('[data]\ndata = "x"\n[loss]\nlabel_cleaning = 0.1\n', "--teacher"),
        ('[data]\ndata = "x"\n[model]\nfreeze_batchnorm = true\n', "--from"),
        ('[data]\ndata = "x"\n[model]\nteacher = "unet"\n[run]\ntask = "fill"\n', "has no teacher"),
        ("[data\n", "cannot be read"),
    ],
)
def test_says_what_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        TrainConfig.load(path)
