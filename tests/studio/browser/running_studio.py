"""A studio in a process of its own, and what tests read off its page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, expect

from redust.core.scan import Scan
from redust.files import write_scan

_START = [sys.executable, "-c", "from redust.cli.entry import main; main()"]
TOKEN = "a-token-for-the-browser-tests"


@dataclass
class RunningStudio:
    """``redust studio`` over these scans, on a port of its own."""

    scans: list[Path]
    output: Path
    port: int = 0
    url: str = ""
    detector: str = "unet"
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait for its address."""
        command = [
            *_START, "studio", *map(str, self.scans), "-o", str(self.output), "--port", str(self.port), "--no-browser",
            "--detector", self.detector,
        ]  # fmt: skip
        environment = os.environ | {"REDUST_STUDIO_TOKEN": TOKEN}
        log = (self.output.parent / "studio.log").open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        log.close()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/\S*", line)
        assert match, f"the studio did not start: {line!r}, {(self.output.parent / 'studio.log').read_text()}"
        self.url, self.port = match.group(), int(match.group(1))

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it: politely, or with SIGKILL as a crash would."""
        if self.process is None:
            return
        self.process.send_signal(sign)
        self.process.communicate(timeout=20)
        self.process = None


def write_dusty_scan(path: Path, specks: int = 40, seed: int = 0, orientation: int = 1) -> Path:
    """A 16-bit scan of 720 x 540 pixels with grain and specks, from faint to plain, one of them in the very middle."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:540, 0:720]
    light = 0.3 + 0.2 * np.sin(rows / 90) * np.cos(columns / 130) + random.normal(0, 0.004, rows.shape)
    for index in range(specks):
        row, column = (268, 358) if index == specks - 1 else random.integers(8, (530, 710))
        light[row : row + 4, column : column + 4] += 0.015 + 0.4 * index / specks
    pixels = (np.clip(light, 0, 1)[..., None] * 65535).astype(np.uint16).repeat(3, axis=2)
    write_scan(Scan(pixels, orientation=orientation), path)
    return path


def redust(*arguments: object) -> None:
    """Run the command line in a process of its own, as a person would."""
    subprocess.run([*_START, *map(str, arguments)], check=True, capture_output=True)


def wait_until_detected(page: Page) -> None:
    """Wait for the figures of the open scan."""
    expect(page.locator(".figures")).to_contain_text(re.compile("of the picture|Nothing found"), timeout=20_000)


def count_regions(page: Page) -> int:
    """The number of regions that the page states."""
    text = page.locator(".figures").inner_text()
    match = re.match(r"([\d,]+) region", text)
    return int(match.group(1).replace(",", "")) if match else 0


_COLOUR = """([x, y]) => {
  const layer = document.querySelector('.mask-layer');
  const ratio = layer.width / layer.clientWidth;
  const box = layer.getBoundingClientRect();
  return [...layer.getContext('2d').getImageData((x - box.left) * ratio, (y - box.top) * ratio, 1, 1).data];
}"""


def wait_for_tint(page: Page, position: tuple[float, float], condition: str) -> None:
    """Wait until the mask's colour at a position of the window meets a condition on `[red, green, blue, alpha]`."""
    page.wait_for_function(f"(at) => {{ const [r, g, b, a] = ({_COLOUR})(at); return {condition}; }}", arg=position)


#: Conditions on the mask's colour: painted by hand, marked automatically, nothing.
BY_HAND, AUTOMATIC, NOTHING = "a > 40 && r > 200 && g > 120 && b < 60", "a > 40 && r > 200 && g < 80", "a === 0"


def wait_until(page: Page, condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the page's events come in until a condition holds."""
    for _ in range(round(40 * seconds)):
        if condition():
            return
        page.wait_for_timeout(25)
    raise AssertionError("it never came to hold")


def middle(page: Page) -> tuple[float, float]:
    """The middle of the picture's window."""
    box = page.locator(".viewer").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press, move, release."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()


def find_violations(page: Page, axe: Path) -> list[dict[str, Any]]:
    """What axe-core finds against WCAG 2.2 A and AA."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    answer: dict[str, Any] = page.evaluate("(values) => axe.run({runOnly: {type: 'tag', values}})", tags)
    return [
        {"rule": violation["id"], "nodes": [node["html"] + node["failureSummary"] for node in violation["nodes"]]}
        for violation in answer["violations"]
    ]
