"""Flags made from a settings class: a choice is written once, there.

A command is a function whose last parameter is ``**choices``; :func:`with_flags` gives it one flag per field.
A flag that is not given is not among the choices, so that a preset can say something else.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from redust.cli.usage import ADVANCED, BASIC
from redust.core.settings_base import Settings

F = TypeVar("F", bound=Callable[..., None])

_METAVARS = {str: "NAME", int: "N", float: "X", Path: "PATH"}


def with_flags(
    settings: type[Settings], *, leave_out: tuple[str, ...] = (), basic: Collection[str] | None = None
) -> Callable[[F], F]:
    """Give a command the fields of `settings` as flags.

    Parameters
    ----------
    settings
        Its fields' names, types, bounds, defaults and descriptions become the flags and their help.
    leave_out
        Fields that are no flag of this command.
    basic
        Fields whose flags the help lists first; the others are advanced. Unless given, each flag stands under its
        settings class.

    Returns
    -------
    decorate
        For a function with a parameter ``**choices``, which gets the flags that were given.
    """

    def panel_of(name: str) -> str:
        if basic is None:
            return panel(settings, name)
        return BASIC if name in basic else ADVANCED

    def decorate(command: F) -> F:
        parameters = [item for item in _list_parameters(command) if item.kind is not inspect.Parameter.VAR_KEYWORD]
        fields = {name: field for name, field in settings.model_fields.items() if name not in leave_out}
        flags = [
            _make_parameter(name, field, panel_of(name))
            for name, field in sorted(fields.items(), key=lambda item: _base_depth(settings, item[0]))
        ]

        @functools.wraps(command)
        def call(*arguments: Any, **values: Any) -> None:
            absent = {name for name, value in values.items() if name in fields and _is_absent(value)}
            command(*arguments, **{name: value for name, value in values.items() if name not in absent})

        signature = inspect.Signature([*parameters, *flags])
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {name: item.annotation for name, item in signature.parameters.items()}
        return call  # type: ignore[return-value]

    return decorate


def _is_absent(value: Any) -> bool:
    return value is None or value == []


def flag_name(field: str) -> str:
    """The flag of a field: ``min_size`` is ``--min-size``."""
    return "--" + field.replace("_", "-")


def panel(settings: type[Settings], field: str) -> str:
    """The heading a flag stands under: what its settings class says of itself."""
    owner = settings.__mro__[_base_depth(settings, field)]
    return (owner.__doc__ or "").split("\n")[0].rstrip(".")


def _base_depth(settings: type[Settings], field: str) -> int:
    """How far up the line of base classes a field was first written."""
    return max(
        step for step, base in enumerate(settings.__mro__) if issubclass(base, Settings) and field in base.model_fields
    )


def describe(field: FieldInfo) -> str:
    """A field's description with its bounds and its default."""
    notes = list(_describe_bounds(field))
    if field.default is not None and field.default != ():
        notes.append(f"default {_format_default(field.default)}")
    description = (field.description or "").rstrip(".")
    return f"{description} ({', '.join(notes)})." if notes else f"{description}."


def _describe_bounds(field: FieldInfo) -> Iterator[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for constraint in field.metadata:
        for name, word in words.items():
            if (bound := getattr(constraint, name, None)) is not None:
                yield f"{word} {bound:g}"


def _list_parameters(command: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(command, eval_str=True).parameters.values())


def _make_parameter(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    parsed = any(isinstance(item, BeforeValidator) for item in field.metadata)  # from text that says more than a number
    kind = str if parsed else _flag_type(field.annotation)
    switch = f"{flag_name(name)}/--no-{flag_name(name)[2:]}" if kind is bool else flag_name(name)
    option = typer.Option(
        switch,
        help=describe(field),
        show_default=False,
        rich_help_panel=panel,
        metavar="SHARE" if parsed else _METAVARS.get(kind),
    )
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """The type a command line can carry: ``int | None`` is ``int``, a tuple is a list, a literal is text."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        annotation = kinds[0] if len(kinds) == 1 else str
    if get_origin(annotation) is Literal:
        return str
    if get_origin(annotation) in (tuple, list):
        return list[get_args(annotation)[0]]  # type: ignore[misc]
    return annotation


def _format_default(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"{default:g}" if isinstance(default, float) else str(default)
