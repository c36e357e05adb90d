"""The report of a run: an HTML contact sheet for people, CSV for tables, JSON lines for programs."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import redust
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, ScanState
from redust.core.atomic import check_path, whole_file
from redust.core.errors import SettingsError
from redust.core.report import Report

FORMATS = (".html", ".csv", ".json", ".jsonl", "")
MAX_THUMBNAILS = 1000
"""Scans shown with pictures: those that need a look first. A page of ten thousand pictures helps nobody."""

_HTML_TITLE = b"<title>ReDust: report of a run</title>"
_COLUMNS = ("key", "state", "coverage", "regions", "classes", "seconds", "error_kind", "error", "warnings", "source")


def check_report(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a report that cannot be written; an earlier report of a run may be replaced.

    Raises
    ------
    SettingsError
        If the suffix is none of :data:`FORMATS`.
    TargetError
        If the path holds another file, or cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        names = ", ".join(filter(None, FORMATS))
        raise SettingsError(f"{path} is no report that ReDust writes: end its name with {names}.")
    check_path(path, overwrite=overwrite or _is_report(path))


def _is_report(path: Path) -> bool:
    """Whether a file begins as reports do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(1000)
    return not head or head.startswith((b'{"redust":', ",".join(_COLUMNS).encode())) or _HTML_TITLE in head


def write_report(
    ledger: Ledger, path: Path, root: Path, *, passed_over: Sequence[Report] = (), overwrite: bool = False
) -> None:
    """Write the report of everything the ledger knows.

    Parameters
    ----------
    path
        Its suffix chooses the format: HTML, CSV, or one :class:`redust.core.report.Report` as JSON per line.
    root
        The output folder, for pictures that are missing.
    passed_over
        Reports of files that are not in the ledger, for JSON.

    Raises
    ------
    SettingsError
        If the suffix is none of :data:`FORMATS`.
    TargetError
        If it cannot be written.
    """
    check_report(path, overwrite=overwrite)
    entries = sort_by_need(ledger.entries().values())
    writers = {".html": _render_html, ".csv": _render_csv}
    render = writers.get(path.suffix.lower(), _render_json)
    if render is _render_html:
        from redust.batch.thumbnails import complete_thumbnails

        complete_thumbnails(entries[:MAX_THUMBNAILS], ledger, root)
    with whole_file(path, overwrite=True) as file:
        for chunk in render(entries, ledger, passed_over):
            file.write(chunk.encode("utf-8", "backslashreplace"))


def sort_by_need(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Scans by what needs a look first: failed ones, those for review, with warnings, then by how much was changed."""
    ranks = {ScanState.failed: 0, ScanState.review: 1}
    return sorted(
        entries,
        key=lambda entry: (
            ranks.get(entry.state, 2),
            entry.warning_count == 0,
            -(entry.coverage or 0.0),
            entry.position,
        ),
    )


def _make_row(entry: LedgerEntry, ledger: Ledger) -> dict[str, Any]:
    report = ledger.read_report(entry.key)
    return {
        "key": entry.key,
        "state": entry.state.value,
        "coverage": entry.coverage,
        "regions": report.get("regions"),
        "classes": {name: count for name, count in report.get("classes", {}).items() if count},
        "seconds": round(entry.seconds, 2) if entry.seconds is not None else None,
        "error_kind": entry.error_kind,
        "error": entry.error,
        "warnings": report.get("warnings", []),
        "source": entry.source,
    }


def _render_json(entries: list[LedgerEntry], ledger: Ledger, passed_over: Sequence[Report]) -> Iterator[str]:
    for entry in sorted(entries, key=lambda entry: entry.position):
        report = ledger.read_report(entry.key)
        if entry.state is ScanState.failed:
            failed = describe_failed_scan(entry.source, entry.error or "", entry.error_kind or "")
            report = failed.model_dump(mode="json")
        if report:
            yield json.dumps(report) + "\n"
    for skipped in passed_over:
        yield json.dumps(skipped.model_dump()) + "\n"


def describe_failed_scan(source: str, sentence: str, kind: str) -> Report:
    """The report of a scan that failed."""
    return Report(redust=redust.__version__, source=source, status="failed", error=sentence, error_kind=kind)


def _render_csv(entries: list[LedgerEntry], ledger: Ledger, _: Sequence[Report]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _COLUMNS)
    writer.writeheader()
    for entry in entries:
        row = _make_row(entry, ledger)
        row["classes"] = " ".join(f"{name}:{count}" for name, count in row["classes"].items())
        row["warnings"] = " ".join(row["warnings"])
        writer.writerow({name: _defuse_formula(value) for name, value in row.items()})
    yield buffer.getvalue()


def _defuse_formula(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, as plain text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _render_html(entries: list[LedgerEntry], ledger: Ledger, _: Sequence[Report]) -> Iterator[str]:
    page = files("redust.batch").joinpath("run_report.html").read_text(encoding="utf-8")
    head, tail = page.split("/*ROWS*/")
    summary = ledger.summarise()
    facts = {"redust": redust.__version__, "counts": {state.value: n for state, n in summary.counts.items()}}
    yield head
    yield f'{{"facts": {_script_json(facts)}, "rows": [\n'
    for number, entry in enumerate(entries):
        row = _make_row(entry, ledger) | _encode_pictures(entry, ledger, number)
        yield ("" if number == 0 else ",\n") + _script_json(row)
    yield "\n]}"
    yield tail


def _encode_pictures(entry: LedgerEntry, ledger: Ledger, number: int) -> dict[str, str]:
    pictures = ledger.read_thumbnails(entry.key) if number < MAX_THUMBNAILS else None
    if pictures is None:
        return {}
    before, after = (base64.b64encode(picture).decode() for picture in pictures)
    return {"before": before, "after": after}


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever a file is called."""
    text = json.dumps(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
