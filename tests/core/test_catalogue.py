"""Engines are found by name, and two of one name are refused."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from redust.core import catalogue as module
from redust.core.catalogue import Catalogue, merge_tables
from redust.core.errors import EngineError, SettingsError, UnknownEngine


def plugin(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "redust.fills")


def test_an_engine_is_imported_when_asked_for() -> None:
    found = Catalogue("fill", {"ordered": "collections:OrderedDict", "broken": "no.such.module:Engine"}, "none")
    assert found.names() == ["ordered", "broken"]
    assert found.factory("ordered")() == {}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownEngine, match=r"no fill named `tela`. Choose one of: telea, fsr"):
        Catalogue("fill", {"telea": "a:b", "fsr": "c:d"}, "none").factory("tela")


@pytest.mark.parametrize("place", ["no.such.module:Engine", "collections:Engine", "collections"])
def test_an_engine_that_cannot_be_loaded_is_named(place: str) -> None:
    with pytest.raises(EngineError, match=r"`odd` cannot be loaded.*choose another") as caught:
        Catalogue("fill", {"odd": place}, "none").factory("odd")
    assert caught.value.__cause__ is not None


def test_plug_ins_come_after_the_built_in_by_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*, group: str) -> EntryPoints:
        return EntryPoints([plugin("theirs", "collections:abc.Sized [extra]")] if group == "redust.fills" else [])

    monkeypatch.setattr(module, "entry_points", found)
    listed = Catalogue("fill", {"ours": "collections:OrderedDict"}, "redust.fills")
    assert listed.names() == ["ours", "theirs"]
    assert listed.factory("theirs").__name__ == "Sized"


@pytest.mark.parametrize("first", [{"telea": "ours:fill"}, {}])
def test_two_of_one_name_are_refused(first: dict[str, str]) -> None:
    plugins = [plugin("telea", "theirs:fill"), plugin("telea", "others:fill")]
    with pytest.raises(SettingsError, match=r"Two fills are named `telea`: .* Uninstall one"):
        merge_tables("fill", first, plugins)


def test_the_same_engine_listed_twice_is_one() -> None:
    assert merge_tables("fill", {"a": "m:f"}, [plugin("a", "m:f"), plugin("a", "m:f")]) == {"a": "m:f"}
