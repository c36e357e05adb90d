"""Flags come from the settings, all of them, and one that is not given is not there."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from redust.cli.flags import describe, flag_name, panel, with_flags
from redust.core.errors import SettingsError
from redust.core.settings import DetectSettings, RepairSettings, RestoreSettings, ScanSettings
from redust.core.settings_base import Settings


class Mood(StrEnum):
    calm = "calm"
    wild = "wild"


class Base(Settings):
    """How it begins."""

    sizes: Annotated[tuple[int, ...], Field(description="Some sizes.")] = ()


class Drawn(Base):
    """How a test is drawn. And more."""

    much: Annotated[float | None, Field(gt=0, le=2, description="How much.")] = None
    mood: Annotated[Mood, Field(description="The mood.")] = Mood.calm
    kind: Annotated[Literal["a", "b"], Field(description="The kind.")] = "a"
    loud: Annotated[bool, Field(description="Whether loud.")] = False
    hidden: Annotated[int, Field(description="Not shown.")] = 1


@pytest.fixture
def asked() -> tuple[list[dict[str, Any]], typer.Typer]:
    """A command with the flags of `Drawn`, and what it was called with."""
    calls: list[dict[str, Any]] = []
    app = typer.Typer()

    @app.command()
    @with_flags(Drawn, leave_out=("hidden",))
    def draw(name: str, *, twice: bool = False, **choices: Any) -> None:
        calls.append({"name": name, "twice": twice, **choices})

    return calls, app


@pytest.mark.parametrize(
    ("flags", "choices"),
    [
        ([], {}),
        (["--much", "0.5"], {"much": 0.5}),
        (["--loud"], {"loud": True}),
        (["--no-loud"], {"loud": False}),
        (["--mood", "wild"], {"mood": Mood.wild}),
        (["--kind", "b"], {"kind": "b"}),
        (["--sizes", "1", "--sizes", "2"], {"sizes": [1, 2]}),
    ],
)
def test_only_flags_that_are_given_are_choices(
    asked: tuple[list[dict[str, Any]], typer.Typer], flags: list[str], choices: dict[str, Any]
) -> None:
    calls, app = asked
    assert CliRunner().invoke(app, ["x", *flags]).exit_code == 0
    assert calls == [{"name": "x", "twice": False, **choices}]
    Drawn.of(**choices)


@pytest.mark.parametrize("flags", [["--hidden", "3"], ["--much", "x"], ["--mood", "sad"], ["--mumble"]])
def test_others_are_refused(asked: tuple[list[dict[str, Any]], typer.Typer], flags: list[str]) -> None:
    calls, app = asked
    assert CliRunner().invoke(app, ["x", *flags]).exit_code == 2
    assert calls == []


def test_the_help_tells_meaning_bounds_and_default() -> None:
    fields = Drawn.model_fields
    assert describe(fields["much"]) == "How much (above 0, at most 2)."
    assert describe(fields["mood"]) == "The mood (default calm)."
    assert describe(fields["loud"]) == "Whether loud (default no)."
    assert describe(fields["sizes"]) == "Some sizes."


def test_flags_stand_under_the_class_that_first_wrote_them() -> None:
    assert panel(Drawn, "much") == "How a test is drawn. And more"
    assert panel(Drawn, "sizes") == "How it begins"
    assert panel(RestoreSettings, "grow") == "How a scan becomes a mask"


@pytest.mark.parametrize(
    ("command", "settings"), [("restore", RestoreSettings), ("detect", DetectSettings), ("repair", RepairSettings)]
)
def test_every_setting_is_a_flag_of_its_command(command: str, settings: type[ScanSettings]) -> None:
    from redust.cli.app import app

    (callback,) = (one.callback for one in app.registered_commands if one.callback.__name__ == command)
    parameters = inspect.signature(callback).parameters
    assert set(settings.model_fields) <= set(parameters)
    assert {flag_name("min_size"), flag_name("level")} == {"--min-size", "--level"}


@pytest.mark.parametrize("settings", [DetectSettings, RepairSettings, RestoreSettings, ScanSettings])
def test_every_flag_says_what_it_does_in_a_sentence_with_its_bounds(settings: type[Settings]) -> None:
    for name, field in settings.model_fields.items():
        text = describe(field)
        assert text.endswith("."), name
        assert text.count("default ") <= 1 + text.count("by default")
        assert panel(settings, name), name
        for bound in ("ge", "le", "gt", "lt"):
            for constraint in field.metadata:
                if (value := getattr(constraint, bound, None)) is not None:
                    assert f"{value:g}" in text, name


def test_a_flag_may_be_basic_or_advanced() -> None:
    app = typer.Typer()

    @app.command()
    @with_flags(Drawn, basic=("much",))
    def draw(**choices: Any) -> None:
        pass

    parameters = inspect.signature(draw).parameters
    panels = {name: item.annotation.__metadata__[0].rich_help_panel for name, item in parameters.items()}
    assert panels["much"] == "Options"
    assert {title for name, title in panels.items() if name != "much"} == {"Advanced"}


def test_a_command_keeps_its_name_its_help_and_its_own_parameters(
    asked: tuple[list[dict[str, Any]], typer.Typer],
) -> None:
    (command,) = asked[1].registered_commands
    assert command.callback is not None
    assert command.callback.__name__ == "draw"
    parameters = list(inspect.signature(command.callback).parameters)
    assert parameters[:2] == ["name", "twice"]
    assert set(parameters[2:]) == set(Drawn.model_fields) - {"hidden"}


def test_what_a_flag_refuses_its_settings_refuse_too(asked: tuple[list[dict[str, Any]], typer.Typer]) -> None:
    calls, app = asked
    assert CliRunner().invoke(app, ["x", "--much", "3"]).exit_code == 0
    with pytest.raises(SettingsError, match="much"):
        Drawn.of(**{name: value for name, value in calls[0].items() if name in Drawn.model_fields})
