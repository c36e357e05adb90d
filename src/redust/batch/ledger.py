"""The ledger of a batch run: one SQLite file that knows every scan's state.

One row per scan, keyed by the path of its result below the output folder, so that the key is the same on every machine
that mounts the folder. The row is written before work starts (a lease that expires) and after it has ended, so a run
that was killed goes on where it stopped, and two processes never work on one scan at a time.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redust.batch.ledger_database import LedgerDatabase
from redust.batch.ledger_entry import (
    ENTRY_COLUMNS,
    LEDGER_NAME,
    LedgerEntry,
    LedgerSummary,
    OutputFile,
    ScanState,
    entry_to_row,
    from_stored_text,
    outputs_to_text,
    row_to_entry,
    to_stored_text,
)
from redust.core.errors import SettingsError

MAX_ATTEMPTS = 5
"""How often a scan is begun before it counts as one that kills its process."""

_RATE_SECONDS, _RATE_SCANS = 3600.0, 500  # what rates are measured over
_COLUMNS = ", ".join(ENTRY_COLUMNS)


@dataclass(frozen=True)
class Lease:
    """What came of trying to lease scans.

    Parameters
    ----------
    entries
        Leased now, in the order of the keys.
    finished
        Keys of scans that somebody has finished meanwhile.
    busy
        Keys of scans that another process works on.
    """

    entries: tuple[LedgerEntry, ...]
    finished: frozenset[str]
    busy: frozenset[str]


class Ledger:
    """An open ledger.

    Parameters
    ----------
    folder
        The folder that holds it; it exists.
    create
        Make the file where there is none.
    any_thread
        Let any thread use it; the caller lets one in at a time.

    Raises
    ------
    SettingsError
        If the file is missing and `create` is off.
    LedgerError
        If it is no ledger or of a later version, or is in use by another process on a network share.
    """

    def __init__(self, folder: Path, *, create: bool = True, any_thread: bool = False) -> None:
        self.path = folder / LEDGER_NAME
        if not create and not self.path.is_file():
            raise SettingsError(f"{folder} has no ledger ({LEDGER_NAME}). Name the output folder of a batch run.")
        self._database = LedgerDatabase(self.path, any_thread=any_thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.connection.close()

    @property
    def database(self) -> LedgerDatabase:
        """The open file, for further tables."""
        return self._database

    def entries(self, keys: Iterable[str] | None = None) -> dict[str, LedgerEntry]:
        """Read entries by key, in the order of their positions.

        Parameters
        ----------
        keys
            All entries unless given.
        """
        with self._database.reading() as connection:
            if keys is None:
                rows = connection.execute(f"SELECT {_COLUMNS} FROM scans ORDER BY position, key")
            else:
                rows = self._select(keys, "ORDER BY position, key")
            return {entry.key: entry for entry in map(row_to_entry, rows)}

    def queue(self, entries: Iterable[LedgerEntry], *, now: float | None = None) -> int:
        """Enter scans as queued, in place of what was known of them.

        Scans under a living lease are left alone, and scans that another process has finished since they were read:
        those whose `finished_at` differs.

        Returns
        -------
        count : int
            How many were queued.
        """
        moment = time.time() if now is None else now
        with self._database.transaction() as connection:
            before = connection.total_changes
            connection.executemany(
                """INSERT INTO scans (key, position, source, size, mtime_ns, settings_sha256, models_sha256, areas,
                                      state, outputs)
                   VALUES (:key, :position, :source, :size, :mtime_ns, :settings_sha256, :models_sha256, :areas,
                           'queued', :outputs)
                   ON CONFLICT (key) DO UPDATE SET
                       position = excluded.position, source = excluded.source, size = excluded.size,
                       mtime_ns = excluded.mtime_ns, settings_sha256 = excluded.settings_sha256,
                       models_sha256 = excluded.models_sha256, areas = excluded.areas, state = 'queued',
                       attempts = 0, input_sha256 = NULL, error_kind = NULL, error = NULL,
                       exit_code = NULL, seconds = NULL, megapixels = NULL, coverage = NULL, classes = NULL,
                       warning_count = 0, report = NULL, finished_at = NULL, worker = NULL, lease_until = NULL
                   WHERE NOT (scans.state = 'leased' AND scans.lease_until > :now)
                         AND scans.finished_at IS :finished_at""",
                (entry_to_row(entry) | {"now": moment} for entry in entries),
            )
            return connection.total_changes - before

    def expire_leases(self, is_dead: Callable[[str], bool]) -> None:
        """End the leases of workers that are known to be dead."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT DISTINCT worker FROM scans WHERE state = 'leased'").fetchall()
            dead = [(row["worker"],) for row in rows if is_dead(row["worker"])]
            connection.executemany("UPDATE scans SET lease_until = 0 WHERE state = 'leased' AND worker = ?", dead)

    def lease(self, worker: str, keys: Sequence[str], *, count: int, seconds: float, now: float | None = None) -> Lease:
        """Lease scans to work on: queued ones, and those whose lease has expired.

        Parameters
        ----------
        worker
            Who takes them, for messages and for :meth:`renew`.
        keys
            Those to choose from.
        count, seconds
            At most so many, for so long.
        """
        moment = time.time() if now is None else now
        with self._database.transaction() as connection:
            rows = {
                from_stored_text(row["key"]): row
                for row in self._select(keys, columns="key, state, lease_until > :now AS living", now=moment)
            }
            busy = {key for key, row in rows.items() if row["state"] == ScanState.leased and row["living"]}
            open_states = (ScanState.queued, ScanState.leased)
            finished = {key for key in keys if key not in rows or rows[key]["state"] not in open_states}
            chosen = [key for key in keys if key not in busy and key not in finished][:count]
            connection.execute(
                f"""UPDATE scans SET state = 'leased', worker = :worker, lease_until = :until
                    WHERE key IN ({_KEY_LIST})""",
                {"worker": worker, "until": moment + seconds, "keys": _encode_keys(chosen)},
            )
            entries = {entry.key: entry for entry in map(row_to_entry, self._select(chosen))}
        return Lease(tuple(entries[key] for key in chosen), frozenset(finished), frozenset(busy))

    def claim(self, keys: Sequence[str]) -> None:
        """Record that leased scans are begun: from now on, files at their outputs' paths are this run's own."""
        if keys:
            with self._database.transaction() as connection:
                connection.execute(
                    f"UPDATE scans SET claimed = 1, attempts = attempts + 1 WHERE key IN ({_KEY_LIST})",
                    {"keys": _encode_keys(keys)},
                )

    def renew(self, worker: str, *, seconds: float, now: float | None = None) -> None:
        """Prolong the leases of a worker that is alive."""
        moment = time.time() if now is None else now
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE scans SET lease_until = ? WHERE worker = ? AND state = 'leased'", (moment + seconds, worker)
            )

    def release(self, worker: str) -> None:
        """Return what a worker has leased and not finished; an attempt that was stopped does not count."""
        with self._database.transaction() as connection:
            connection.execute(
                """UPDATE scans SET state = 'queued', worker = NULL, lease_until = NULL,
                          attempts = max(attempts - claimed, 0)
                   WHERE worker = ? AND state = 'leased'""",
                (worker,),
            )

    def requeue(self, key: str) -> None:
        """Return a scan that was begun, to be tried again."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE scans SET state = 'queued', worker = NULL, lease_until = NULL WHERE key = ?",
                (to_stored_text(key),),
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
        """Record a scan that was restored, or left for review.

        Parameters
        ----------
        report
            :class:`redust.core.report.Report` as JSON data.
        """
        state = ScanState.review if report["status"] == "review" else ScanState.done
        self._record(
            key, now, state=state.value, outputs=outputs_to_text(outputs), input_sha256=input_sha256,
            seconds=sum(report["seconds"].values()), coverage=report["coverage"],
            megapixels=report.get("height", 0) * report.get("width", 0) / 1e6, classes=json.dumps(report["classes"]),
            warning_count=_count_warnings(report), report=json.dumps(report), error_kind=None, error=None,
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
            key, now, state=ScanState.failed.value, error_kind=kind, error=to_stored_text(sentence),
            exit_code=exit_code, outputs=outputs_to_text(outputs),
        )  # fmt: skip

    def record_touched(self, entries: Iterable[LedgerEntry]) -> None:
        """Record inputs and results that have another modification time and the same bytes."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE scans SET mtime_ns = ?, outputs = ? WHERE key = ?",
                ((entry.mtime_ns, outputs_to_text(entry.outputs), to_stored_text(entry.key)) for entry in entries),
            )

    def read_report(self, key: str) -> dict[str, Any]:
        """The report of a scan as JSON data; empty where there is none."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT report FROM scans WHERE key = ?", (to_stored_text(key),)).fetchone()
        report: dict[str, Any] = json.loads(row["report"]) if row and row["report"] else {}
        return report

    def store_thumbnails(self, key: str, before: bytes, after: bytes) -> None:
        """Store a scan's small pictures for the report, each an encoded JPEG."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)", (to_stored_text(key), before, after)
            )

    def read_thumbnails(self, key: str) -> tuple[bytes, bytes] | None:
        """The small pictures of a scan, before and after; None where there are none."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT before, after FROM thumbnails WHERE key = ?", (to_stored_text(key),)
            ).fetchone()
        return (row["before"], row["after"]) if row else None

    def summarise(self, *, now: float | None = None) -> LedgerSummary:
        """Count scans by state and failures by class, and measure the rate."""
        moment = time.time() if now is None else now
        with self._database.reading() as connection:
            counts = dict(connection.execute("SELECT state, count(*) FROM scans GROUP BY state").fetchall())
            failures = dict(
                connection.execute(
                    """SELECT error_kind, count(*) AS frequency FROM scans WHERE state = 'failed'
                       GROUP BY error_kind ORDER BY frequency DESC, error_kind"""
                ).fetchall()
            )
            finished, begun = connection.execute(
                "SELECT count(*), min(finished_at - ifnull(seconds, 0)) FROM scans WHERE finished_at > ?",
                (moment - _RATE_SECONDS,),
            ).fetchone()
            (pace,) = connection.execute(
                """SELECT sum(seconds) / sum(megapixels) FROM (
                       SELECT seconds, megapixels FROM scans WHERE megapixels > 0 ORDER BY finished_at DESC LIMIT ?)""",
                (_RATE_SCANS,),
            ).fetchone()
        rate = 3600 * finished / max(moment - begun, 1.0) if finished else 0.0
        return LedgerSummary({state: counts.get(state.value, 0) for state in ScanState}, failures, rate, pace)

    def _record(self, key: str, now: float | None, **values: Any) -> None:
        columns = values | {
            "finished_at": time.time() if now is None else now, "worker": None, "lease_until": None, "claimed": 0,
        }  # fmt: skip
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE scans SET {assignments} WHERE key = :key", columns | {"key": to_stored_text(key)}
            )

    def _select(
        self, keys: Iterable[str], order: str = "", *, columns: str = _COLUMNS, **values: Any
    ) -> sqlite3.Cursor:
        return self._database.connection.execute(
            f"SELECT {columns} FROM scans WHERE key IN ({_KEY_LIST}) {order}", {"keys": _encode_keys(keys)} | values
        )


def _count_warnings(report: dict[str, Any]) -> int:
    """Warnings that ask for a look: that a format is lossy is known of all scans of its kind."""
    return len(report["warnings"]) - bool(report.get("largest_change_outside"))


_KEY_LIST = "SELECT value FROM json_each(:keys)"


def _encode_keys(keys: Iterable[str]) -> str:
    return json.dumps([to_stored_text(key) for key in keys])
