"""The studio's speed and memory on a large scan and a large folder.

    python benchmarks/studio.py [--megapixels 100] [--scans 1000] [--detector unet] [--scan FILE]

Starts `redust studio` on a drawn 16-bit scan, or on one of yours, and prints: the seconds until the first picture, the
median milliseconds of a tile before and while it detects, of the slider (a settings change and the visible mask tiles),
of a stroke with its tile, the seconds of 500 undos, of a live repair and of the export, and the server's peak memory
beside the decoded scan. Then it opens a folder of scans and prints the seconds until the first page of the list.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from redust.core.scan import Scan
from redust.files import read_scan, write_scan

TOKEN = "benchmark-token-0123456789"
VIEW = [(x, y) for x in range(4) for y in range(3)]  # tiles on a screen of 2048 x 1536


class Client:
    """Talks to one server.

    Parameters
    ----------
    address
        Its address, without the last slash.
    process
        The server.
    """

    def __init__(self, address: str, process: psutil.Process) -> None:
        self.address, self.process = address, process

    def call(self, method: str, path: str, data: Any = None) -> bytes:
        """Send a request; the bytes of its answer."""
        request = urllib.request.Request(
            self.address + path, method=method, data=None if data is None else json.dumps(data).encode(),
            headers={"Authorization": f"Bearer {TOKEN}"},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
            return content

    def send(self, method: str, path: str, data: Any = None) -> Any:
        """Send JSON; the JSON of the answer."""
        return json.loads(self.call(method, path, data))

    def wait(self, job: Any) -> float:
        """Wait for a job; the seconds it took."""
        begun = time.monotonic()
        while (record := self.send("GET", f"/api/jobs/{job['id']}"))["state"] in ("queued", "running"):
            time.sleep(0.1)
        if record["state"] != "done":
            raise SystemExit(record["message"])
        return time.monotonic() - begun

    def peak(self) -> float:
        """The server's largest memory so far, in megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


@contextmanager
def serve(source: Path, output: Path, detector: str) -> Iterator[Client]:
    """Run `redust studio` on a path."""
    program = "from redust.cli.entry import main; main()"
    choices = ["studio", str(source), "-o", str(output), "--no-browser", "--detector", detector]
    command = [sys.executable, "-c", program, *choices]
    environment = os.environ | {"REDUST_STUDIO_TOKEN": TOKEN}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().split(" ")[-1].partition("/?")[0]
        client = Client(address, psutil.Process(process.pid))
        while True:
            try:
                client.call("GET", "/api/health")
                break
            except OSError:
                time.sleep(0.02)
        yield client
    finally:
        process.terminate()
        process.wait(10)


def draw_scan(megapixels: float, path: Path) -> None:
    """Draw a 16-bit scan with grain, specks and hairs."""
    side = round((megapixels * 1e6) ** 0.5)
    random = np.random.default_rng(0)
    noise = random.integers(-900, 900, (1024, 1024, 1), dtype=np.int32)
    rows = np.linspace(9_000, 40_000, side, dtype=np.int32)
    pixels = np.empty((side, side, 3), np.uint16)
    repeats = -(-side // 1024)
    for top in range(0, side, 1024):
        band = np.tile(noise, (1, repeats, 3))[: side - top, :side]
        pixels[top : top + 1024] = np.clip(band + rows[top : top + 1024, None, None], 0, 65535)
    for row, column in random.integers(8, side - 40, (int(60 * megapixels), 2)).tolist():
        height, width = random.integers(2, 6, 2).tolist() if random.random() < 0.9 else (1, 30)
        pixels[row : row + height, column : column + width] = 62_000
    write_scan(Scan(pixels), path)


def measure(work: Callable[[int], object], count: int) -> float:
    """The median milliseconds of a call."""
    times = []
    for number in range(count):
        begun = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


def measure_scan(source: Path, folder: Path, detector: str) -> None:
    """Print what one scan takes."""
    decoded = read_scan(source).pixels.nbytes / 2**20
    with serve(source, folder / "out", detector) as client:
        (scan,) = client.send("GET", "/api/scans")["scans"]
        path = f"/api/scans/{scan['id']}"
        begun = time.perf_counter()
        detail = client.send("GET", f"{path}?open=1")
        level = detail["max_level"]
        overview = max(level - 3, 0)
        client.call("GET", f"{path}/dzi/scan/{overview}/0_0")
        print(f"first picture: {time.perf_counter() - begun:.2f} s")

        def show_tile(number: int) -> None:
            column, row = VIEW[number % len(VIEW)]
            client.call("GET", f"{path}/dzi/scan/{level - number % 3}/{column}_{row}?rev={number}")

        print(f"a tile while the scan is searched: {measure(show_tile, 36):.0f} ms")
        print(f"memory after the first tiles: {client.peak():.0f} MB, decoded scan {decoded:.0f} MB")
        print(f"detection: {client.wait(client.send('POST', f'{path}/detect')):.1f} s")
        print(f"memory after detection: {client.peak():.0f} MB")
        print(f"a tile: {measure(show_tile, 36):.0f} ms")
        measure_work(client, path, level)
        print(f"export: {client.wait(client.send('POST', f'{path}/export', {})):.1f} s")
        print(f"peak memory: {client.peak():.0f} MB; twice the decoded scan and 600 MB: {2 * decoded + 600:.0f} MB")


def measure_work(client: Client, path: str, level: int) -> None:
    """Print what correcting takes."""

    def move_slider(number: int) -> None:
        client.send("PATCH", f"{path}/settings", {"sensitivity": 0.2 + 0.02 * number})
        client.call("GET", f"{path}/dzi/mask/{level}/{number % 4}_1")

    print(f"the slider, with a tile of the mask: {measure(move_slider, 20):.0f} ms")
    print(f"the same far out: {measure(lambda number: slide_far_out(client, path, level, number), 20):.0f} ms")
    client.send("PATCH", f"{path}/settings", {"sensitivity": 0.5})
    time.sleep(5)

    def draw_stroke(number: int) -> None:
        x, y = 300 + number % 50 * 20, 300 + number // 50 * 40
        stroke = {"kind": "stroke", "tool": "brush", "points": [[x, y], [x + 90, y + 30]], "radius": 6}
        client.send("POST", f"{path}/edits", stroke)
        client.call("GET", f"{path}/dzi/mask/{level}/{x // 512}_{y // 512}")

    print(f"a stroke, with its tile: {measure(draw_stroke, 500):.0f} ms")
    begun = time.perf_counter()
    slowest = 0.0
    for _ in range(500):
        undone = time.perf_counter()
        client.send("POST", f"{path}/undo")
        slowest = max(slowest, time.perf_counter() - undone)
    print(f"500 undos: {time.perf_counter() - begun:.1f} s, the slowest {1000 * slowest:.0f} ms")
    begun = time.perf_counter()
    client.send("POST", f"{path}/repair", {"box": [0, 0, 1900, 1080]})
    print(f"live repair of a screen: {time.perf_counter() - begun:.1f} s")


def slide_far_out(client: Client, path: str, level: int, number: int) -> None:
    """Move the slider while the whole scan is shown."""
    client.send("PATCH", f"{path}/settings", {"sensitivity": 0.2 + 0.02 * number})
    client.call("GET", f"{path}/dzi/mask/{max(level - 3, 0)}/0_0")


def measure_folder(count: int, folder: Path) -> None:
    """Print what a folder takes."""
    scans = folder / "scans"
    scans.mkdir()
    write_scan(Scan(np.full((60, 80, 3), 90, np.uint8)), scans / "0.jpg")
    for number in range(1, count):
        (scans / f"{number}.jpg").write_bytes((scans / "0.jpg").read_bytes())
    begun = time.perf_counter()
    with serve(scans, folder / "many", "tophat") as client:
        started = time.perf_counter() - begun
        begun = time.perf_counter()
        page = client.send("GET", "/api/scans?limit=200")
        print(
            f"a folder of {page['total']} scans: {started:.2f} s to start, {time.perf_counter() - begun:.2f} s to list"
        )
        begun = time.perf_counter()
        for scan in page["scans"][:24]:
            client.call("GET", f"/api/scans/{scan['id']}/thumbnail")
        print(f"24 thumbnails: {time.perf_counter() - begun:.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--scans", type=int, default=1000)
    parser.add_argument("--detector", default="unet")
    parser.add_argument("--scan", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.scan or Path(folder, "scan.tif")
        if arguments.scan is None:
            draw_scan(arguments.megapixels, source)
        measure_scan(source, Path(folder), arguments.detector)
        measure_folder(arguments.scans, Path(folder))


if __name__ == "__main__":
    main()
