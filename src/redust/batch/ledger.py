"""The ledger of a batch run: one SQLite file that knows every scan's state.

One row per scan, keyed by the path of its result below the output folder, so that the key is the same on every machine
that mounts the folder. The row is written before work starts (a lease that expires) and after it has ended, so a run
that was killed goes on where it stopped, and two processes never work on one scan at a time.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redust.core.errors import TargetError

LEDGER_NAME = "redust-ledger.sqlite"
"""The ledger's file name in the output folder."""

MAX_ATTEMPTS = 3
"""How often a scan is leased before it counts as one that kills its worker."""

_SCHEMA_VERSION = 1
_BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS scans (
    key TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    source TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    input_sha256 TEXT,
    settings_sha256 TEXT NOT NULL,
    models_sha256 TEXT NOT NULL,
    areas TEXT NOT NULL,
    state TEXT NOT NULL,
    worker TEXT,
    lease_until REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    outputs TEXT NOT NULL DEFAULT '[]',
    error_kind TEXT,
    error TEXT,
    exit_code INTEGER,
    seconds REAL,
    coverage REAL,
    classes TEXT,
    report TEXT,
    finished_at REAL
);
CREATE INDEX IF NOT EXISTS scans_by_state ON scans (state, position);
CREATE TABLE IF NOT EXISTS thumbnails (key TEXT PRIMARY KEY, before BLOB NOT NULL, after BLOB NOT NULL);
"""


class ScanState(StrEnum):
    """Where a scan stands."""

    queued = "queued"
    leased = "leased"
    done = "done"
    failed = "failed"


class LedgerError(TargetError):
    """The ledger cannot be used."""


@dataclass(frozen=True)
class OutputFile:
    """A file that was written for a scan.

    Parameters
    ----------
    path
        Relative to the ledger's folder where it lies below it, else absolute.
    size, mtime_ns
        Bytes and modification time, by which a later run sees without reading that nobody changed it.
    sha256
        Of its bytes, hexadecimal.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class LedgerEntry:
    """One scan as the ledger knows it.

    Parameters
    ----------
    key
        The result's path below the output folder.
    source
        The scan's absolute path.
    size, mtime_ns
        Of the input when it was entered.
    settings_sha256, models_sha256
        What decides the result besides the input.
    areas
        The person's masks for this scan: paths, sizes and times as text; empty if there are none.
    position
        The order in which scans are worked on.
    """

    key: str
    source: str
    size: int
    mtime_ns: int
    settings_sha256: str
    models_sha256: str
    areas: str = ""
    position: int = 0
    state: ScanState = ScanState.queued
    input_sha256: str | None = None
    attempts: int = 0
    outputs: tuple[OutputFile, ...] = ()
    error_kind: str | None = None
    error: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    coverage: float | None = None
    report: str | None = None
    finished_at: float | None = None

    def matches(self, entry: LedgerEntry) -> bool:
        """Whether the same settings, models and masks are in force, and the input has the same size."""
        return (
            self.settings_sha256 == entry.settings_sha256
            and self.models_sha256 == entry.models_sha256
            and self.areas == entry.areas
            and self.size == entry.size
        )


@dataclass(frozen=True)
class LedgerSummary:
    """How far a run has come.

    Parameters
    ----------
    counts
        Scans by state.
    failures
        Failed scans by error class, the most frequent first.
    scans_per_hour
        Over the last hour of work, 0 where nothing was finished.
    """

    counts: dict[ScanState, int]
    failures: dict[str, int]
    scans_per_hour: float

    @property
    def remaining(self) -> int:
        """Scans that are neither done nor failed."""
        return self.counts[ScanState.queued] + self.counts[ScanState.leased]

    @property
    def hours_left(self) -> float | None:
        """At the rate so far; None while there is none."""
        return self.remaining / self.scans_per_hour if self.scans_per_hour else None


class Ledger:
    """The open ledger of one output folder.

    Parameters
    ----------
    folder
        The output folder; it exists.
    create
        Make the file where there is none.

    Raises
    ------
    LedgerError
        If the file is missing and `create` is off, is no ledger or of a later version, or lies on a file system whose
        locks SQLite cannot rely on.
    """

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self.folder = folder
        self.path = folder / LEDGER_NAME
        if not create and not self.path.is_file():
            raise LedgerError(f"{folder} has no ledger ({LEDGER_NAME}). Name the output folder of a batch run.")
        with self._explain_errors():
            self._database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def entries(self, keys: Sequence[str] | None = None) -> dict[str, LedgerEntry]:
        """Read entries by key, in the order of their positions.

        Parameters
        ----------
        keys
            All entries unless given.
        """
        with self._explain_errors():
            if keys is None:
                rows = self._database.execute("SELECT * FROM scans ORDER BY position, key").fetchall()
                return {entry.key: entry for entry in map(_entry_of, rows)}
            self._select_keys(keys)
            rows = self._database.execute(
                "SELECT scans.* FROM scans JOIN run_keys USING (key) ORDER BY scans.position, key"
            ).fetchall()
            return {entry.key: entry for entry in map(_entry_of, rows)}

    def queue(self, entries: Iterable[LedgerEntry], *, now: float | None = None) -> int:
        """Enter scans as queued, in place of what was known of them; scans under a living lease are left alone.

        Returns
        -------
        count : int
            How many were queued.
        """
        moment = time.time() if now is None else now
        with self._transaction():
            before = self._database.total_changes
            self._database.executemany(
                """INSERT INTO scans (key, position, source, size, mtime_ns, settings_sha256, models_sha256, areas,
                                      state, attempts, outputs)
                   VALUES (:key, :position, :source, :size, :mtime_ns, :settings_sha256, :models_sha256, :areas,
                           'queued', :attempts, :outputs)
                   ON CONFLICT (key) DO UPDATE SET
                       position = excluded.position, source = excluded.source, size = excluded.size,
                       mtime_ns = excluded.mtime_ns, settings_sha256 = excluded.settings_sha256,
                       models_sha256 = excluded.models_sha256, areas = excluded.areas, state = 'queued',
                       attempts = excluded.attempts, input_sha256 = NULL, error_kind = NULL, error = NULL,
                       exit_code = NULL, seconds = NULL, coverage = NULL, classes = NULL, report = NULL,
                       finished_at = NULL, worker = NULL, lease_until = NULL
                   WHERE NOT (scans.state = 'leased' AND scans.lease_until > :now)""",
                (_queue_values(entry) | {"now": moment} for entry in entries),
            )
            return self._database.total_changes - before

    def select_keys(self, keys: Sequence[str]) -> None:
        """Say which scans this run is about: :meth:`lease` and :meth:`count_open` look at no other."""
        with self._explain_errors():
            self._select_keys(keys)

    def count_open(self) -> int:
        """How many of the selected scans are neither done nor failed."""
        with self._explain_errors():
            (count,) = self._database.execute(
                "SELECT count(*) FROM scans JOIN run_keys USING (key) WHERE state IN ('queued', 'leased')"
            ).fetchone()
        return int(count)

    def expire_leases(self, is_dead: Callable[[str], bool]) -> None:
        """End the leases of workers that are known to be dead."""
        with self._transaction():
            rows = self._database.execute("SELECT DISTINCT worker FROM scans WHERE state = 'leased'").fetchall()
            dead = [(row["worker"],) for row in rows if is_dead(row["worker"])]
            self._database.executemany("UPDATE scans SET lease_until = 0 WHERE state = 'leased' AND worker = ?", dead)

    def lease(self, worker: str, *, count: int, seconds: float, now: float | None = None) -> list[LedgerEntry]:
        """Take some of the selected scans to work on: queued ones, and those whose lease has expired.

        Parameters
        ----------
        worker
            Who takes them, for messages and for :meth:`renew`.
        count, seconds
            At most so many, for so long.
        """
        moment = time.time() if now is None else now
        with self._transaction():
            rows = self._database.execute(
                """UPDATE scans SET state = 'leased', worker = ?, lease_until = ?, attempts = attempts + 1
                   WHERE key IN (
                       SELECT scans.key FROM scans JOIN run_keys USING (key)
                       WHERE scans.state = 'queued' OR (scans.state = 'leased' AND scans.lease_until <= ?)
                       ORDER BY scans.position LIMIT ?)
                   RETURNING *""",
                (worker, moment + seconds, moment, count),
            ).fetchall()
        return sorted((_entry_of(row) for row in rows), key=lambda entry: entry.position)

    def renew(self, worker: str, *, seconds: float, now: float | None = None) -> None:
        """Prolong the leases of a worker that is alive."""
        moment = time.time() if now is None else now
        with self._transaction():
            self._database.execute(
                "UPDATE scans SET lease_until = ? WHERE worker = ? AND state = 'leased'", (moment + seconds, worker)
            )

    def release(self, worker: str) -> None:
        """Give back what a worker has leased and not finished."""
        with self._transaction():
            self._database.execute(
                """UPDATE scans SET state = 'queued', worker = NULL, lease_until = NULL, attempts = attempts - 1
                   WHERE worker = ? AND state = 'leased'""",
                (worker,),
            )

    def record_done(
        self,
        key: str,
        *,
        report: dict[str, Any],
        outputs: Sequence[OutputFile],
        input_sha256: str,
        now: float | None = None,
    ) -> None:
        """Record a scan that was restored.

        Parameters
        ----------
        report
            :class:`redust.core.report.Report` as JSON data.
        """
        self._record(
            key, now, state="done", outputs=_outputs_to_text(outputs), input_sha256=input_sha256,
            seconds=sum(report["seconds"].values()), coverage=report["coverage"],
            classes=json.dumps(report["classes"]), report=json.dumps(report), error_kind=None, error=None,
            exit_code=None,
        )  # fmt: skip

    def record_failure(
        self,
        key: str,
        *,
        kind: str,
        sentence: str,
        exit_code: int,
        outputs: Sequence[OutputFile] = (),
        now: float | None = None,
    ) -> None:
        """Record why a scan failed, and which files of it are there: they may be replaced when it is tried again."""
        self._record(
            key, now, state="failed", error_kind=kind, error=_store_text(sentence), exit_code=exit_code,
            outputs=_outputs_to_text(outputs),
        )  # fmt: skip

    def record_touched(self, entry: LedgerEntry) -> None:
        """Record that an input or result has another modification time and the same bytes."""
        with self._transaction():
            self._database.execute(
                "UPDATE scans SET mtime_ns = ?, outputs = ? WHERE key = ?",
                (entry.mtime_ns, _outputs_to_text(entry.outputs), _store_text(entry.key)),
            )

    def keep_thumbnails(self, key: str, before: bytes, after: bytes) -> None:
        """Keep a scan's small pictures for the report, each an encoded JPEG."""
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)", (_store_text(key), before, after)
            )

    def read_thumbnails(self, key: str) -> tuple[bytes, bytes] | None:
        """The small pictures of a scan, before and after; None where none were kept."""
        with self._explain_errors():
            row = self._database.execute(
                "SELECT before, after FROM thumbnails WHERE key = ?", (_store_text(key),)
            ).fetchone()
        return (row["before"], row["after"]) if row else None

    def summarise(self, *, now: float | None = None) -> LedgerSummary:
        """Count scans by state, failures by class, and the rate of the last hour."""
        moment = time.time() if now is None else now
        with self._explain_errors():
            counts = dict(self._database.execute("SELECT state, count(*) FROM scans GROUP BY state").fetchall())
            failures = dict(
                self._database.execute(
                    """SELECT error_kind, count(*) AS frequency FROM scans WHERE state = 'failed'
                       GROUP BY error_kind ORDER BY frequency DESC, error_kind"""
                ).fetchall()
            )
            finished, first = self._database.execute(
                "SELECT count(*), min(finished_at) FROM scans WHERE finished_at > ?", (moment - 3600,)
            ).fetchone()
        rate = 3600 * finished / max(moment - first, 1.0) if finished else 0.0
        return LedgerSummary({state: counts.get(state.value, 0) for state in ScanState}, failures, rate)

    def _record(self, key: str, now: float | None, **values: Any) -> None:
        columns = values | {
            "finished_at": time.time() if now is None else now, "worker": None, "lease_until": None,
        }  # fmt: skip
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with self._transaction():
            self._database.execute(
                f"UPDATE scans SET {assignments} WHERE key = :key", columns | {"key": _store_text(key)}
            )

    def _prepare(self) -> None:
        mode = self._database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LedgerError(_cannot_lock(self.path))
        self._database.execute("PRAGMA synchronous = NORMAL")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise LedgerError(f"{self.path} was written by a later ReDust. Update ReDust, or choose another folder.")
        if version < _SCHEMA_VERSION:
            self._database.executescript(_SCHEMA)
            self._database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self._database.execute("CREATE TEMP TABLE IF NOT EXISTS run_keys (key TEXT PRIMARY KEY)")

    def _select_keys(self, keys: Sequence[str]) -> None:
        self._database.execute("BEGIN")
        self._database.execute("DELETE FROM run_keys")
        self._database.executemany("INSERT OR IGNORE INTO run_keys VALUES (?)", ((_store_text(key),) for key in keys))
        self._database.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction that holds the write lock from its start: readers go on, writers wait."""
        with self._explain_errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locking protocol" in str(error) or "disk I/O error" in str(error):
                raise LedgerError(_cannot_lock(self.path)) from error
            if "locked" in str(error):
                raise LedgerError(
                    f"{self.path} stayed locked by another process for {_BUSY_SECONDS:.0f} seconds. "
                    "End that process, or run again later."
                ) from error
            raise LedgerError(f"{self.path} cannot be used: {error}. Check the folder and the disk's space.") from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"{self.path} is no ledger or is damaged: {error}. Move it away; finished scans are then done again."
            ) from error


def _cannot_lock(path: Path) -> str:
    return (
        f"{path} lies where files cannot be locked, as on many network shares. Write to a local folder and copy the "
        "results, or give each machine its own output folder with --shard."
    )


# SQLite holds valid UTF-8 only; a file name's undecodable bytes, surrogates in Python, are kept as private characters.
_STORED = {0xDC80 + byte: 0xF780 + byte for byte in range(128)}
_LOADED = {stored: surrogate for surrogate, stored in _STORED.items()}


def _store_text(text: str) -> str:
    return text.translate(_STORED)


def _load_text(text: str) -> str:
    return text.translate(_LOADED)


def _queue_values(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "key": _store_text(entry.key),
        "position": entry.position,
        "source": _store_text(entry.source),
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "settings_sha256": entry.settings_sha256,
        "models_sha256": entry.models_sha256,
        "areas": entry.areas,
        "attempts": entry.attempts,
        "outputs": _outputs_to_text(entry.outputs),
    }


def _outputs_to_text(outputs: Sequence[OutputFile]) -> str:
    return json.dumps([[file.path, file.size, file.mtime_ns, file.sha256] for file in outputs])


_COLUMNS = tuple(
    name for name in LedgerEntry.__dataclass_fields__ if name not in ("state", "outputs")
)  # fmt: skip


def _entry_of(row: sqlite3.Row) -> LedgerEntry:
    values = {name: row[name] for name in _COLUMNS}
    texts = {name: _load_text(values[name]) for name in ("key", "source", "error") if values[name] is not None}
    entry = LedgerEntry(**values | texts)
    outputs = tuple(OutputFile(*fields) for fields in json.loads(row["outputs"]))
    return replace(entry, state=ScanState(row["state"]), outputs=outputs)
