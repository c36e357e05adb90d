"""What is left to do: scans whose input, settings, models and results are as the ledger knows them are skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from zlib import crc32

import redust
from redust.batch.failures import Failure
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, OutputFile, ScanState
from redust.batch.storage import absolute_path, file_exists, hash_file, stat_file
from redust.batch.worker import relative_to_root
from redust.core.settings import Method, RestoreSettings
from redust.files.infrared import AUTO
from redust.models import shipped_folder
from redust.models.card import CARD_NAME
from redust.pipeline.job import OUTPUT_FIELDS, Job

_WEIGHT_SUFFIXES = (".onnx", ".safetensors")

# They change speed, memory or what is refused, never a pixel of the result.
_WITHOUT_EFFECT = {"threads", "tile", "overwrite", "max_megapixels", "max_change"}


@dataclass(frozen=True)
class BatchPlan:
    """What a run has to do.

    Parameters
    ----------
    queued
        Scans to restore, in order.
    under_way
        Keys of scans that are leased for this very work: their leases decide who does them.
    skipped
        Scans that are done, or left for review, and unchanged.
    touched
        Those of them whose input has another time and the same bytes, with the new time.
    failed
        Scans that failed in an earlier run and are not tried again.
    """

    queued: list[LedgerEntry] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    skipped: list[LedgerEntry] = field(default_factory=list)
    touched: list[LedgerEntry] = field(default_factory=list)
    failed: list[LedgerEntry] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """Keys of all scans that are to be done; last those begun before, since one of them may end its process."""
        return [*(entry.key for entry in self.queued), *self.under_way]


class _Change(Enum):
    """How a scan compares with what the ledger knows of it."""

    none = "none"
    times = "times"
    under_way = "under way"
    failed = "failed"
    work = "work"


def key_of(job: Job, root: Path) -> str:
    """A job's key in the ledger: its first output, relative to the output folder."""
    return relative_to_root(job.outputs[0], root)


def in_shard(key: str, index: int, count: int) -> bool:
    """Whether a key belongs to shard `index` (1..count): a hash that is the same on every machine."""
    return crc32(key.encode("utf-8", "surrogateescape")) % count == index - 1


def hash_settings(settings: RestoreSettings, outputs: Iterable[str]) -> str:
    """SHA-256 of the choices that decide a result, and of which kinds of output are asked for."""
    choices = settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    return _hash_json([choices, sorted(outputs)])


def hash_models(settings: RestoreSettings) -> str:
    """SHA-256 of the program's version and of all files of the models that the settings use, nested ones included."""
    last = settings.generator if settings.method is Method.generator else settings.fill
    return _hash_json([redust.__version__, {name: _hash_model(name) for name in (settings.detector, last)}])


def make_plan(
    jobs: Mapping[str, Job],
    settings: RestoreSettings,
    known: Mapping[str, LedgerEntry],
    root: Path,
    *,
    retry_failed: bool = False,
) -> BatchPlan:
    """Sort the jobs into those to do and those to leave.

    Parameters
    ----------
    jobs
        By key, in the order in which they are to be done.
    known
        What the ledger knows of them.
    root
        The output folder.
    retry_failed
        Do scans that failed before.
    """
    models, settings_sha256 = hash_models(settings), cache(lambda kinds: hash_settings(settings, kinds))
    plan = BatchPlan()
    for position, (key, job) in enumerate(jobs.items()):
        entry = _make_entry(key, job, settings_sha256(_output_kinds(job)), models, position, settings.infrared)
        earlier = known.get(key)
        if earlier is None:
            plan.queued.append(entry)
            continue
        entry = replace(entry, outputs=earlier.outputs, finished_at=earlier.finished_at)
        match _compare(earlier, entry, settings, root):
            case _Change.none:
                plan.skipped.append(earlier)
            case _Change.times:
                plan.skipped.append(earlier)
                plan.touched.append(replace(earlier, mtime_ns=entry.mtime_ns))
            case _Change.under_way:
                plan.under_way.append(key)
            case _Change.failed if not retry_failed:
                plan.failed.append(earlier)
            case _:
                plan.queued.append(entry)
    return plan


def plan_run(
    jobs: Mapping[str, Job], settings: RestoreSettings, ledger: Ledger, root: Path, *, retry_failed: bool = False
) -> BatchPlan:
    """Make a plan and enter it into the ledger; see :func:`make_plan`."""
    plan = make_plan(jobs, settings, ledger.entries(jobs), root, retry_failed=retry_failed)
    ledger.record_touched(plan.touched)
    ledger.queue(plan.queued)
    return plan


def check_unclaimed_outputs(entry: LedgerEntry, job: Job, settings: RestoreSettings, root: Path) -> Failure | None:
    """Refuse to replace a file that this ledger has not written, or that was changed since.

    Returns
    -------
    refusal : Failure or None
        None where every output may be written.
    """
    if settings.overwrite:
        return None
    written = {file.path: file for file in entry.outputs}
    for path in job.outputs:
        if not file_exists(path):
            continue
        file = written.get(relative_to_root(path, root))
        if file is None or not _is_as_written(path, file):
            reason = "was changed since ReDust wrote it" if file else "exists already and is not of this ledger"
            return Failure(f"{path} {reason}. Move it away, or allow it with --overwrite.", "TargetExists", 4)
    return None


def _make_entry(
    key: str, job: Job, settings_sha256: str, models_sha256: str, position: int, infrared: str
) -> LedgerEntry:
    size, mtime_ns = _stat(job.source)
    return LedgerEntry(
        key=key,
        source=absolute_path(job.source),
        size=size,
        mtime_ns=mtime_ns,
        settings_sha256=settings_sha256,
        models_sha256=models_sha256,
        areas=_describe_companions(job, infrared),
        position=position,
    )


def _compare(earlier: LedgerEntry, entry: LedgerEntry, settings: RestoreSettings, root: Path) -> _Change:
    """What a scan's entry says about the work; reads files only where times differ."""
    if not earlier.matches(entry):
        return _Change.work
    if earlier.state is ScanState.leased:
        return _Change.under_way
    if earlier.state is ScanState.failed:
        return _Change.failed if earlier.mtime_ns == entry.mtime_ns else _Change.work
    if earlier.state is ScanState.queued or _is_review_outdated(earlier, settings):
        return _Change.work
    results = [(root / file.path, file) for file in earlier.outputs]  # an absolute path stays as it is
    if not all(_is_as_written(path, file) for path, file in results):
        return _Change.work
    if earlier.mtime_ns == entry.mtime_ns:
        return _Change.none
    return _Change.times if hash_file(Path(entry.source)) == earlier.input_sha256 else _Change.work


def _is_review_outdated(earlier: LedgerEntry, settings: RestoreSettings) -> bool:
    """Whether another limit of change decides otherwise about a finished scan."""
    limit = settings.max_change
    return (earlier.state is ScanState.review) != (limit is not None and (earlier.coverage or 0.0) > limit)


def _is_as_written(path: Path, file: OutputFile) -> bool:
    size, mtime_ns = _stat(path)
    if (size, mtime_ns) == (file.size, file.mtime_ns):
        return True
    return size == file.size and hash_file(path) == file.sha256


def _stat(path: Path) -> tuple[int, int]:
    """Size and modification time; (-1, 0) where the file is gone, which its worker will say."""
    try:
        status = stat_file(path)
    except OSError:
        return -1, 0
    return status.size, status.mtime_ns


def _output_kinds(job: Job) -> tuple[str, ...]:
    outputs = ((name, getattr(job, name)) for name in OUTPUT_FIELDS)
    return tuple(f"{name}{path.suffix.lower()}" for name, path in outputs if path is not None)


def _describe_companions(job: Job, infrared: str) -> str:
    """Path, size and time of the files that decide a scan's result besides its own; empty where there are none."""
    files = {"mask": job.mask, "add": job.add_mask, "protect": job.not_mask}
    described: dict[str, object] = {
        name: [absolute_path(path), *_stat(path)] for name, path in files.items() if isinstance(path, Path)
    }
    if job.infrared_files and infrared == AUTO:
        described["infrared"] = [[absolute_path(path), *_stat(path)] for path in job.infrared_files]
    if job.common_marks is not None:
        described["common marks"] = job.common_marks.sha256
    return json.dumps(described, sort_keys=True) if described else ""


def _hash_model(name: str) -> str:
    """SHA-256 of a model folder's cards and weights; by a name of a catalogue, of all that ship: some use several."""
    folder = Path(name) if (Path(name) / CARD_NAME).is_file() else shipped_folder("")
    files = sorted(path for path in folder.rglob("*") if path.name == CARD_NAME or path.suffix in _WEIGHT_SUFFIXES)
    stamps = [(path, *_stat(path)) for path in files]
    return _hash_json([[str(path.relative_to(folder)), _hash_unchanged(path, *stamp)] for path, *stamp in stamps])


@lru_cache(maxsize=256)
def _hash_unchanged(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001  # the file has not changed since
    return hash_file(path)


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
