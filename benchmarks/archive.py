"""What a run over many scans costs beside the scans themselves.

    python benchmarks/archive.py ledger [--scans 100000]
    python benchmarks/archive.py memory [--scans 10000]
    python benchmarks/archive.py workers [--scans 12] [--megapixels 6] [--scheduler tcp://HOST:8786]

`ledger` restores nothing: a stand-in writes a few bytes for each scan. It prints the milliseconds that the ledger and
the runner take for each scan, and the seconds that a second run over finished work takes until it knows so. `memory`
prints the parent's memory as such a run goes on. `workers` restores drawn scans with one worker on one core, one on all
cores, two that share them, and with a Dask scheduler of two workers if there is one; it prints scans per hour once the
workers are up, and seconds for the whole run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from redust.batch.ledger import Ledger
from redust.batch.plan import key_of, plan_run
from redust.batch.runner import BatchRun, Runner
from redust.batch.worker import ScanOutcome, ScanTask, describe_output
from redust.batch.worklist import make_worklist
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files import write_scan

_REPORT = {
    "redust": "0", "status": "restored", "target": "x", "coverage": 0.001, "classes": {"dust": 3}, "warnings": [],
    "seconds": {"read": 0.1, "detect": 1.0}, "height": 100, "width": 100,
    "settings": RestoreSettings().model_dump(mode="json"),
}  # fmt: skip


class StandIn:
    """An executor that writes a few bytes in place of a restored scan."""

    capacity = 2

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        """Write the result."""
        target = task.job.target
        assert target is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"result")
        future: Future[ScanOutcome] = Future()
        future.set_result(ScanOutcome(task.key, _REPORT, (describe_output(target, task.root),), "0" * 64))
        return future

    def stop(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is open."""


def write_empty_scans(folder: Path, count: int) -> None:
    """Files with the names of scans, a thousand in each folder."""
    for number in range(count):
        path = folder / f"{number // 1000:04}" / f"{number:06}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"scan")


def run_stand_in(source: Path, target: Path) -> Iterator[int]:
    """Work off a folder with the stand-in; yields how many scans are finished."""
    worklist = make_worklist([source], target=target)
    jobs = {key_of(job, target): job for job in worklist.jobs}
    target.mkdir(exist_ok=True)
    finished: list[int] = []
    with Ledger(target) as ledger:
        plan = plan_run(jobs, RestoreSettings(), ledger, target)
        yield -len(plan.keys)
        run = BatchRun(jobs, RestoreSettings(), target)
        for start in range(0, len(plan.keys), 1000):
            keys = plan.keys[start : start + 1000]
            Runner(run, ledger, StandIn(), lambda *_: finished.append(1)).run(keys)
            yield len(finished)


def measure_ledger(folder: Path, count: int) -> None:
    """Print what a scan costs beside its restoration, and what finding nothing to do costs."""
    write_empty_scans(folder / "in", count)
    begun_at = time.perf_counter()
    steps = run_stand_in(folder / "in", folder / "out")
    next(steps)
    planned_at = time.perf_counter()
    last = [*steps][-1]
    ended_at = time.perf_counter()
    print(f"start of a first run over {count} scans: {planned_at - begun_at:.1f} s")
    print(f"{1000 * (ended_at - planned_at) / last:.2f} ms per scan, {last} scans")
    left = -next(run_stand_in(folder / "in", folder / "out"))
    print(f"start of a second run, {left} scans to do: {time.perf_counter() - ended_at:.1f} s")


def measure_memory(folder: Path, count: int) -> None:
    """Print the memory of this process as a run goes on."""
    write_empty_scans(folder / "in", count)
    for finished in run_stand_in(folder / "in", folder / "out"):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        print(f"{max(finished, 0)} scans: {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f} MB")


def measure_workers(folder: Path, count: int, megapixels: float, scheduler: str | None) -> None:
    """Print scans per hour with one worker and with two."""
    rng = np.random.default_rng(0)
    side = round((megapixels * 1e6) ** 0.5)
    for number in range(count):
        pixels = rng.normal(110, 12, (side, side, 3)).clip(0, 255).astype(np.uint8)
        pixels[rng.integers(0, side, 200), rng.integers(0, side, 200)] = 255
        write_scan(Scan(pixels), folder / f"{number:03}.tif")
    variants = {
        "1 worker, 1 thread": ["--workers", "1", "--threads", "1"],
        "1 worker": ["--workers", "1"],
        "2 workers": ["--workers", "2"],
    }
    if scheduler is not None:
        variants["Dask"] = ["--executor", "dask", "--scheduler", scheduler, "--threads", "1"]
    rates = {}
    for name, flags in variants.items():
        command = [sys.executable, "-c", "from redust.cli.entry import main; main()", "restore", str(folder)]
        begun_at = time.perf_counter()
        subprocess.run([*command, "-o", str(folder.parent / name), "--quiet", *flags], check=True)
        seconds = time.perf_counter() - begun_at
        times = sorted(path.stat().st_mtime for path in (folder.parent / name).glob("*.tif"))
        rates[name] = 3600 * (count - 2) / (times[-1] - times[1])  # without the start, of each of two workers
        shares = [f"{rates[name] / rates[other]:.2f} of {other}" for other in rates]
        print(f"{name}: {rates[name]:.0f} scans per hour ({'; '.join(shares)}); whole run {seconds:.1f} s", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ledger", "memory", "workers"])
    parser.add_argument("--scans", type=int)
    parser.add_argument("--megapixels", type=float, default=6.0)
    parser.add_argument("--scheduler")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.what == "ledger":
            measure_ledger(folder, arguments.scans or 100_000)
        elif arguments.what == "memory":
            measure_memory(folder, arguments.scans or 10_000)
        else:
            (folder / "in").mkdir()
            measure_workers(folder / "in", arguments.scans or 12, arguments.megapixels, arguments.scheduler)


if __name__ == "__main__":
    main()
