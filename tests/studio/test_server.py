"""The command `redust studio` as a process: its address, its end, and a kill at any moment."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redust.cli.studio import choose_output
from redust.core.errors import SettingsError
from redust.studio.server import open_socket, url_of_socket
from studio_desk import wait_until

PROGRAM = "from redust.cli.entry import main; main()"
TOKEN = "a-token-that-is-long-enough"


class Server:
    """A running `redust studio`."""

    def __init__(self, *arguments: object) -> None:
        command = [
            sys.executable,
            "-c",
            PROGRAM,
            "studio",
            *map(str, arguments),
            "--no-browser",
            "--detector",
            "tophat",
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"REDUST_STUDIO_TOKEN": TOKEN},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.printed = self.process.stdout.readline()
        self.address = self.printed.split(" ")[-1].partition("/?")[0].strip()

    def call(self, method: str, path: str, data: Any = None) -> Any:
        request = urllib.request.Request(
            self.address + path, None if data is None else json.dumps(data).encode(),
            {"Authorization": f"Bearer {TOKEN}"}, method=method,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: object) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def test_the_address_answers_once_it_is_printed_and_the_end_is_clean(
    serve: Callable[..., Server], scan_file: Callable[..., Path]
) -> None:
    server = serve(scan_file("roll/a.png").parent)
    assert re.fullmatch(rf"ReDust studio: http://127\.0\.0\.1:\d+/\?token={TOKEN}\n", server.printed)
    assert server.call("GET", "/api/scans")["total"] == 1
    request = urllib.request.Request(server.address + "/api/events", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request) as stream:
        assert stream.readline() == b"retry: 1000\n"  # a page that listens does not hold up the end
        assert server.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_killing_the_server_loses_nothing(serve: Callable[..., Server], scan_file: Callable[..., Path]) -> None:
    roll = scan_file("roll/a.png", height=600, width=700, specks=60).parent
    server = serve(roll)
    (scan,) = server.call("GET", "/api/scans")["scans"]
    path = f"/api/scans/{scan['id']}"
    server.call("GET", f"{path}?open=1")
    wait_until(lambda: server.call("GET", path)["state"] == "detected")
    server.call("PATCH", f"{path}/settings", {"sensitivity": 0.7})
    for x in range(20, 420, 20):
        stroke = {"kind": "stroke", "tool": "brush", "points": [[x, 20], [x, 300]], "radius": 3}
        result = server.call("POST", f"{path}/edits", stroke)
    server.call("POST", f"{path}/export", {})
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    server = serve(roll)
    detail = server.call("GET", f"{path}?open=1")
    assert detail["history"] == result["history"] == {"undo": 20, "redo": 0}
    assert detail["settings"]["sensitivity"] == 0.7
    job = server.call("POST", f"{path}/export", {})
    wait_until(lambda: server.call("GET", f"/api/jobs/{job['id']}")["state"] == "done")
    assert (roll / "restored/a.png").is_file()
    assert [path.name for path in (roll / "restored").iterdir() if path.name.startswith(".tmp")] == []


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="--port"):
        open_socket("127.0.0.1", taken.getsockname()[1])


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    with open_socket("::1", 0) as opened:
        assert re.fullmatch(r"http://\[::1\]:\d+/\?token=x", url_of_socket(opened, "x"))


def test_results_go_into_the_folder_or_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "roll").mkdir()
    assert choose_output([tmp_path / "roll", tmp_path / "b.tif"]) == tmp_path / "roll/restored"
    assert choose_output([tmp_path / "b.tif"]) == tmp_path / "restored"


def test_a_short_token_is_refused(redust_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDUST_STUDIO_TOKEN", "short")
    ended = redust_command("studio")
    assert ended.code == 2
    assert "16 characters" in ended.err
