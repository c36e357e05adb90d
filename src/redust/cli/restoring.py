"""The commands that work on scans: `restore`, `detect`, `repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer

from redust.cli.flags import with_flags
from redust.core.settings import DetectSettings, RepairSettings, RestoreSettings, ScanSettings

S = TypeVar("S", bound=ScanSettings)

_RESULTS, _AREAS, _SHOWN = "Results", "Where a person has decided", "What is shown"


def _file(flag: str, help: str, panel: str, *more: str, metavar: str = "FILE") -> Any:
    return typer.Option(flag, *more, help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


_SCANS = typer.Argument(metavar="SCAN", show_default=False, help="Scans, or folders: all scans below them are taken.")
Scans: TypeAlias = Annotated[list[Path], _SCANS]
Output: TypeAlias = Annotated[
    Path | None,
    _file(
        "--output", "Where the restored scan goes; a folder for several. `scan.restored.tif` beside it unless given.",
        _RESULTS, "-o", metavar="FILE|DIR",
    ),
]  # fmt: skip
MaskOut: TypeAlias = Annotated[
    Path | None,
    _file("--mask-out", "Write the mask too: 8 bit, 0 and 255; a folder for several.", _RESULTS, metavar="FILE|DIR"),
]
Compare: TypeAlias = Annotated[
    Path | None,
    _file(
        "--compare", "Draw before, mask and after side by side; a folder for several.", _RESULTS, metavar="FILE.png|DIR"
    ),
]
ReportFile: TypeAlias = Annotated[
    Path | None, _file("--report", "Write what was done: one JSON object per line and scan.", _RESULTS)
]
GivenMask: TypeAlias = Annotated[
    Path | None,
    _file("--mask", "Take this mask; nothing is detected. A folder for several.", _AREAS,
          metavar="FILE|DIR"),
]  # fmt: skip
AddMask: TypeAlias = Annotated[
    Path | None, _file("--add-mask", "Add what this mask marks.", _AREAS, metavar="FILE|DIR")
]
NotMask: TypeAlias = Annotated[
    Path | None, _file("--not-mask", "Protect what this mask marks.", _AREAS, metavar="FILE|DIR")
]
Preset: TypeAlias = Annotated[Path | None, _file("--preset", "Choices from a TOML file; flags win over it.", _SHOWN)]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.", rich_help_panel=_SHOWN)]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show every step, and tracebacks.", rich_help_panel=_SHOWN)
]
AsJson: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="One report per scan and line on standard output.", rich_help_panel=_SHOWN),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(no_args_is_help=True)(with_flags(RestoreSettings)(restore))
    app.command(no_args_is_help=True)(with_flags(DetectSettings)(detect))
    app.command(no_args_is_help=True)(with_flags(RepairSettings)(repair))


def restore(
    scans: Scans,
    *,
    output: Output = None,
    mask_out: MaskOut = None,
    compare: Compare = None,
    report: ReportFile = None,
    mask: GivenMask = None,
    add_mask: AddMask = None,
    not_mask: NotMask = None,
    preset: Preset = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    **choices: Any,
) -> None:
    """Find the damage of scans and repair it. Only damaged pixels change; the scans themselves are never written."""
    from redust.batch.worklist import make_worklist
    from redust.cli.run_jobs import run_jobs

    settings = _settings(RestoreSettings, preset, choices)
    jobs = make_worklist(
        scans, target=output, restored_beside=True, mask_out=mask_out, compare=compare,
        mask=mask, add_mask=add_mask, not_mask=not_mask, others=_given(report),
    )  # fmt: skip
    run_jobs(jobs, settings, report, quiet=quiet, verbose=verbose, as_json=as_json)


def detect(
    scans: Scans,
    *,
    output: Annotated[
        Path,
        _file("--output", "The folder for the masks, 8 bit, 0 and 255: DIR/scan.png.", _RESULTS, "-o", metavar="DIR"),
    ],
    as_map: Annotated[
        bool,
        typer.Option("--map", help="Write the damage map instead: 16 bit, 65535 = 1.", rich_help_panel=_RESULTS),
    ] = False,
    report: ReportFile = None,
    mask: GivenMask = None,
    add_mask: AddMask = None,
    not_mask: NotMask = None,
    preset: Preset = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    **choices: Any,
) -> None:
    """Find the damage of scans and write it as masks. Edit them, then repair with `redust repair`."""
    from redust.batch.worklist import make_worklist
    from redust.cli.run_jobs import run_jobs

    settings = _settings(DetectSettings, preset, choices)
    jobs = make_worklist(
        scans, mask_out=None if as_map else output, map_out=output if as_map else None,
        mask=mask, add_mask=add_mask, not_mask=not_mask, others=_given(report),
    )  # fmt: skip
    run_jobs(jobs, settings, report, quiet=quiet, verbose=verbose, as_json=as_json)


def repair(
    scan: Annotated[Path, typer.Argument(metavar="SCAN", show_default=False, help="The scan.")],
    *,
    mask: Annotated[Path, _file("--mask", "What to repair: a mask of the scan's size, non-zero = repair.", _AREAS)],
    output: Output = None,
    compare: Compare = None,
    report: ReportFile = None,
    not_mask: NotMask = None,
    preset: Preset = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    **choices: Any,
) -> None:
    """Fill what a mask marks, and nothing else."""
    from redust.batch.worklist import make_worklist
    from redust.cli.run_jobs import run_jobs

    settings = _settings(RepairSettings, preset, choices)
    jobs = make_worklist(
        [scan],
        target=output,
        restored_beside=True,
        compare=compare,
        mask=mask,
        not_mask=not_mask,
        others=_given(report),
    )
    run_jobs(jobs, settings, report, quiet=quiet, verbose=verbose, as_json=as_json)


def _settings(kind: type[S], preset: Path | None, choices: dict[str, Any]) -> S:
    return kind.of(**choices) if preset is None else kind.from_preset(preset, **choices)


def _given(path: Path | None) -> list[Path]:
    return [] if path is None else [path]
