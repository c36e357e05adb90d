"""A studio in this process, with a client that bears its token."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from redust.studio.studio import Studio

TOKEN = "a-token-of-some-length"
ADDRESS = "http://127.0.0.1:8000"


@dataclass
class Desk:
    """A studio and its client."""

    studio: Studio
    client: TestClient

    @property
    def ids(self) -> list[str]:
        return self.studio.library.ids()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that is a success."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, data: Any = None) -> Any:
        """Send JSON; the JSON of an answer that is a success."""
        answer = self.client.request(method, path, json=data)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def edit(self, scan_id: str, **edit: Any) -> Any:
        """Carry out an edit."""
        return self.send("POST", f"/api/scans/{scan_id}/edits", edit)

    def wait(self, job: Any, state: str = "done") -> Any:
        """Wait for a job's end."""
        path = f"/api/jobs/{job['id']}"
        wait_until(lambda: self.get(path)["state"] not in ("queued", "running"), 300)
        record = self.get(path)
        assert record["state"] == state, record
        return record

    def detect(self, scan_id: str) -> Any:
        """Detect a scan and wait for it; its detail."""
        self.wait(self.send("POST", f"/api/scans/{scan_id}/detect"))
        return self.get(f"/api/scans/{scan_id}")

    def settle(self, scan_id: str) -> Any:
        """Wait until the whole scan is decided; its detail."""
        wait_until(lambda: self.studio.open(scan_id).decision is not None and not self.studio.jobs.is_counting)
        return self.get(f"/api/scans/{scan_id}")

    def export(self, scan_id: str) -> Path:
        """Export a scan and wait for it; the file."""
        result = self.wait(self.send("POST", f"/api/scans/{scan_id}/export", {}))["result"]
        return self.studio.output / result["path"]


def wait_until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until a condition is true; what it answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.01)
    raise TimeoutError
