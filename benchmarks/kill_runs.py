"""Runs that are killed at random moments, their process or one of its workers, and then finished: are the results those
of a run that was never killed?

    python benchmarks/kill_runs.py --runs 200

Each run restores 60 small scans with two workers and is killed one to three times. Of every run, the results' bytes are
compared with those of a run that was left alone, and no scan may be reported as restored twice.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from redust.core.scan import Scan
from redust.files import write_scan

_START = (sys.executable, "-c", "from redust.cli.entry import main; main()")
_FLAGS = ("--workers", "2", "--detector", "tophat", "--fill", "navier-stokes", "--threads", "1")


def write_roll(folder: Path, count: int) -> None:
    """Write small scans with a few bright specks."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(60, 120, (48, 64, 3), np.uint8)
        pixels[rng.integers(0, 48, 4), rng.integers(0, 64, 4)] = 255
        write_scan(Scan(pixels), folder / f"{number:04}.png")


def start_run(source: Path, target: Path) -> subprocess.Popen[str]:
    """Start `redust restore` in a process of its own."""
    command = [*_START, "restore", str(source), "-o", str(target), *_FLAGS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def list_workers(pid: int) -> list[int]:
    """The worker processes of a run."""
    workers = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text(encoding="ascii").split():
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            workers += [int(child)] if b"spawn_main" in words else []
    return workers


def kill_run(source: Path, target: Path, seconds: float, rng: random.Random) -> list[str]:
    """Start a run, kill it or one of its workers after some seconds, and return the lines it has printed."""
    process = start_run(source, target)
    time.sleep(seconds)
    workers = list_workers(process.pid) if process.poll() is None else []
    if workers and rng.random() < 0.5:
        subprocess.run(["kill", "-9", str(rng.choice(workers))], check=False, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.5))
    process.kill()
    output, _ = process.communicate()
    return output.splitlines(keepends=True)


def hash_results(folder: Path) -> dict[str, str]:
    """The hashes of the results by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))}


def finish_killed_run(source: Path, target: Path, kills: int, longest: float, rng: random.Random) -> list[str]:
    """Kill a run several times and finish it; what is wrong with it, in words."""
    lines = [line for _ in range(kills) for line in kill_run(source, target, rng.uniform(0, longest), rng)]
    process = start_run(source, target)
    output, _ = process.communicate()
    lines += output.splitlines(keepends=True)
    counts = Counter(line.partition(" -> ")[0] for line in lines if line.endswith("\n"))
    faults = [f"{name} was restored {count} times" for name, count in counts.items() if count > 1]
    return faults + ([f"the last run ended with {process.returncode}"] if process.returncode else [])


def main() -> None:
    """Kill runs and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        source, whole = Path(folder, "in"), Path(folder, "whole")
        write_roll(source, arguments.scans)
        begun_at = time.monotonic()
        start_run(source, whole).communicate()
        longest = time.monotonic() - begun_at
        expected, faults, kills = hash_results(whole), 0, 0
        for number in range(arguments.runs):
            target, times = Path(folder, f"out{number}"), rng.randint(1, 3)
            found = finish_killed_run(source, target, times, longest, rng)
            if hash_results(target) != expected:
                found.append("the results differ")
            if list(target.glob(".redust-*")):
                found.append("temporary files are left")
            kills, faults = kills + times, faults + bool(found)
            for fault in found:
                print(f"run {number}: {fault}")
            shutil.rmtree(target)
        print(f"{arguments.runs} runs of {arguments.scans} scans, {kills} kills, {faults} runs with faults")


if __name__ == "__main__":
    main()
