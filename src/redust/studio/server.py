"""Serves the application until it is stopped."""

from __future__ import annotations

import errno
import socket

import uvicorn
from starlette.types import ASGIApp

from redust.core.errors import SettingsError

_CLOSING_SECONDS = 2


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises
    ------
    SettingsError
        If it cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        advice = "Choose another with --port." if error.errno == errno.EADDRINUSE else "Check --host and --port."
        raise SettingsError(f"The studio cannot listen on {host}:{port}: {error.strerror}. {advice}") from error
    return opened


def url_of_socket(opened: socket.socket, token: str = "") -> str:
    """The address of the page, with the token that opens a session."""
    host, port = opened.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def serve(app: ASGIApp, opened: socket.socket) -> None:
    """Serve until Ctrl-C or a request to terminate."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, date_header=False, proxy_headers=False,
        timeout_graceful_shutdown=_CLOSING_SECONDS, lifespan="off", ws="none",
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[opened])
