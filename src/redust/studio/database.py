"""The studio's tables in the ledger's file: scans with their choices, the correction raster, and every edit.

Everything is written before a request is answered. One connection serves all threads, under one lock.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import from_stored_text, to_stored_text

TileStates: TypeAlias = NDArray[np.uint8]
TileIndex: TypeAlias = tuple[int, int]  # row and column of a tile

TILE = 256
"""Side of a tile of corrections, in pixels."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studio_scans (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    root TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT -1,
    mtime_ns INTEGER NOT NULL DEFAULT 0,
    width INTEGER,
    height INTEGER,
    bits INTEGER,
    channels INTEGER,
    orientation INTEGER NOT NULL DEFAULT 1,
    input_sha256 TEXT,
    state TEXT NOT NULL DEFAULT 'new',
    settings TEXT NOT NULL DEFAULT '{}',
    coverage REAL,
    regions INTEGER,
    counts TEXT NOT NULL DEFAULT '{}',
    revision INTEGER NOT NULL DEFAULT 0,
    error TEXT
);
CREATE TABLE IF NOT EXISTS studio_tiles (
    scan TEXT NOT NULL, row INTEGER NOT NULL, col INTEGER NOT NULL, states BLOB NOT NULL,
    PRIMARY KEY (scan, row, col)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS studio_edits (
    scan TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scan, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS studio_edit_tiles (
    scan TEXT NOT NULL, number INTEGER NOT NULL, row INTEGER NOT NULL, col INTEGER NOT NULL,
    before BLOB NOT NULL, after BLOB NOT NULL,
    PRIMARY KEY (scan, number, row, col)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS studio_restored (
    scan TEXT NOT NULL, row INTEGER NOT NULL, col INTEGER NOT NULL, positions BLOB NOT NULL, light BLOB NOT NULL,
    PRIMARY KEY (scan, row, col)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS studio_models (number INTEGER PRIMARY KEY, folder TEXT NOT NULL);
"""
_EMPTY = zlib.compress(bytes(TILE * TILE), 1)


@dataclass(frozen=True)
class TileChange:
    """One tile of corrections before and after an edit, (256, 256) uint8 each."""

    index: TileIndex
    before: TileStates
    after: TileStates


class StudioDatabase:
    """The open tables.

    Parameters
    ----------
    folder
        The output folder; its ledger is made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        self._ledger = Ledger(folder, any_thread=True)
        with self._ledger.database.reading() as connection:
            connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._ledger.close()

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger of batch runs, for this thread alone."""
        with self._lock:
            yield self._ledger

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._ledger.database.transaction() as connection:
            yield connection

    def _select(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock, self._ledger.database.reading() as connection:
            return connection.execute(query, values).fetchall()

    def add_scans(self, rows: Iterable[tuple[str, Path, str, Path]]) -> None:
        """Enter scans that are not known: identifier, source, key of the result, and the folder they must lie in."""
        with self._writing() as connection:
            connection.executemany(
                """INSERT INTO studio_scans (id, source, key, root) VALUES (?, ?, ?, ?)
                   ON CONFLICT (source) DO UPDATE SET key = excluded.key, root = excluded.root""",
                ((name, *map(to_stored_text, (str(source), key, str(root)))) for name, source, key, root in rows),
            )

    def find_ids(self) -> dict[str, str]:
        """The identifiers of all scans by their sources."""
        return {
            from_stored_text(row["source"]): row["id"] for row in self._select("SELECT id, source FROM studio_scans")
        }

    def read_scan(self, scan_id: str) -> dict[str, Any] | None:
        """The columns of a scan; None where there is none."""
        rows = self._select("SELECT * FROM studio_scans WHERE id = ?", scan_id)
        return _decode_row(rows[0]) if rows else None

    def read_scans(self) -> dict[str, dict[str, Any]]:
        """The columns of all scans by identifier."""
        return {row["id"]: _decode_row(row) for row in self._select("SELECT * FROM studio_scans")}

    def update_scan(self, scan_id: str, *, raise_revision: bool = True, **columns: Any) -> None:
        """Set columns of a scan; JSON data as such."""
        with self._writing() as connection:
            _update(connection, scan_id, columns, raise_revision)

    def read_tiles(self, scan_id: str) -> dict[TileIndex, TileStates]:
        """The tiles of a scan that hold corrections."""
        rows = self._select("SELECT row, col, states FROM studio_tiles WHERE scan = ?", scan_id)
        return {(row["row"], row["col"]): _unpack(row["states"]) for row in rows}

    def count_edits(self, scan_id: str) -> tuple[int, int]:
        """How many edits can be undone and redone."""
        (row,) = self._select(
            "SELECT count(*) AS total, ifnull(sum(undone), 0) AS undone FROM studio_edits WHERE scan = ?", scan_id
        )
        return row["total"] - row["undone"], row["undone"]

    def store_edit(self, scan_id: str, kind: str, changes: Iterable[TileChange], **columns: Any) -> None:
        """Store an edit after those that are not undone; the undone ones are forgotten."""
        with self._writing() as connection:
            for table in ("studio_edit_tiles", "studio_edits"):
                connection.execute(
                    f"""DELETE FROM {table} WHERE scan = ?1 AND number IN
                        (SELECT number FROM studio_edits WHERE scan = ?1 AND undone)""",
                    (scan_id,),
                )
            (number,) = connection.execute(
                "SELECT ifnull(max(number), 0) + 1 FROM studio_edits WHERE scan = ?", (scan_id,)
            ).fetchone()
            connection.execute("INSERT INTO studio_edits VALUES (?, ?, ?, 0)", (scan_id, number, kind))
            rows = [(scan_id, number, *change.index, _pack(change.before), _pack(change.after)) for change in changes]
            connection.executemany("INSERT INTO studio_edit_tiles VALUES (?, ?, ?, ?, ?, ?)", rows)
            _store_tiles(connection, scan_id, ((row[2], row[3], row[5]) for row in rows))
            _update(connection, scan_id, columns)

    def undo(self, scan_id: str, **columns: Any) -> dict[TileIndex, TileStates] | None:
        """Undo the last edit: its tiles as they were before; None where there is none."""
        return self._turn_edit(scan_id, "max", 0, "before", columns)

    def redo(self, scan_id: str, **columns: Any) -> dict[TileIndex, TileStates] | None:
        """Redo the edit undone last: its tiles as they were after it; None where there is none."""
        return self._turn_edit(scan_id, "min", 1, "after", columns)

    def _turn_edit(
        self, scan_id: str, edge: str, undone: int, column: str, columns: Mapping[str, Any]
    ) -> dict[TileIndex, TileStates] | None:
        with self._writing() as connection:
            (number,) = connection.execute(
                f"SELECT {edge}(number) FROM studio_edits WHERE scan = ? AND undone = ?", (scan_id, undone)
            ).fetchone()
            if number is None:
                return None
            connection.execute(
                "UPDATE studio_edits SET undone = ? WHERE scan = ? AND number = ?", (1 - undone, scan_id, number)
            )
            rows = connection.execute(
                f"SELECT row, col, {column} FROM studio_edit_tiles WHERE scan = ? AND number = ?", (scan_id, number)
            ).fetchall()
            _store_tiles(connection, scan_id, map(tuple, rows))
            _update(connection, scan_id, columns)
        return {(row, column): _unpack(states) for row, column, states in rows}

    def store_restored(
        self, scan_id: str, tiles: Mapping[TileIndex, tuple[bytes, bytes]], *, replace_all: bool
    ) -> None:
        """Store repaired pixels by tile: packed positions and light; `replace_all` forgets all others."""
        with self._writing() as connection:
            if replace_all:
                connection.execute("DELETE FROM studio_restored WHERE scan = ?", (scan_id,))
            connection.executemany(
                "INSERT OR REPLACE INTO studio_restored VALUES (?, ?, ?, ?, ?)",
                ((scan_id, *index, *packed) for index, packed in tiles.items()),
            )
            _update(connection, scan_id, {})

    def read_restored(self, scan_id: str) -> dict[TileIndex, tuple[bytes, bytes]]:
        """The repaired pixels of a scan by tile, packed."""
        rows = self._select("SELECT row, col, positions, light FROM studio_restored WHERE scan = ?", scan_id)
        return {(row["row"], row["col"]): (row["positions"], row["light"]) for row in rows}

    def has_restored(self, scan_id: str) -> bool:
        """Whether any pixels of a scan are repaired."""
        return bool(self._select("SELECT 1 FROM studio_restored WHERE scan = ? LIMIT 1", scan_id))

    def read_models(self) -> list[str]:
        """The folders of taught models, relative to the output folder; the last is in force."""
        return [row["folder"] for row in self._select("SELECT folder FROM studio_models ORDER BY number")]

    def add_model(self, folder: str) -> None:
        """Enter a taught model; it is in force from now on."""
        with self._writing() as connection:
            connection.execute("INSERT INTO studio_models (folder) VALUES (?)", (folder,))

    def drop_model(self) -> None:
        """Forget the last taught model."""
        with self._writing() as connection:
            connection.execute("DELETE FROM studio_models WHERE number = (SELECT max(number) FROM studio_models)")


_JSON_COLUMNS = ("settings", "counts")
_TEXT_COLUMNS = ("source", "key", "root", "error")


def _decode_row(row: sqlite3.Row) -> dict[str, Any]:
    columns = dict(row)
    for name in _JSON_COLUMNS:
        columns[name] = json.loads(columns[name])
    for name in _TEXT_COLUMNS:
        columns[name] = columns[name] and from_stored_text(columns[name])
    return columns


def _update(
    connection: sqlite3.Connection, scan_id: str, columns: Mapping[str, Any], raise_revision: bool = True
) -> None:
    values = {name: json.dumps(value) if name in _JSON_COLUMNS else value for name, value in columns.items()}
    values |= {name: to_stored_text(values[name]) for name in _TEXT_COLUMNS if values.get(name)}
    assignments = [f"{name} = :{name}" for name in values] + (["revision = revision + 1"] if raise_revision else [])
    connection.execute(f"UPDATE studio_scans SET {', '.join(assignments)} WHERE id = :id", values | {"id": scan_id})


def _store_tiles(connection: sqlite3.Connection, scan_id: str, tiles: Iterable[tuple[int, int, bytes]]) -> None:
    for row, column, packed in tiles:
        if packed == _EMPTY:
            connection.execute(
                "DELETE FROM studio_tiles WHERE scan = ? AND row = ? AND col = ?", (scan_id, row, column)
            )
        else:
            connection.execute(
                "INSERT OR REPLACE INTO studio_tiles VALUES (?, ?, ?, ?)", (scan_id, row, column, packed)
            )


def _pack(states: TileStates) -> bytes:
    return zlib.compress(states.tobytes(), 1)


def _unpack(packed: bytes) -> TileStates:
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(TILE, TILE)
