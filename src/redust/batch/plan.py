"""What is left to do: scans whose input, settings, models and results are as the ledger knows them are skipped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import redust
from redust.batch.failures import Failure
from redust.batch.ledger import Ledger, LedgerEntry, OutputFile, ScanState
from redust.batch.worker import hash_file, relative_to_root
from redust.core.settings import RestoreSettings
from redust.models import shipped_folder
from redust.models.card import CARD_NAME
from redust.pipeline.job import Job

# They change speed, memory or what is refused, never a pixel of the result.
_WITHOUT_EFFECT = {"threads", "tile", "overwrite", "max_megapixels"}


@dataclass(frozen=True)
class BatchPlan:
    """What a run has to do.

    Parameters
    ----------
    queued
        Keys of scans to restore, in order.
    skipped
        Keys of scans that are done and unchanged.
    failed
        Keys of scans that failed in an earlier run and are not tried again.
    """

    queued: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[str, ...]


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
    """SHA-256 of the program's version and of the weights that the settings name."""
    cards = {name: _hash_card(name) for name in (settings.detector, settings.fill, settings.generator)}
    return _hash_json([redust.__version__, cards])


def plan_run(
    jobs: Mapping[str, Job], settings: RestoreSettings, ledger: Ledger, *, retry_failed: bool = False
) -> BatchPlan:
    """Enter the jobs into the ledger and say what is left to do.

    Parameters
    ----------
    jobs
        By key, in the order in which they are to be done.
    retry_failed
        Queue scans that failed before.

    Returns
    -------
    plan : BatchPlan
    """
    known = ledger.entries(list(jobs))
    models = hash_models(settings)
    queued: list[LedgerEntry] = []
    skipped, failed = [], []
    for position, (key, job) in enumerate(jobs.items()):
        entry = _make_entry(key, job, settings, models, position)
        earlier = known.get(key)
        if earlier is not None and earlier.state is ScanState.done and _is_unchanged(earlier, entry, ledger):
            skipped.append(key)
        elif earlier is not None and earlier.state is ScanState.failed and earlier.matches(entry) and not retry_failed:
            failed.append(key)
        else:
            queued.append(replace(entry, outputs=earlier.outputs if earlier else ()))
    ledger.queue(entry for entry in queued if not _is_under_way(known.get(entry.key), entry))
    return BatchPlan(tuple(entry.key for entry in queued), tuple(skipped), tuple(failed))


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
        if not os.path.lexists(path):
            continue
        file = written.get(relative_to_root(path, root))
        if file is None or not _is_as_written(path, file):
            reason = "was changed since ReDust wrote it" if file else "exists already and is not of this ledger"
            return Failure(f"{path} {reason}. Move it away, or allow it with --overwrite.", "TargetExists", 4)
    return None


def _make_entry(key: str, job: Job, settings: RestoreSettings, models: str, position: int) -> LedgerEntry:
    size, mtime_ns = _stat(job.source)
    return LedgerEntry(
        key=key,
        source=os.path.abspath(job.source),
        size=size,
        mtime_ns=mtime_ns,
        settings_sha256=hash_settings(settings, _output_kinds(job)),
        models_sha256=models,
        areas=_describe_areas(job),
        position=position,
    )


def _is_under_way(earlier: LedgerEntry | None, entry: LedgerEntry) -> bool:
    """Whether a scan is leased for this very work: its lease decides who goes on with it."""
    return earlier is not None and earlier.state is ScanState.leased and earlier.matches(entry)


def _is_unchanged(earlier: LedgerEntry, entry: LedgerEntry, ledger: Ledger) -> bool:
    """Whether a finished scan need not be done again; reads files only where times differ."""
    if not earlier.matches(entry):
        return False
    results = [(_absolute(file, ledger.folder), file) for file in earlier.outputs]
    if not results or not all(_is_as_written(path, file) for path, file in results):
        return False
    if earlier.mtime_ns != entry.mtime_ns:
        if hash_file(Path(entry.source)) != earlier.input_sha256:
            return False
        ledger.record_touched(replace(earlier, mtime_ns=entry.mtime_ns))
    return True


def _is_as_written(path: Path, file: OutputFile) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    if (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns):
        return True
    return status.st_size == file.size and hash_file(path) == file.sha256


def _absolute(file: OutputFile, root: Path) -> Path:
    return root / file.path  # an absolute path stays as it is


def _stat(path: Path) -> tuple[int, int]:
    """Size and modification time; (-1, 0) where the file is gone, which its worker will say."""
    try:
        status = path.stat()
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def _output_kinds(job: Job) -> list[str]:
    names = ("target", "mask_out", "map_out", "compare")
    outputs = (job.target, job.mask_out, job.map_out, job.compare)
    return [f"{name}{path.suffix.lower()}" for name, path in zip(names, outputs, strict=True) if path is not None]


def _describe_areas(job: Job) -> str:
    areas = {"mask": job.mask, "add": job.add_mask, "protect": job.not_mask}
    described = {name: [os.path.abspath(path), *_stat(path)] for name, path in areas.items() if isinstance(path, Path)}
    return json.dumps(described, sort_keys=True) if described else ""


def _hash_card(name: str) -> str:
    """SHA-256 of a model's card, which names the hashes of its weights; the name itself for an engine without one."""
    for folder in (shipped_folder(name), Path(name)):
        card = folder / CARD_NAME
        if card.is_file():
            return hash_file(card)
    return name


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def select_shard(keys: Sequence[str], index: int, count: int) -> list[str]:
    """The keys of one shard, in order."""
    return [key for key in keys if in_shard(key, index, count)]
