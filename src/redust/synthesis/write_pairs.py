"""Write drawn pairs to files: the same bytes for the same seed, for any number of workers or interruptions.

::

    DIR/images/000000-photo.png    damaged, at the photo's depth
    DIR/masks/000000-photo.png     255 damage, 128 ignored, 0 background
    DIR/clean/000000-photo.png     the same without the damage
    DIR/recipe.toml                the recipe used
    DIR/manifest.jsonl             one line per pair, in order; an interrupted run resumes from it
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
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
from redust.synthesis.synthesizer import Pair, Synthesizer

IMAGES, MASKS, CLEAN, RECIPE, MANIFEST = "images", "masks", "clean", "recipe.toml", "manifest.jsonl"
SMALLEST = 32  # pixels: on a smaller picture damage is not visible


@dataclass(frozen=True)
class Plan:
    """Parameters of a run.

    Parameters
    ----------
    photos
        Undamaged; each is used for a run of consecutive numbers.
    synthesizer
        Draws the damage; its seed determines all random numbers.
    count
        Number of pairs.
    size
        Side of square patches cut out of the photos at random; whole photos if None.
    """

    photos: tuple[Path, ...]
    synthesizer: Synthesizer = field(repr=False)
    count: int
    size: int | None = None

    def photo(self, number: int) -> Path:
        """The photo of pair `number`."""
        return self.photos[number * len(self.photos) // self.count]

    def name(self, number: int) -> str:
        """The file name of pair `number`."""
        return f"{number:06d}-{self.photo(number).stem}.png"

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of a hash over all that determines the pairs."""
        from redust import __version__

        digest = hashlib.sha256()
        facts = [__version__, self.synthesizer.recipe.model_dump_json(), self.synthesizer.seed, self.count, self.size]
        facts += [[path.as_posix(), path.stat().st_size] for path in self.photos]
        digest.update(json.dumps(facts).encode())
        for chunk in self.synthesizer.material():
            digest.update(chunk)
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Record:
    """One line of the manifest.

    Parameters
    ----------
    name, number, photo, seed, plan
        The pair and its photo; `plan` is :meth:`Plan.fingerprint`.
    height, width, row, column
        Size in pixels, and position of the crop in the photo.
    kinds
        Kinds of damage drawn.
    coverage, ignored
        Share of pixels that are 255 and 128 in the mask.
    contrast
        How visible the damage is: the median change of the damaged pixels in their most changed channel, in 8-bit
        steps; 0 where there is none.
    error
        Why the pair is missing, if the photo could not be used.
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
    ignored: float = 0.0
    contrast: float = 0.0
    error: str | None = None

    def to_json_line(self) -> bytes:
        """This record as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"


def gather_photos(paths: Sequence[Path], leave_out: Path | None = None) -> tuple[Path, ...]:
    """Collect photos from files and folders, each once.

    Parameters
    ----------
    paths
        Files and folders; of a folder all scans below it by their suffix, without hidden files.
    leave_out
        A folder of results: nothing below it is used.

    Raises
    ------
    ScanError
        If a path does not exist, or there is no photo.
    SettingsError
        If a given photo lies in the folder of results.
    """
    photos: dict[Path, None] = {}
    results = leave_out.resolve() if leave_out else None
    for path in paths:
        if not path.exists():
            raise ScanError(f"There is no {path}. Check the path.")
        if path.is_dir():
            photos |= dict.fromkeys(photo for photo in _scans_below(path) if results not in photo.resolve().parents)
        elif results in path.resolve().parents:
            raise SettingsError(f"{path} lies among the results in {leave_out}. Choose another folder for them.")
        else:
            photos[path] = None
    if not photos:
        raise ScanError("There are no photos. Name undamaged photos (TIFF, PNG, JPEG ...) or folders of them.")
    return tuple(photos)


def _scans_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(name.startswith(".") for name in path.relative_to(folder).parts)
        if not hidden and path.is_file() and is_scan_path(path):
            yield path


def prepare_folder(plan: Plan, folder: Path) -> int:
    """Create the folder, or find how far an earlier run of the same plan got.

    Returns
    -------
    done
        Number of pairs that exist already; the next pair has this number.

    Raises
    ------
    TargetExists
        If the folder contains anything else.
    """
    for subfolder in (IMAGES, MASKS, CLEAN):
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST
    if not manifest.exists():
        _refuse_foreign_files(folder)
        with whole_file(manifest):
            pass
    lines = manifest.read_bytes().splitlines(keepends=True)
    complete = _complete_lines(lines, plan, folder)
    if complete != lines:
        with whole_file(manifest, overwrite=True) as file:
            file.write(b"".join(complete))
    if not (folder / RECIPE).exists():
        plan.synthesizer.recipe.write(folder / RECIPE)
    return len(complete)


def _refuse_foreign_files(folder: Path) -> None:
    """Refuse a folder that contains files of another origin."""
    foreign = [path for subfolder in (IMAGES, MASKS, CLEAN) for path in sorted((folder / subfolder).iterdir())]
    foreign += [folder / RECIPE] if (folder / RECIPE).exists() else []
    if foreign:
        raise TargetExists(f"{foreign[0]} is there already, and no manifest of ours. Choose an empty folder.")


def _complete_lines(lines: list[bytes], plan: Plan, folder: Path) -> list[bytes]:
    """The manifest's lines up to the first incomplete pair."""
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
        complete = all((folder / subfolder / plan.name(number)).is_file() for subfolder in (IMAGES, MASKS, CLEAN))
        if entry.get("number") != number or entry.get("error") or not complete:
            return lines[:number]
    return lines


def write_pairs(plan: Plan, folder: Path, first: int = 0, workers: int = 1) -> Iterator[Record]:
    """Draw pairs into a folder that :func:`prepare_folder` prepared.

    Parameters
    ----------
    first
        The first number: what `prepare_folder` returned.
    workers
        Number of processes. The result does not depend on it.

    Yields
    ------
    record
        One per pair, in order, once its files are complete. A photo that cannot be used gives a record with an error
        and does not stop the others.

    Raises
    ------
    TargetError
        If the results cannot be written.
    TrainingError
        If a worker process died.
    """
    fingerprint = plan.fingerprint()
    numbers = range(first, plan.count)
    alone = workers == 1 or len(numbers) < 2
    records = (
        (write_pair(plan, folder, number, fingerprint) for number in numbers)
        if alone
        else _write_in_processes(plan, folder, numbers, fingerprint, workers)
    )
    with open(folder / MANIFEST, "ab") as journal:
        for record in records:
            journal.write(record.to_json_line())
            journal.flush()
            yield record


def _write_in_processes(plan: Plan, folder: Path, numbers: range, fingerprint: str, workers: int) -> Iterator[Record]:
    """Write pairs in several processes; records come in the order of their numbers."""
    # Spawn: a fork of a process with threads (OpenCV's) may deadlock.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_set_worker_job, initargs=(plan, folder, fingerprint))
    pending: deque[Future[Record]] = deque()
    try:
        for number in numbers:
            pending.append(pool.submit(_write_in_worker, number))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise TrainingError(
            "A worker process ended on its own. Run the same again, with fewer --workers: what is done is kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_worker_job: tuple[Plan, Path, str] | None = None  # of a worker process: sent once, not with each number


def _set_worker_job(plan: Plan, folder: Path, fingerprint: str) -> None:
    global _worker_job
    _worker_job = plan, folder, fingerprint
    cv2.setNumThreads(1)


def _write_in_worker(number: int) -> Record:
    assert _worker_job is not None  # the pool's initializer ran
    plan, folder, fingerprint = _worker_job
    return write_pair(plan, folder, number, fingerprint)


def write_pair(plan: Plan, folder: Path, number: int, fingerprint: str) -> Record:
    """Draw one pair and write its three files."""
    path = plan.photo(number)
    record = Record(plan.name(number), number, path.as_posix(), plan.synthesizer.seed, fingerprint)
    try:
        scan = _read_photo(path)
        row, column, light = _crop_photo(scan, plan, number)
    except ScanError as error:
        return replace(record, error=str(error))
    pair = plan.synthesizer.draw(light, number)
    for subfolder, picture in ((IMAGES, pair.damaged), (CLEAN, pair.clean)):
        pixels = from_light(picture, scan.pixels.dtype if scan.pixels.dtype == np.uint16 else np.dtype(np.uint8))
        icc = scan.icc if scan.channels == 3 else None  # a grey profile does not fit three channels
        write_scan(Scan(pixels, icc=icc, dpi=scan.dpi), folder / subfolder / record.name, overwrite=True)
    write_scan(Scan(pair.target[..., None]), folder / MASKS / record.name, overwrite=True)
    return replace(
        record, height=light.shape[0], width=light.shape[1], row=row, column=column, kinds=pair.kinds,
        coverage=round(float((pair.target == Label.damage).mean()), 6),
        ignored=round(float((pair.target == Label.ignore).mean()), 6), contrast=round(_measure_contrast(pair), 1),
    )  # fmt: skip


def _measure_contrast(pair: Pair) -> float:
    """The median change of the damaged pixels, in 8-bit steps."""
    damaged = pair.target == Label.damage
    if not damaged.any():
        return 0.0
    return float(255 * np.median(np.abs(pair.damaged[damaged] - pair.clean[damaged]).max(axis=1)))


@lru_cache(maxsize=1)  # consecutive numbers share a photo
def _read_photo(path: Path) -> Scan:
    return read_scan(path)


def _crop_photo(scan: Scan, plan: Plan, number: int) -> tuple[int, int, Light]:
    """The undamaged picture of pair `number`: row, column and light (H, W, 3) float32 in 0..1."""
    smallest = plan.size or SMALLEST
    if min(scan.shape) < smallest:
        raise ScanError(
            f"{scan.name} is {scan.shape[1]} x {scan.shape[0]} pixels, and {smallest} x {smallest} are needed. "
            + ("Leave it out, or choose a smaller --size." if plan.size else "Leave it out.")
        )
    row, column, pixels = 0, 0, scan.pixels
    if plan.size:
        rng = np.random.default_rng([plan.synthesizer.seed, number, 1])  # independent of the damage
        row, column = (int(rng.integers(side - plan.size + 1)) for side in scan.shape)
        pixels = pixels[row : row + plan.size, column : column + plan.size]
    return row, column, three_channels(to_light(pixels))
