"""Engines are found by name: a table of strings inside, entry points outside, one lazy resolver.

Built-ins get no privilege: same resolver, same contract tests. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

from redust.core.engines import check_engine
from redust.core.errors import EngineError, RedustError, SettingsError, UnknownEngine


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
    model
        ``"module:factory"`` of the engine that runs a model folder; None where there is none.
    protocol
        What every engine must be by its contract; None to check nothing.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, str],
        group: str,
        *,
        model: str | None = None,
        protocol: type | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)
        self._model = model
        self._protocol = protocol

    def _table(self) -> dict[str, str]:
        return merge_tables(self.kind, self._builtin, entry_points(group=self.group))

    def names(self) -> list[str]:
        """All names, built-ins first."""
        return list(self._table())

    def factory(self, name: str) -> Callable[..., Any]:
        """The callable that makes the engine `name`.

        Raises
        ------
        UnknownEngine
            If there is none of that name.
        EngineError
            If it is listed but cannot be imported.
        """
        table = self._table()
        if name not in table:
            raise UnknownEngine(f"There is no {self.kind} named `{name}`. Choose one of: {', '.join(table)}.")
        with self._explained(name, table[name]):
            return import_factory(table[name])

    def make(self, name: str, **offered: Any) -> Any:
        """Make the engine `name`, or the one that runs a model folder; its factory gets what it has parameters for.

        Parameters
        ----------
        name
            A name of the catalogue, or where there is a `model` the path of a model folder: anything with a path
            separator, or an existing folder that holds a ``card.json``.

        Raises
        ------
        UnknownEngine, EngineError
            As :meth:`factory`; the latter also if the factory fails, or the engine breaks its contract.
        """
        if self._model is not None and self._is_folder(name):
            return call_factory(import_factory(self._model), Path(name), **offered)
        factory = self.factory(name)
        with self._explained(name, self._table()[name]):
            engine = call_factory(factory, **offered)
        if self._protocol is not None:
            check_engine(engine, self._protocol)
        return engine

    def _is_folder(self, name: str) -> bool:
        folder = Path(name)
        return name not in self._table() and (len(folder.parts) > 1 or (folder / "card.json").is_file())

    @contextmanager
    def _explained(self, name: str, location: str) -> Iterator[None]:
        """Name the engine that cannot be loaded; a plug-in may fail in any way, even leave the program."""
        try:
            yield
        except RedustError:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and type(error) is not SystemExit:
                raise  # the program is told to end
            reason = f"{type(error).__name__}: {error}"
            raise EngineError(
                f"The {self.kind} `{name}` cannot be loaded from {location} ({reason}). "
                "Install what it needs, or choose another."
            ) from error


def import_factory(location: str) -> Callable[..., Any]:
    """The callable at ``"module:factory"``."""
    module, _, attribute = location.partition(":")
    factory: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module))
    return factory


def call_factory(factory: Callable[..., Any], *arguments: Any, **offered: Any) -> Any:
    """Call a factory with what it has parameters for."""
    parameters = inspect.signature(factory).parameters
    return factory(*arguments, **{key: value for key, value in offered.items() if key in parameters})


def merge_tables(kind: str, builtin: Mapping[str, str], plugins: Iterable[EntryPoint]) -> dict[str, str]:
    """Built-ins and plug-ins in one table.

    Raises
    ------
    SettingsError
        If two go by one name: neither is preferred in silence.
    """
    table = dict(builtin)
    for plugin in plugins:
        location = plugin.value.partition("[")[0].replace(" ", "")  # without the extras it needs
        if table.setdefault(plugin.name, location) != location:
            raise SettingsError(
                f"Two {kind}s are named `{plugin.name}`: {table[plugin.name]} and {location}. Uninstall one."
            )
    return table
