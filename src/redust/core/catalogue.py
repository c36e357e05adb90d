"""Engines are found by name: a table of strings inside, entry points outside, one lazy resolver.

Built-ins get no privilege: same door, same contract tests. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any

from redust.core.errors import EngineError, SettingsError, UnknownEngine


class Catalogue:
    """Names and where their engines are made.

    Parameters
    ----------
    kind
        What is listed, in the singular, for messages: ``"detector"``.
    builtin
        Name to ``"module:factory"``.
    group
        The entry-point group in which others add theirs, such as ``redust.detectors``.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str], group: str) -> None:
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)

    def _found(self) -> dict[str, str]:
        return merged(self.kind, self._builtin, entry_points(group=self.group))

    def names(self) -> list[str]:
        """All names, built-ins first."""
        return list(self._found())

    def factory(self, name: str) -> Callable[..., Any]:
        """The callable that makes the engine `name`.

        Raises
        ------
        UnknownEngine
            If there is none of that name.
        EngineError
            If it is listed but cannot be imported.
        """
        found = self._found()
        if name not in found:
            raise UnknownEngine(f"There is no {self.kind} named `{name}`. Choose one of: {', '.join(found)}.")
        module, _, attribute = found[name].partition(":")
        try:
            made: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module))
        except (ImportError, AttributeError) as error:
            raise EngineError(
                f"The {self.kind} `{name}` cannot be loaded from {found[name]}: {error}. "
                "Install what it needs, or choose another."
            ) from error
        return made

    def make(self, name: str, **offered: Any) -> Any:
        """Make the engine `name`; its factory gets what it has parameters for.

        Raises
        ------
        UnknownEngine, EngineError
            As :meth:`factory`.
        """
        factory = self.factory(name)
        taken = inspect.signature(factory).parameters
        return factory(**{key: value for key, value in offered.items() if key in taken})


def merged(kind: str, builtin: Mapping[str, str], plugins: Iterable[EntryPoint]) -> dict[str, str]:
    """Built-ins and plug-ins in one table.

    Raises
    ------
    SettingsError
        If two go by one name: neither is preferred in silence.
    """
    table = dict(builtin)
    for plugin in plugins:
        place = f"{plugin.module}:{plugin.attr}"
        if table.setdefault(plugin.name, place) != place:
            raise SettingsError(
                f"Two {kind}s are named `{plugin.name}`: {table[plugin.name]} and {place}. Uninstall one."
            )
    return table
