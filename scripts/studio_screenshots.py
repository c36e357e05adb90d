"""Take the pictures of the studio that the docs show: the real page, on real scans, in both themes.

    python scripts/studio_screenshots.py FOLDER FIRST_SCAN [--output docs/images] [--chromium /usr/bin/chromium]

Those in docs/images show scans of film by J. M. Torrente (github.com/jmtorrente/sleek, MIT licence).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

_START = [sys.executable, "-c", "from redust.cli.entry import main; main()"]


def start_studio(folder: Path, output: Path) -> tuple[subprocess.Popen[str], str]:
    """The process, and the address of its page."""
    process = subprocess.Popen(
        [*_START, "studio", str(folder), "-o", str(output), "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    match = re.search(r"http://\S+", process.stdout.readline())
    assert match, "the studio did not start"
    return process, match.group()


def wait_for_picture(page: Page) -> None:
    """Wait until the figures are there and no tile has come for a second."""
    expect(page.locator(".figures")).to_contain_text("of the picture", timeout=300_000)
    expect(page.locator(".region").first).to_be_visible(timeout=60_000)
    page.wait_for_load_state("networkidle") if page.url.startswith("file:") else page.wait_for_timeout(1500)


def show_regions(page: Page, name: str) -> None:
    """A scan at 200 % around one of its largest regions."""
    page.get_by_role("button", name=name).click()
    wait_for_picture(page)
    page.get_by_label("Order").select_option("size")
    expect(page.get_by_label("Order")).to_have_value("size")
    page.wait_for_timeout(1000)
    page.keyboard.press("n")
    page.keyboard.press("2")


def take(page: Page, target: Path) -> None:
    """Write the window as JPEG."""
    page.wait_for_timeout(1500)
    page.screenshot(path=target, type="jpeg", quality=82)
    print(target, f"{target.stat().st_size / 1000:.0f} kB")


def take_dark(page: Page, name: str, output: Path) -> None:
    """The whole scan with its mask; strokes at 200 %."""
    page.get_by_role("button", name=name).click()
    wait_for_picture(page)
    take(page, output / "studio-look.jpg")
    page.keyboard.press("Escape")
    show_regions(page, name)
    page.keyboard.press("b")
    page.mouse.move(420, 330)
    page.mouse.down()
    page.mouse.move(560, 290, steps=8)
    page.mouse.move(640, 320, steps=8)
    page.mouse.up()
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.mouse.move(720, 560)
    page.mouse.down()
    page.mouse.move(900, 660, steps=8)
    page.mouse.up()
    page.keyboard.press("m")
    page.mouse.move(860, 420)
    take(page, output / "studio-correct.jpg")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def take_light(page: Page, name: str, output: Path) -> None:
    """Before and after; the contact sheet."""
    show_regions(page, name)
    with page.expect_response(lambda response: response.url.endswith("/repair"), timeout=120_000):
        page.get_by_role("button", name="Split").click()
    take(page, output / "studio-split.jpg")
    page.get_by_role("button", name="Before").click()
    page.keyboard.press("k")
    page.wait_for_timeout(500)
    page.keyboard.press("Escape") if page.locator(".editor").count() else None
    take(page, output / "studio-sheet.jpg")


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("first_scan")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as restored, sync_playwright() as playwright:
        process, url = start_studio(options.folder, Path(restored))
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        try:
            page = open_page(browser, url, "dark")
            take_dark(page, options.first_scan, options.output)
            page.emulate_media(color_scheme="light")
            page.keyboard.press("Escape")
            page.keyboard.press("Escape")
            take_light(page, options.first_scan, options.output)
        finally:
            browser.close()
            process.terminate()
            process.wait()


def open_page(browser: Browser, url: str, scheme: str) -> Page:
    """The contact sheet, in a window of a laptop's size."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    expect(page.locator(".card").first).to_be_visible(timeout=60_000)
    return page


if __name__ == "__main__":
    main()
