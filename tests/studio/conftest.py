"""Studios for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from redust.studio.access_guard import Access
from redust.studio.app import make_app
from redust.studio.studio import Studio
from redust.studio.studio_settings import StudioSettings
from studio_desk import ADDRESS, TOKEN, Desk


@pytest.fixture
def open_desk(plugins: None, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Opens a studio: ``open_desk(path, detector="wary")``; the output folder is ``out``."""
    desks: list[Desk] = []

    def open_studio(*sources: Path, detector: str = "wary", **settings: Any) -> Desk:
        studio = Studio(sources, tmp_path / "out", StudioSettings(detector=detector, **settings))
        app = make_app(studio, Access(TOKEN, allowed_hosts=("testserver",)), tmp_path / "static")
        client = TestClient(app, ADDRESS, headers={"Authorization": f"Bearer {TOKEN}"})
        desks.append(Desk(studio, client))
        return desks[-1]

    yield open_studio
    for desk in desks:
        desk.client.close()
        desk.studio.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk], scan_file: Callable[..., Path]) -> Desk:
    """A studio with one scan of 600 x 500 pixels and 400 specks, not yet detected."""
    return open_desk(scan_file("roll/a.tif", height=500, width=600, specks=400).parent)


@pytest.fixture
def scan_id(desk: Desk) -> str:
    """Its scan, detected."""
    (scan,) = desk.ids
    desk.detect(scan)
    return scan
