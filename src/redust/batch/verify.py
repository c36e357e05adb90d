"""Checks results against the ledger and against their receipts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, ScanState
from redust.batch.receipts import RECEIPT_SUFFIX, receipt_path
from redust.batch.storage import file_exists, hash_file, open_file
from redust.core.errors import SettingsError

ProgressCallback: TypeAlias = Callable[[float], None]


class Fault(StrEnum):
    """What is wrong with a file."""

    missing = "missing"
    changed = "changed"
    unreadable = "unreadable"
    receipt_differs = "differs from the ledger"


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
    """The outcome of checking an output folder.

    Parameters
    ----------
    files
        How many files were checked.
    faults
        Those that are not as they were written.
    """

    files: int
    faults: tuple[FileFault, ...]


def verify_results(
    ledger: Ledger, root: Path, *, inputs: bool = False, progress: ProgressCallback | None = None
) -> Verification:
    """Hash every result that the ledger says is done, and compare it with the ledger; compare receipts too.

    Parameters
    ----------
    root
        The output folder.
    inputs
        Hash the inputs too.
    progress
        Called with the share done, 0..1.
    """
    entries = [entry for entry in ledger.entries().values() if entry.state in (ScanState.done, ScanState.review)]
    return _verify([_check_entry(entry, root, inputs=inputs) for entry in entries], progress)


def verify_receipts(root: Path, *, progress: ProgressCallback | None = None) -> Verification:
    """Hash every result below a folder that has a receipt, and compare: for copies without a ledger.

    Raises
    ------
    SettingsError
        If there is no receipt.
    """
    paths = sorted(root.rglob(f"*{RECEIPT_SUFFIX}"))
    if not paths:
        raise SettingsError(f"{root} has neither a ledger nor receipts. Name the output folder of a batch run.")
    return _verify([_check_receipt(path, root) for path in paths], progress)


def _verify(checks: Sequence[Iterable[FileFault | None]], progress: ProgressCallback | None) -> Verification:
    """Do the checks of each scan; each yields a fault, or None for a sound file."""
    faults: list[FileFault] = []
    files = 0
    for number, check in enumerate(checks, start=1):
        for fault in check:
            files += 1
            faults += [fault] if fault else []
        if progress:
            progress(number / len(checks))
    return Verification(files, tuple(faults))


def _check_entry(entry: LedgerEntry, root: Path, *, inputs: bool) -> Iterator[FileFault | None]:
    for file in entry.outputs:
        yield _check_file(root / file.path, file.sha256)  # an absolute path stays as it is
        path = receipt_path(root / file.path)
        if file_exists(path):
            yield _compare_receipt(path, entry)
    if inputs and entry.input_sha256:
        yield _check_file(Path(entry.source), entry.input_sha256)


def _check_receipt(path: Path, root: Path) -> Iterator[FileFault | None]:
    receipt = _read_receipt(path)
    if receipt is None:
        yield FileFault(path, Fault.unreadable)
        return
    for name, sha256 in receipt["outputs"].items():
        yield _check_file(root / name, sha256)


def _compare_receipt(path: Path, entry: LedgerEntry) -> FileFault | None:
    receipt = _read_receipt(path)
    if receipt is None:
        return FileFault(path, Fault.unreadable)
    expected = {file.path: file.sha256 for file in entry.outputs}, entry.input_sha256
    same = (receipt["outputs"], receipt["input_sha256"]) == expected
    return None if same else FileFault(path, Fault.receipt_differs)


def _read_receipt(path: Path) -> dict[str, Any] | None:
    """A receipt's facts; None if it is none."""
    try:
        with open_file(path) as file:
            facts: dict[str, Any] = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return facts if {"outputs", "input_sha256"} <= facts.keys() else None


def _check_file(path: Path, sha256: str) -> FileFault | None:
    try:
        return None if hash_file(path) == sha256 else FileFault(path, Fault.changed)
    except FileNotFoundError:
        return FileFault(path, Fault.missing)
    except OSError:
        return FileFault(path, Fault.unreadable)
