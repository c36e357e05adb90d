"""What a ledger holds of each scan, and how it is stored in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LEDGER_NAME = "redust-ledger.sqlite"
"""The ledger's file name in its folder."""

SCHEMA_VERSION = 1
SCHEMA = """
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
    claimed INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    outputs TEXT NOT NULL DEFAULT '[]',
    error_kind TEXT,
    error TEXT,
    exit_code INTEGER,
    seconds REAL,
    megapixels REAL,
    coverage REAL,
    classes TEXT,
    warning_count INTEGER NOT NULL DEFAULT 0,
    report TEXT,
    finished_at REAL
);
CREATE INDEX IF NOT EXISTS scans_by_state ON scans (state, worker);
CREATE INDEX IF NOT EXISTS scans_by_time ON scans (finished_at);
CREATE TABLE IF NOT EXISTS thumbnails (key TEXT PRIMARY KEY, before BLOB NOT NULL, after BLOB NOT NULL);
"""


class ScanState(StrEnum):
    """The state of a scan."""

    queued = "queued"
    leased = "leased"
    done = "done"
    review = "review"  # left alone: more would be changed than allowed
    failed = "failed"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that was written for a scan.

    Parameters
    ----------
    path
        Relative to the output folder where it lies below it, else absolute.
    size, mtime_ns
        Bytes and modification time, by which a later run knows without reading that nobody changed it.
    sha256
        Of its bytes, hexadecimal.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One scan as the ledger knows it.

    Parameters
    ----------
    key
        The result's path below the output folder.
    source
        The scan's absolute path, or its address in an object store.
    size, mtime_ns
        Of the input when it was entered.
    settings_sha256, models_sha256
        What decides the result besides the input.
    areas
        The person's masks for this scan, and the files beside it that hold its infrared: paths, sizes and times as
        text; empty if there are none.
    position
        The order in which scans are worked on.
    claimed
        Whether files at the outputs' paths may be replaced: a process has begun to write them.
    attempts
        How often the scan was begun since it was queued.
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
    claimed: bool = False
    attempts: int = 0
    outputs: tuple[OutputFile, ...] = ()
    error_kind: str | None = None
    error: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    megapixels: float | None = None
    coverage: float | None = None
    warning_count: int = 0
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
    seconds_per_megapixel
        Of one worker, over the scans that were finished last; None while there are none.
    """

    counts: dict[ScanState, int]
    failures: dict[str, int]
    scans_per_hour: float
    seconds_per_megapixel: float | None

    @property
    def remaining(self) -> int:
        """Scans that are queued or leased."""
        return self.counts[ScanState.queued] + self.counts[ScanState.leased]

    @property
    def hours_left(self) -> float | None:
        """At the rate so far; None while there is none."""
        return self.remaining / self.scans_per_hour if self.scans_per_hour else None


# SQLite holds valid UTF-8 only; a file name's undecodable bytes, surrogates in Python, are kept as private characters.
_STORED = {0xDC80 + byte: 0xF780 + byte for byte in range(128)}
_LOADED = {stored: surrogate for surrogate, stored in _STORED.items()}

ENTRY_COLUMNS = tuple(LedgerEntry.__dataclass_fields__)


def to_stored_text(text: str) -> str:
    """Text that SQLite can hold."""
    return text if text.isascii() else text.translate(_STORED)


def from_stored_text(text: str) -> str:
    """The text that was stored."""
    return text if text.isascii() else text.translate(_LOADED)


def outputs_to_text(outputs: Sequence[OutputFile]) -> str:
    """Outputs as the text of a column."""
    return json.dumps([[file.path, file.size, file.mtime_ns, file.sha256] for file in outputs])


def entry_to_row(entry: LedgerEntry) -> dict[str, Any]:
    """The columns of a scan that is queued."""
    return {
        "key": to_stored_text(entry.key),
        "position": entry.position,
        "source": to_stored_text(entry.source),
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "settings_sha256": entry.settings_sha256,
        "models_sha256": entry.models_sha256,
        "areas": entry.areas,
        "outputs": outputs_to_text(entry.outputs),
        "finished_at": entry.finished_at,
    }


def row_to_entry(row: sqlite3.Row) -> LedgerEntry:
    """The entry of a row of just :data:`ENTRY_COLUMNS`, in their order."""
    values: dict[str, Any] = dict(zip(ENTRY_COLUMNS, row, strict=True))
    values["key"] = from_stored_text(values["key"])
    values["source"] = from_stored_text(values["source"])
    values["error"] = values["error"] and from_stored_text(values["error"])
    values["state"] = ScanState(values["state"])
    values["claimed"] = bool(values["claimed"])
    values["outputs"] = tuple(OutputFile(*fields) for fields in json.loads(values["outputs"]))
    return LedgerEntry(**values)
