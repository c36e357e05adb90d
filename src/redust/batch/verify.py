"""Checks results against what the ledger says was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from redust.batch.ledger import Ledger, LedgerEntry, OutputFile, ScanState
from redust.batch.worker import hash_file


class Fault(StrEnum):
    """What is wrong with a file."""

    missing = "missing"
    changed = "changed"
    unreadable = "unreadable"


@dataclass(frozen=True)
class FileFault:
    """A file that is not as it was written.

    Parameters
    ----------
    path
        The file.
    fault
        What is wrong.
    """

    path: Path
    fault: Fault


@dataclass(frozen=True)
class Verification:
    """The outcome of checking a whole output folder.

    Parameters
    ----------
    files
        How many files were checked.
    faults
        Those that are not as they were written, by key.
    """

    files: int
    faults: tuple[FileFault, ...]


def verify_results(
    ledger: Ledger, *, inputs: bool = False, progress: Callable[[float], None] | None = None
) -> Verification:
    """Hash every result that the ledger says is done, and compare.

    Parameters
    ----------
    inputs
        Hash the inputs too.
    progress
        Called with the share done, 0..1.
    """
    entries = [entry for entry in ledger.entries().values() if entry.state is ScanState.done]
    faults: list[FileFault] = []
    files = 0
    for number, entry in enumerate(entries, start=1):
        for path, sha256 in _expected_files(entry, ledger.folder, inputs=inputs):
            files += 1
            fault = _check_file(path, sha256)
            faults += [FileFault(path, fault)] if fault else []
        if progress:
            progress(number / len(entries))
    return Verification(files, tuple(faults))


def _expected_files(entry: LedgerEntry, root: Path, *, inputs: bool) -> Iterator[tuple[Path, str]]:
    yield from ((_locate(file, root), file.sha256) for file in entry.outputs)
    if inputs and entry.input_sha256:
        yield Path(entry.source), entry.input_sha256


def _locate(file: OutputFile, root: Path) -> Path:
    return root / file.path  # an absolute path stays as it is


def _check_file(path: Path, sha256: str) -> Fault | None:
    try:
        return None if hash_file(path) == sha256 else Fault.changed
    except FileNotFoundError:
        return Fault.missing
    except OSError:
        return Fault.unreadable
