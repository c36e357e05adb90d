"""Drawn pairs as files: the same bytes for the same seed, whatever the number of workers or interruptions.

::

    DIR/images/000000-photo.png    damaged, at the photo's depth
    DIR/masks/000000-photo.png     255 damage, 128 not judged, 0 sound
    DIR/clean/000000-photo.png     the same without the damage
    DIR/recipe.toml                what was drawn, how often
    DIR/manifest.jsonl             one line per pair, in order; it is what a run that was stopped goes on from
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from redust.core.arrays import Light, from_light, three_channels, to_light
from redust.core.errors import ScanError, SettingsError, TargetExists, TrainingError
from redust.core.labels import Label
from redust.core.scan import Scan
from redust.files import is_scan_path, read_scan, whole_file, write_scan
from redust.synthesis.synthesizer import Synthesizer

IMAGES, MASKS, CLEAN, RECIPE, MANIFEST = "images", "masks", "clean", "recipe.toml", "manifest.jsonl"
SMALLEST = 32  # pixels: less ground than this shows no damage


@dataclass(frozen=True)
class Plan:
    """Which pairs to draw.

    Parameters
    ----------
    photos
        Undamaged; each is used for a run of consecutive numbers.
    synthesizer
        What is drawn; its seed decides everything random.
    count
        How many pairs.
    size
        Side of square patches cut out of the photos at random; whole photos if None.
    """

    photos: tuple[Path, ...]
    synthesizer: Synthesizer = field(repr=False)
    count: int
    size: int | None = None

    def photo(self, number: int) -> Path:
        """The photo that pair `number` is drawn on."""
        return self.photos[number * len(self.photos) // self.count]

    def name(self, number: int) -> str:
        """The file name of pair `number`."""
        return f"{number:06d}-{self.photo(number).stem}.png"

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that differ when the pairs would."""
        from redust import __version__

        digest = hashlib.sha256()
        facts = [__version__, self.synthesizer.recipe.model_dump_json(), self.synthesizer.seed, self.count, self.size]
        facts += [[path.as_posix(), path.stat().st_size] for path in self.photos]
        digest.update(json.dumps(facts).encode())
        for part in self.synthesizer.material():
            digest.update(part)
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Record:
    """One line of the manifest.

    Parameters
    ----------
    name, number, photo, seed, plan
        Which pair, of which photo; `plan` is :meth:`Plan.fingerprint`.
    height, width, row, column
        Its size in pixels and where it was cut out of the photo.
    kinds
        What was drawn.
    coverage, unjudged
        Share of pixels that are 255 and 128 in the mask.
    error
        Why there is no such pair, if the photo could not be used.
    """

    name: str
    number: int
    photo: str
    seed: int
    plan: str
    height: int = 0
    width: int = 0
    row: int = 0
    column: int = 0
    kinds: tuple[str, ...] = ()
    coverage: float = 0.0
    unjudged: float = 0.0
    error: str | None = None

    def line(self) -> bytes:
        """As one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"


def gather_photos(given: Sequence[Path], leave_out: Path | None = None) -> tuple[Path, ...]:
    """All photos that were named, and all in the folders that were.

    Parameters
    ----------
    given
        Files and folders; of a folder everything below it that is a scan by its name, hidden files left out.
    leave_out
        A folder of results: nothing below it is taken.

    Raises
    ------
    ScanError
        If a path does not exist, or there is no photo.
    SettingsError
        If a photo that was named lies among the results.
    """
    found: dict[Path, None] = {}
    results = leave_out.resolve() if leave_out else None
    for path in given:
        if not path.exists():
            raise ScanError(f"There is no {path}. Check the path.")
        if path.is_dir():
            found |= dict.fromkeys(one for one in _below(path) if results not in one.resolve().parents)
        elif results in path.resolve().parents:
            raise SettingsError(f"{path} lies among the results in {leave_out}. Choose another folder for them.")
        else:
            found[path] = None
    if not found:
        raise ScanError("There are no photos. Name undamaged photos (TIFF, PNG, JPEG ...) or folders of them.")
    return tuple(found)


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and is_scan_path(path):
            yield path


def prepare(plan: Plan, folder: Path) -> int:
    """Make the folder, or find how far an earlier run of the same plan got.

    Returns
    -------
    done
        How many pairs are there already; the next to draw has this number.

    Raises
    ------
    TargetExists
        If the folder holds anything else.
    """
    for part in (IMAGES, MASKS, CLEAN):
        (folder / part).mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST
    if not manifest.exists():
        _refuse_strangers(folder)
        with whole_file(manifest):
            pass
    lines = manifest.read_bytes().splitlines(keepends=True)
    kept = _kept(lines, plan, folder)
    if kept != lines:
        with whole_file(manifest, overwrite=True) as file:
            file.write(b"".join(kept))
    if not (folder / RECIPE).exists():
        plan.synthesizer.recipe.write(folder / RECIPE)
    return len(kept)


def _refuse_strangers(folder: Path) -> None:
    """Nothing that was there before may be written over or mixed in."""
    strangers = [path for part in (IMAGES, MASKS, CLEAN) for path in sorted((folder / part).iterdir())]
    strangers += [folder / RECIPE] if (folder / RECIPE).exists() else []
    if strangers:
        raise TargetExists(f"{strangers[0]} is there already, and no manifest of ours. Choose an empty folder.")


def _kept(lines: list[bytes], plan: Plan, folder: Path) -> list[bytes]:
    """The lines of pairs that are whole, up to the first that is not."""
    fingerprint = plan.fingerprint()
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line) if line.endswith(b"\n") else {}
        except ValueError:
            entry = {}
        if entry.get("plan", fingerprint) != fingerprint:
            raise TargetExists(
                f"{folder} holds pairs drawn otherwise (photos, recipe, material, seed, size, count or version "
                "differ). Choose another folder, or repeat what you asked for then."
            )
        there = all((folder / part / plan.name(number)).is_file() for part in (IMAGES, MASKS, CLEAN))
        if entry.get("number") != number or entry.get("error") or not there:
            return lines[:number]
    return lines


def write_pairs(plan: Plan, folder: Path, first: int = 0, workers: int = 1) -> Iterator[Record]:
    """Draw pairs into a folder that :func:`prepare` made ready.

    Parameters
    ----------
    first
        The number to begin with: what `prepare` returned.
    workers
        Processes. They change the time, not the result.

    Yields
    ------
    record
        One per pair, in order, when its files are whole. A photo that cannot be used gives a record with
        an error, and the others go on.

    Raises
    ------
    TargetError
        If the results cannot be written.
    TrainingError
        If a worker process ended on its own.
    """
    fingerprint = plan.fingerprint()
    numbers = range(first, plan.count)
    drawn = _here(plan, folder, numbers, fingerprint) if workers == 1 or len(numbers) < 2 else _spread(
        plan, folder, numbers, fingerprint, workers
    )  # fmt: skip
    with open(folder / MANIFEST, "ab") as journal:
        for record in drawn:
            journal.write(record.line())
            journal.flush()
            yield record


def _here(plan: Plan, folder: Path, numbers: range, fingerprint: str) -> Iterator[Record]:
    for number in numbers:
        yield draw_pair(plan, folder, number, fingerprint)


def _spread(plan: Plan, folder: Path, numbers: range, fingerprint: str, workers: int) -> Iterator[Record]:
    """The same over processes; results come in the order of their numbers."""
    # A fresh interpreter each: a fork of a process with threads (OpenCV's) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_settle, initargs=(plan, folder, fingerprint))
    waiting: deque[Future[Record]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(_draw_settled, number))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise TrainingError(
            "A worker process ended on its own. Run the same again, with fewer --workers: what is done is kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_settled: tuple[Plan, Path, str] | None = None  # of a worker process: sent once, not with each number


def _settle(plan: Plan, folder: Path, fingerprint: str) -> None:
    global _settled
    _settled = plan, folder, fingerprint
    cv2.setNumThreads(1)


def _draw_settled(number: int) -> Record:
    assert _settled is not None  # the pool's initializer ran
    plan, folder, fingerprint = _settled
    return draw_pair(plan, folder, number, fingerprint)


def draw_pair(plan: Plan, folder: Path, number: int, fingerprint: str) -> Record:
    """Draw one pair and write its three files."""
    path = plan.photo(number)
    about = Record(plan.name(number), number, path.as_posix(), plan.synthesizer.seed, fingerprint)
    try:
        scan = _read(path)
        row, column, light = _ground(scan, plan, number)
    except ScanError as error:
        return replace(about, error=str(error))
    pair = plan.synthesizer.draw(light, number)
    for part, drawn in ((IMAGES, pair.damaged), (CLEAN, pair.clean)):
        pixels = from_light(drawn, scan.pixels.dtype if scan.pixels.dtype == np.uint16 else np.dtype(np.uint8))
        icc = scan.icc if scan.channels == 3 else None  # a grey profile does not fit three channels
        write_scan(Scan(pixels, icc=icc, dpi=scan.dpi), folder / part / about.name, overwrite=True)
    write_scan(Scan(pair.target[..., None]), folder / MASKS / about.name, overwrite=True)
    return replace(
        about, height=light.shape[0], width=light.shape[1], row=row, column=column, kinds=pair.kinds,
        coverage=round(float((pair.target == Label.damage).mean()), 6),
        unjudged=round(float((pair.target == Label.ignore).mean()), 6),
    )  # fmt: skip


@lru_cache(maxsize=1)  # consecutive numbers share a photo
def _read(path: Path) -> Scan:
    return read_scan(path)


def _ground(scan: Scan, plan: Plan, number: int) -> tuple[int, int, Light]:
    """What pair `number` is drawn on: (row, column) and (H, W, 3) float32 in 0..1."""
    least = plan.size or SMALLEST
    if min(scan.shape) < least:
        raise ScanError(
            f"{scan.name} is {scan.shape[1]} x {scan.shape[0]} pixels, and {least} x {least} are needed. "
            + ("Leave it out, or choose a smaller --size." if plan.size else "Leave it out.")
        )
    row, column, pixels = 0, 0, scan.pixels
    if plan.size:
        rng = np.random.default_rng([plan.synthesizer.seed, number, 1])  # apart from what draws the damage
        row, column = (int(rng.integers(side - plan.size + 1)) for side in scan.shape)
        pixels = pixels[row : row + plan.size, column : column + plan.size]
    return row, column, three_channels(to_light(pixels))


def cores() -> int:
    """How many processes this one may keep busy."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
