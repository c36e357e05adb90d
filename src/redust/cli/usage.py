"""How commands are explained: help of two columns within 80 characters, and sentences for what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand

from redust.core.errors import SettingsError

BASIC, ADVANCED = "Options", "Advanced"
_WIDEST_FLAG = 28
_TYPES = {
    "int": "N", "int range": "N", "float": "X", "float range": "X", "str": "NAME", "Path": "PATH",
}  # fmt: skip

# Typer has the classes of click but does not export all of them.
_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]


class Command(TyperCommand):
    """A command whose help lists its flags by panel, the basic ones first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and flags, one section for each panel."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], BASIC: []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                panels.setdefault(_panel_of(parameter), []).append((_shorten_flags(record[0]), record[1]))
        panels[ADVANCED] = panels.pop(ADVANCED, [])  # last
        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=_WIDEST_FLAG)


def _panel_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or BASIC


def _shorten_flags(flags: str) -> str:
    """The first column: ``--x / --no-x`` as ``--[no-]x``, an argument without its type, types as plain words."""
    if not flags.startswith("-"):
        flags = re.sub(r" <[^>]*>$", "", flags)
    flags = re.sub(r"--(\S+) / --no-\1", r"--[no-]\1", flags)
    return re.sub(r"<(?:list\[)?([^<>\[\]]*)\]?>$", lambda match: _TYPES.get(match[1], match[1]), flags)


@contextmanager
def explained_usage() -> Iterator[None]:
    """Raise a :class:`SettingsError` of one or two sentences for arguments that are not understood.

    Raises
    ------
    SettingsError
        In place of the parser's error.
    """
    try:
        yield
    except _USAGE_ERROR as error:
        raise SettingsError(_explain_usage(error)) from error


def _explain_usage(error: Any) -> str:
    command = error.ctx.command_path if error.ctx is not None else "redust"
    parameter = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and parameter is not None:
        flags = parameter.opts[:1] if parameter.param_type_name == "option" else []
        sentence = f"missing {' '.join([*flags, parameter.metavar or ''])}".rstrip() + "."
    else:
        message = error.format_message().strip().replace(": Value error, ", ": ")  # as pydantic says it
        sentence = message if message.endswith((".", "?")) else f"{message}."
        sentence += _suggest_choice(message)
    return f"{sentence} See `{command} --help`."


def _suggest_choice(message: str) -> str:
    """The choice that a value resembles which is none; empty if there is no such.

    >>> _suggest_choice("'egaer' is not one of 'shy', 'normal', 'eager'.")
    " Did you mean 'eager'?"
    """
    value, _, choices = message.partition(" is not one of ")
    similar = get_close_matches(value.rpartition(" ")[2].strip("'"), re.findall(r"'([^']+)'", choices), n=1)
    return f" Did you mean '{similar[0]}'?" if similar else ""
