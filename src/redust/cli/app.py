"""The commands of `redust`. A room adds its own in one module with a function ``register(app)``."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from redust.cli.usage import Command

# Each module is light: what a command needs is imported when it runs.
_ROOMS = (
    "redust.cli.restoring", "redust.cli.batch_commands", "redust.cli.showing", "redust.cli.training",
    "redust.cli.synthesizing", "redust.cli.studio",
)  # fmt: skip

app = typer.Typer(
    name="redust",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _print_version(wanted_version: bool) -> None:
    if wanted_version:
        from redust import __version__

        typer.echo(f"redust {__version__}")
        raise typer.Exit


@app.callback()
def redust(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  # its callback prints it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Find dust, hairs, scratches and cracks in scans, and repair only those pixels."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


for _room in _ROOMS:
    import_module(_room).register(app)
for _command in app.registered_commands:
    _command.cls, _command.no_args_is_help = Command, False
