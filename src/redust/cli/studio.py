"""The command that opens the studio: `studio`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from redust.cli.flags import with_flags
from redust.cli.usage import BASIC
from redust.studio.studio_settings import StudioSettings

TOKEN_VARIABLE = "REDUST_STUDIO_TOKEN"
_MIN_TOKEN = 16  # characters


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(with_flags(StudioSettings, basic=frozenset({"port", "host", "detector"}))(studio))


def studio(
    scans: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SCAN|DIR", show_default=False, help="Scans, or folders of them."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", rich_help_panel=BASIC, show_default=False,
                     help="The output folder; `restored` in or beside what is opened unless given."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    **choices: Any,
) -> None:  # fmt: skip
    """Look at scans, correct what is marked and restore them, in the browser.

    Everything stays on this machine. What you decide is saved at once: stop with
    Ctrl-C and go on later.

    \b
    redust studio scan.tif
    redust studio roll/ -o restored/
    """
    from redust.studio.access_guard import Access
    from redust.studio.app import make_app
    from redust.studio.server import open_socket, serve, url_of_socket
    from redust.studio.studio import Studio, log_refusals

    settings, token = StudioSettings.of(**choices), _find_token()
    opened = open_socket(settings.host, settings.port)
    running = Studio(scans or [], output or choose_output(scans or []), settings)
    try:
        log_refusals(running)
        url = url_of_socket(opened, token)
        typer.echo(f"ReDust studio: {url}")
        scan_count = len(running.library.ids())
        subject = "1 scan" if scan_count == 1 else f"{scan_count} scans"
        typer.echo(f"{subject}; results go to {running.output}. Ctrl-C ends.", err=True)
        if browser:
            _open_browser(url)
        serve(make_app(running, Access(token, settings.host, settings.allow_host)), opened)
    finally:
        running.close()


def choose_output(scans: list[Path]) -> Path:
    """The output folder where none is named: `restored` in the first folder, or beside the first file."""
    if not scans:
        return Path("restored")
    return (scans[0] if scans[0].is_dir() else scans[0].parent) / "restored"


def _find_token() -> str:
    """The token of the environment, or a new one."""
    from secrets import token_urlsafe

    from redust.core.errors import SettingsError

    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and len(token) < _MIN_TOKEN:
        raise SettingsError(f"{TOKEN_VARIABLE} is shorter than {_MIN_TOKEN} characters. Make it longer, or unset it.")
    return token or token_urlsafe(24)


def _open_browser(url: str) -> None:
    """Open the page once the server answers."""
    import threading
    import webbrowser

    threading.Timer(0.5, webbrowser.open, [url]).start()
