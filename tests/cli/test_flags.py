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
