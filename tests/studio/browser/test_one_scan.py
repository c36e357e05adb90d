"""One scan in a real browser: look, decide, correct, restore."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect
from running_studio import (
    AUTOMATIC,
    BY_HAND,
    NOTHING,
    RunningStudio,
    count_regions,
    drag,
    middle,
    redust,
    wait_for_tint,
    wait_until_detected,
)

Starts = Callable[..., RunningStudio]
Writes = Callable[..., Path]


def open_scan(page: Page, studio: RunningStudio) -> None:
    """A single scan opens at once."""
    page.goto(studio.url)
    wait_until_detected(page)


def test_what_the_page_exports_is_what_the_command_line_writes(
    page: Page, dusty_scan: Writes, start_studio: Starts, tmp_path: Path
) -> None:
    scan = dusty_scan()
    studio = start_studio(scan)
    open_scan(page, studio)
    page.get_by_text("Repair", exact=True).click()
    page.get_by_label("Fill").select_option("telea")
    page.get_by_label("Sensitivity").fill("1")
    eager = studio.output / "scan.tif"
    with page.expect_response(lambda response: response.url.endswith("/settings") and response.ok):
        pass
    page.keyboard.press("Control+e")
    expect(page.get_by_text("Exported:")).to_be_visible()
    redust("restore", scan, "-o", tmp_path / "eager.tif", "--detector", "tophat", "--fill", "telea", "--sensitivity", "eager")
    assert eager.read_bytes() == (tmp_path / "eager.tif").read_bytes()
