"""A real browser on a real server. Without Chromium or the page, tests are skipped at the desk, and fail in CI."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import redust.studio

playwright_api = pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402
from running_studio import RunningStudio, wait_until_detected, write_dusty_scan  # noqa: E402

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
    """Writes a scan of its own: see `write_dusty_scan`."""

    def write(name: str = "scan.tif", **drawn: int) -> Path:
        (tmp_path / "scans").mkdir(exist_ok=True)
        return write_dusty_scan(tmp_path / "scans" / name, **drawn)

    return write


@pytest.fixture
def dusty_roll(dusty_scan: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a folder of scans: ``dusty_roll("a.tif", "b.tif")``."""

    def write(*names: str, **drawn: int) -> Path:
        return [dusty_scan(name, seed=index, **drawn) for index, name in enumerate(names)][-1].parent

    return write


@pytest.fixture
def start_studio(tmp_path: Path) -> Iterator[Callable[..., RunningStudio]]:
    """Starts a studio over scans or folders; all are stopped afterwards."""
    started: list[RunningStudio] = []

    def start(*scans: Path, detector: str = "unet") -> RunningStudio:
        started.append(RunningStudio(list(scans), tmp_path / "restored", detector=detector))
        started[-1].start()
        return started[-1]

    yield start
    for studio in started:
        studio.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def open_scan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningStudio]]:
    """Opens a scan of a studio that a module's tests share: ``open_scan(page, "clean-1.tif")``, one for each."""
    folder = tmp_path_factory.mktemp("shared") / "scans"
    folder.mkdir()
    for index in range(1, 7):
        write_dusty_scan(folder / f"clean-{index}.tif", specks=0, seed=index)
        write_dusty_scan(folder / f"dusty-{index}.tif", seed=index)
    studio = RunningStudio([folder], folder.parent / "restored", detector="tophat")  # drawn specks are like lamps
    studio.start()

    cookies: list[Any] = []

    def open_in(page: Page, name: str) -> RunningStudio:
        page.context.add_cookies(cookies)
        page.goto(studio.url.partition("?")[0] if cookies else studio.url)
        cookies[:] = page.context.cookies()  # the address with the token works once
        page.get_by_role("button", name=name).click()
        wait_until_detected(page)
        return studio

    yield open_in
    studio.stop(signal.SIGKILL)
