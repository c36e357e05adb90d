"""The SQLite file of a ledger: opened, locked, and its errors explained."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redust.batch.ledger_entry import SCHEMA, SCHEMA_VERSION
from redust.core.errors import TargetError

_BUSY_SECONDS = 30.0
_NETWORK_FILE_SYSTEMS = (
    "nfs", "cifs", "smb", "9p", "afs", "fuse.sshfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs",
)  # fmt: skip


class LedgerError(TargetError):
    """The ledger cannot be used."""


class LedgerDatabase:
    """An open SQLite database with the ledger's tables.

    Parameters
    ----------
    path
        Its file; made where there is none.
    any_thread
        Let any thread use it; the caller lets one in at a time.

    Raises
    ------
    LedgerError
        If the file is no ledger or of a later version, or is in use by another process on a network share.
    """

    def __init__(self, path: Path, *, any_thread: bool = False) -> None:
        self._path = path
        self._shared = not is_network_share(path.parent)
        with self._explained():
            timeout = _BUSY_SECONDS if self._shared else 0.0
            self.connection = sqlite3.connect(
                path, timeout=timeout, isolation_level=None, check_same_thread=not any_thread
            )
            self.connection.row_factory = sqlite3.Row
            self._prepare()

    def _prepare(self) -> None:
        execute = self.connection.execute
        if self._shared:
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = NORMAL")
        else:  # WAL needs memory that all processes share: on a network share one process has the ledger to itself
            execute("PRAGMA locking_mode = EXCLUSIVE")
            execute("BEGIN EXCLUSIVE")
            execute("COMMIT")
        version = execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LedgerError(f"{self._path} was written by a later ReDust. Update ReDust, or choose another folder.")
        if version < SCHEMA_VERSION:
            self.connection.executescript(SCHEMA)
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start: readers go on, writers wait."""
        with self._explained():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection; its errors are raised as :class:`LedgerError`."""
        with self._explained():
            yield self.connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise LedgerError(self._explain(error)) from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"{self._path} is no ledger or is damaged: {error}. Move it away; finished scans are then done again."
            ) from error

    def _explain(self, error: sqlite3.OperationalError) -> str:
        text = str(error)
        if "locking protocol" in text or "disk I/O error" in text:
            return (
                f"{self._path} lies where files cannot be locked. Put the ledger on a local disk with --ledger DIR, "
                "and give each machine its own share of the scans with --shard."
            )
        if "locked" in text and not self._shared:
            return (
                f"{self._path} lies on a network share, where one process at a time may use it, and another does. "
                "Give each process its own ledger with --ledger DIR and its own share of the scans with --shard."
            )
        if "locked" in text:
            return (
                f"{self._path} stayed locked by another process for {_BUSY_SECONDS:.0f} seconds. "
                "End that process, or run again later."
            )
        return f"{self._path} cannot be used: {error}. Check the folder and the disk's space."


def is_network_share(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder lies on a file system that other machines share, as far as the system says."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # a system without /proc
        return str(folder.absolute()).startswith("\\\\")
    real_path = os.path.realpath(folder)
    kinds = {fields[1]: fields[2] for fields in map(str.split, lines) if len(fields) > 2}
    parents = [point for point in kinds if Path(real_path).is_relative_to(point.replace("\\040", " "))]
    return bool(parents) and kinds[max(parents, key=len)].startswith(_NETWORK_FILE_SYSTEMS)
