"""Flags made from a settings class: a choice is written once, there.

A command is a function whose last parameter is ``**choices``; :func:`with_flags` gives it one flag per field.
A flag that is not given is not among the choices, so that a preset can say something else.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from redust.core.settings import Settings

F = TypeVar("F", bound=Callable[..., None])


def with_flags(settings: type[Settings], *, leave_out: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Give a command the fields of `settings` as flags.

    Parameters
    ----------
    settings
        Its fields' names, types, bounds, defaults and descriptions become the flags and their help.
    leave_out
        Fields that are no flag of this command.

    Returns
    -------
    decorate
        For a function with a parameter ``**choices``, which gets the flags that were given.
    """

    def decorate(command: F) -> F:
        own = [one for one in _parameters(command) if one.kind is not inspect.Parameter.VAR_KEYWORD]
        fields = {name: field for name, field in settings.model_fields.items() if name not in leave_out}
        flags = [
            _parameter(name, field, panel(settings, name))
            for name, field in sorted(fields.items(), key=lambda item: _seniority(settings, item[0]))
        ]

        @functools.wraps(command)
        def called(*args: Any, **given: Any) -> None:
            command(*args, **{name: value for name, value in given.items() if name not in fields or not _absent(value)})

        signature = inspect.Signature([*own, *flags])
        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
        return called  # type: ignore[return-value]

    return decorate


def _absent(value: Any) -> bool:
    return value is None or value == []


def flag_name(field: str) -> str:
    """The flag of a field: ``min_size`` is ``--min-size``."""
    return "--" + field.replace("_", "-")


def panel(settings: type[Settings], field: str) -> str:
    """The heading a flag stands under: what its settings class says of itself."""
    owner = settings.__mro__[_seniority(settings, field)]
    return (owner.__doc__ or "").split("\n")[0].rstrip(".")


def _seniority(settings: type[Settings], field: str) -> int:
    """How far up the line of base classes a field was first written."""
    line = settings.__mro__
    return max(step for step, one in enumerate(line) if issubclass(one, Settings) and field in one.model_fields)


def describe(field: FieldInfo) -> str:
    """A field's description with its bounds and its default."""
    notes = list(_bounds(field))
    if field.default is not None and field.default != ():
        notes.append(f"default {_shown(field.default)}")
    said = (field.description or "").rstrip(".")
    return f"{said} ({', '.join(notes)})." if notes else f"{said}."


def _bounds(field: FieldInfo) -> Iterator[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for constraint in field.metadata:
        for name, word in words.items():
            if (bound := getattr(constraint, name, None)) is not None:
                yield f"{word} {bound:g}"


def _parameters(command: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(command, eval_str=True).parameters.values())


def _parameter(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    kind = _flag_type(field.annotation)
    switch = f"{flag_name(name)}/--no-{flag_name(name)[2:]}" if kind is bool else flag_name(name)
    option = typer.Option(switch, help=describe(field), show_default=False, rich_help_panel=panel)
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """The type a command line can carry: ``int | None`` is ``int``, a tuple is a list, a literal is text."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is Literal:
        return str
    if get_origin(annotation) in (tuple, list):
        return list[get_args(annotation)[0]]  # type: ignore[misc]
    return annotation


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"{default:g}" if isinstance(default, float) else str(default)
