"""A real browser on a real server. Without Chromium or the built page the tests are skipped at the desk, and fail in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import redust.studio
from redust.core.scan import Scan
from redust.files import write_scan

playwright_api = pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402
from running_studio import RunningStudio  # noqa: E402

STUDIO = Path(redust.studio.__file__).parent
CHROMIUM = os.environ.get("REDUST_CHROMIUM") or shutil.which("chromium")
AXE = STUDIO / "web/node_modules/axe-core/axe.min.js"


def _require(available: object, reason: str) -> None:
    if not available:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a process."""
    _require(CHROMIUM, "Chromium is not installed (Debian: chromium); or set REDUST_CHROMIUM")
    _require((STUDIO / "static/index.html").is_file(), "the studio's page was not built: install ReDust again with npm")
    with sync_playwright() as playwright:
        # Root may run Chromium only without its sandbox; the pages are our own.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def axe() -> Path:
    """The script of axe-core."""
    _require(AXE.is_file(), "axe-core is not installed: run scripts/check, or npm ci in src/redust/studio/web")
    return AXE


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a fresh window. Afterwards its console must hold no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(15_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    unexpected = [error for error in errors if "Failed to load resource" not in error and "ERR_" not in error]
    assert not unexpected


@pytest.fixture
def dusty_scan(tmp_path: Path) -> Callable[..., Path]:
    """Writes a 16-bit scan of 720 x 540 pixels with grain and specks, from faint to plain; ``specks=0`` for none."""

    def write(name: str = "scan.tif", specks: int = 40, seed: int = 0) -> Path:
        random = np.random.default_rng(seed)
        rows, columns = np.mgrid[0:540, 0:720]
        light = 0.3 + 0.2 * np.sin(rows / 90) * np.cos(columns / 130) + random.normal(0, 0.004, rows.shape)
        for index, (row, column) in enumerate(zip(random.integers(8, 530, specks), random.integers(8, 710, specks), strict=True)):
            light[row : row + 3, column : column + 3] += 0.06 + 0.4 * index / specks
        pixels = (np.clip(light, 0, 1)[..., None] * 65535).astype(np.uint16).repeat(3, axis=2)
        path = tmp_path / "scans" / name
        path.parent.mkdir(exist_ok=True)
        write_scan(Scan(pixels), path)
        return path

    return write


@pytest.fixture
def start_studio(tmp_path: Path) -> Iterator[Callable[..., RunningStudio]]:
    """Starts a studio over scans or folders; all are stopped afterwards."""
    started: list[RunningStudio] = []

    def start(*scans: Path) -> RunningStudio:
        studio = RunningStudio(list(scans), tmp_path / "restored")
        studio.start()
        started.append(studio)
        return studio

    yield start
    for studio in started:
        studio.stop()
