"""The commands of `redust`. A room adds its own in one module with a function ``register(app)``."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

# Each module is light: what a command needs is imported when it runs.
_ROOMS = ("redust.cli.restoring", "redust.cli.showing", "redust.cli.training", "redust.cli.synthesizing")

app = typer.Typer(
    name="redust",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(asked: bool) -> None:
    if asked:
        from redust import __version__

        typer.echo(f"redust {__version__}")
        raise typer.Exit


@app.callback()
def redust(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Find dust, hairs, scratches and cracks in scans, and repair only those pixels."""


for _room in _ROOMS:
    import_module(_room).register(app)
