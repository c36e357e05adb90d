"""Take the pictures of the studio that the docs show: the real page, on real scans, in both themes.

    python scripts/studio_screenshots.py FOLDER DARK_SCAN LIGHT_SCAN [--output docs/images] [--chromium PROGRAM]

Those in docs/images show scans of film by jmtorrente (github.com/jmtorrente/sleek, MIT licence).
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


def open_scan(page: Page, name: str) -> None:
    """Open a scan and wait for its regions."""
    page.get_by_role("button", name=name).click()
    expect(page.locator(".figures")).to_contain_text("of the picture", timeout=300_000)
    expect(page.locator(".region").first).to_be_visible(timeout=60_000)


def show_largest_region(page: Page, zoom: str) -> None:
    """Bring the largest region into the middle; zoom is the key for it."""
    with page.expect_response(lambda response: "sort=size" in response.url):
        page.get_by_label("Order").select_option("size")
    page.keyboard.press(zoom)
    expect(page.locator(".zoom-bar output")).to_have_text(f"{zoom}00 %")
    page.keyboard.press("n")
    page.wait_for_timeout(1000)  # the movement ends


def take(page: Page, target: Path) -> None:
    """Write the window as JPEG."""
    page.wait_for_timeout(1500)
    page.screenshot(path=target, type="jpeg", quality=82)
    print(target, f"{target.stat().st_size / 1000:.0f} kB")


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Draw with the mouse."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def take_dark(page: Page, name: str, output: Path) -> None:
    """The whole scan with its mask; corrections at 200 %."""
    open_scan(page, name)
    take(page, output / "studio-look.jpg")
    show_largest_region(page, "2")
    page.keyboard.press("b")
    drag(page, (330, 300), (420, 262), (500, 280), (560, 250))
    page.keyboard.press("g")
    page.keyboard.press("m")
    drag(page, (760, 560), (940, 660))
    page.keyboard.press("m")
    page.mouse.move(880, 420)
    take(page, output / "studio-correct.jpg")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")


def take_light(page: Page, name: str, output: Path) -> None:
    """Before and after; the contact sheet."""
    open_scan(page, name)
    show_largest_region(page, "1")
    page.get_by_role("button", name="Split").click()
    expect(page.locator(".stage-note")).to_have_text("Repairing what is on screen …")
    expect(page.locator(".stage-note")).to_have_text("", timeout=120_000)
    take(page, output / "studio-split.jpg")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text(name)
    page.keyboard.press("Escape")
    page.mouse.move(700, 850)
    take(page, output / "studio-sheet.jpg")


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("dark_scan")
    parser.add_argument("light_scan")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as restored, sync_playwright() as playwright:
        process, url = start_studio(options.folder, Path(restored))
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        try:
            page = open_page(browser, url, "dark")
            take_dark(page, options.dark_scan, options.output)
            page.emulate_media(color_scheme="light")
            take_light(page, options.light_scan, options.output)
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
