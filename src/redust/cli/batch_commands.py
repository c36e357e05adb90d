"""The commands about a run over many scans: `status`, `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Output: TypeAlias = Annotated[
    Path, typer.Argument(metavar="OUT", show_default=False, help="The output folder of `redust restore`.")
]
LedgerFolder: TypeAlias = Annotated[
    Path | None,
    typer.Option("--ledger", metavar="DIR", show_default=False, help="The folder of the ledger if not OUT."),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(verify)


_STATE_WORDS = {"queued": "left", "leased": "begun"}  # of the ledger, in a user's words


def status(
    output: Output,
    *,
    ledger: LedgerFolder = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", show_default=False, help="Write a report: .html, .csv or .json."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a run over many scans has come.

    \b
    redust status restored/
    redust status restored/ --report restored.html
    """
    from redust.batch.ledger import Ledger
    from redust.batch.run_report import write_report
    from redust.cli.batch_progress import format_seconds

    with Ledger(ledger or output, create=False) as opened:
        summary = opened.summarise()
        if report is not None:
            write_report(opened, report, output)
    counts = {state.value: count for state, count in summary.counts.items()}
    if as_json:
        facts = counts | {"failures": summary.failures, "scans_per_hour": summary.scans_per_hour}
        typer.echo(json.dumps(facts | {"hours_left": summary.hours_left}))
        return
    known = {_STATE_WORDS.get(state, state): count for state, count in counts.items() if count}
    typer.echo(", ".join(f"{count} {word}" for word, count in known.items()) or "no scans")
    for kind, count in summary.failures.items():
        typer.echo(f"  {count} failed with {kind}")
    if summary.remaining and summary.hours_left is not None:
        left = format_seconds(3600 * summary.hours_left)
        typer.echo(f"{summary.scans_per_hour:,.0f} scans per hour; {left} left")


def verify(
    output: Output,
    *,
    ledger: LedgerFolder = None,
    inputs: Annotated[bool, typer.Option("--inputs", help="Check the scans too: are they as they were read?")] = False,
    as_json: AsJson = False,
) -> None:
    """Check that every result is as it was written, by the ledger and by receipts.

    \b
    redust verify restored/
    redust verify restored/ --inputs
    """
    from redust.batch.ledger import Ledger
    from redust.batch.ledger_entry import LEDGER_NAME
    from redust.batch.verify import verify_receipts, verify_results
    from redust.core.errors import VerificationError
    from redust.core.escape import escape_controls

    folder = ledger or output
    if ledger is None and not (folder / LEDGER_NAME).is_file():
        verification = verify_receipts(output)
    else:
        with Ledger(folder, create=False) as opened:
            verification = verify_results(opened, output, inputs=inputs)
    faults = {str(fault.path): fault.fault.value for fault in verification.faults}
    if as_json:
        typer.echo(json.dumps({"files": verification.files, "faults": faults}))
    else:
        for path, fault in faults.items():
            typer.echo(escape_controls(f"{path}: {fault}"))
    if faults:
        raise VerificationError(
            f"{len(faults)} of {verification.files} files are not as they were written. Restore them again: the same "
            "command does those that are missing; move changed ones away first."
        )
    if not as_json:
        typer.echo(f"{verification.files} files are as they were written.")
