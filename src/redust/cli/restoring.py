"""The commands that work on scans: `restore`, `detect`, `repair`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer

from redust.batch.batch_settings import BatchSettings
from redust.cli.flags import flag_name, with_flags
from redust.cli.usage import BASIC
from redust.core.errors import SettingsError
from redust.core.settings import DetectSettings, RepairSettings, RestoreSettings, ScanSettings

S = TypeVar("S", bound=ScanSettings)

# The flags of settings that the help lists first; the others are advanced.
_BASIC = frozenset(
    {"level", "sensitivity", "only", "skip", "grow", "fill", "method", "overwrite", "page", "max_change"}
)


def _file_option(flag: str, help: str, *names: str, panel: str = BASIC, metavar: str = "FILE") -> Any:
    return typer.Option(flag, *names, help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


_SCANS = typer.Argument(metavar="SCAN", show_default=False, help="Scans, or folders: all scans below them are taken.")
Scans: TypeAlias = Annotated[list[Path], _SCANS]
Output: TypeAlias = Annotated[
    Path | None,
    _file_option(
        "--output", "Where the restored scan goes; a folder for several. `scan.restored.tif` beside it unless given.",
        "-o", metavar="FILE|DIR",
    ),
]  # fmt: skip
MaskOut: TypeAlias = Annotated[
    Path | None,
    _file_option("--mask-out", "Write the mask too: 8 bit, 0 and 255; a folder for several.", metavar="FILE|DIR"),
]
Compare: TypeAlias = Annotated[
    Path | None,
    _file_option(
        "--compare", "Draw before, mask and after side by side; a folder for several.", metavar="FILE.png|DIR"
    ),
]
Layers: TypeAlias = Annotated[
    Path | None,
    _file_option(
        "--layers", "Write the scan, its repaired pixels and the mask as layers, for Photoshop, GIMP, Krita; a folder "
        "for several.", metavar="FILE.tif|FILE.ora|DIR",
    ),
]  # fmt: skip
InPlace: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--in-place",
        help="Replace the scan's file, in one step; the original stays beside it as scan.original.tif. For programs "
        "that call ReDust as their external editor.",
        rich_help_panel=BASIC,
    ),
]
ReportFile: TypeAlias = Annotated[
    Path | None,
    _file_option("--report", "Write what was done: one JSON object per line and scan; of many also .html or .csv."),
]
WholeMask: TypeAlias = Annotated[
    Path | None,
    _file_option("--mask", "Take this mask; nothing is detected. A folder for several.", metavar="FILE|DIR"),
]
AddMask: TypeAlias = Annotated[Path | None, _file_option("--add-mask", "Add what this mask marks.", metavar="FILE|DIR")]
NotMask: TypeAlias = Annotated[
    Path | None, _file_option("--not-mask", "Protect what this mask marks.", metavar="FILE|DIR")
]
Preset: TypeAlias = Annotated[Path | None, _file_option("--preset", "Settings from a TOML file; flags win over it.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")]
Verbose: TypeAlias = Annotated[bool, typer.Option("--verbose", "-v", help="Show every step, and tracebacks.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON report per scan and line.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(with_flags(BatchSettings)(with_flags(RestoreSettings, basic=_BASIC)(restore)))
    app.command()(with_flags(DetectSettings, basic=_BASIC)(detect))
    app.command()(with_flags(RepairSettings, basic=_BASIC)(repair))


def restore(
    scans: Scans,
    *,
    output: Output = None,
    mask_out: MaskOut = None,
    compare: Compare = None,
    layers: Layers = None,
    report: ReportFile = None,
    mask: WholeMask = None,
    add_mask: AddMask = None,
    not_mask: NotMask = None,
    in_place: InPlace = False,
    preset: Preset = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    **choices: Any,
) -> None:
    """Find the damage of scans and repair it.

    Only damaged pixels change; the scans themselves are never written, unless you
    say --in-place. Of many scans, the same command run again does what is left.

    \b
    redust restore scan.tif -o restored.tif
    redust restore roll/ -o restored/ --mask-out masks/ --report roll.jsonl
    redust restore scan.tif --sensitivity eager --compare compare.png
    """
    from redust.batch.watching import check_watched
    from redust.batch.worklist import make_worklist
    from redust.cli.run_batch import Display, run_batch
    from redust.cli.run_jobs import run_jobs

    refuse_shared_infrared(choices, scans)
    batch_choices = {name: choices.pop(name) for name in BatchSettings.model_fields if name in choices}
    settings, batch = _make_settings(RestoreSettings, preset, choices), BatchSettings.of(**batch_choices)
    find_work = partial(
        make_worklist, scans, target=output, restored_beside=True, in_place=in_place, mask_out=mask_out,
        compare=compare, layers=layers, mask=mask, add_mask=add_mask, not_mask=not_mask, run_files=_list_of(report),
        all_pages=settings.page == "all",
    )  # fmt: skip
    if in_place and (output is not None or not all(map(names_one_file, scans))):
        raise SettingsError("--in-place replaces the files that it is given: name scans, and no folder and no output.")
    if output is None or (len(scans) == 1 and names_one_file(scans[0])):
        refuse_batch_flags(batch_choices, report)
        run_jobs(find_work(), settings, report, quiet=quiet, verbose=verbose, as_json=as_json)
        return
    watched = scans if batch.watch else []
    check_watched(watched, [path for path in (output, mask_out, compare, layers, report) if path is not None])
    run_batch(find_work, settings, batch, output, report, Display(quiet, verbose, as_json), watched=watched)


def detect(
    scans: Scans,
    *,
    output: Annotated[
        Path, _file_option("--output", "The folder for the masks, 8 bit, 0 and 255: DIR/scan.png.", "-o", metavar="DIR")
    ],
    as_map: Annotated[bool, typer.Option("--map", help="Write the damage map instead: 16 bit, 65535 = 1.")] = False,
    report: ReportFile = None,
    mask: WholeMask = None,
    add_mask: AddMask = None,
    not_mask: NotMask = None,
    preset: Preset = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    **choices: Any,
) -> None:
    """Find the damage of scans and write it as masks.

    Edit the masks, then repair with `redust repair`, or `redust restore --mask DIR`.

    \b
    redust detect scan.tif -o masks/
    redust detect roll/ -o masks/ --sensitivity shy
    redust detect scan.tif -o maps/ --map
    """
    from redust.batch.worklist import make_worklist
    from redust.cli.run_jobs import run_jobs

    refuse_shared_infrared(choices, scans)
    settings = _make_settings(DetectSettings, preset, choices)
    worklist = make_worklist(
        scans, mask_out=None if as_map else output, map_out=output if as_map else None,
        mask=mask, add_mask=add_mask, not_mask=not_mask, run_files=_list_of(report), all_pages=settings.page == "all",
    )  # fmt: skip
    run_jobs(worklist, settings, report, quiet=quiet, verbose=verbose, as_json=as_json)


def repair(
    scan: Annotated[Path, typer.Argument(metavar="SCAN", show_default=False, help="The scan.")],
    *,
    mask: Annotated[Path, _file_option("--mask", "What to repair: a mask of the scan's size, non-zero = repair.")],
    output: Output = None,
    compare: Compare = None,
    layers: Layers = None,
    report: ReportFile = None,
    not_mask: NotMask = None,
    preset: Preset = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    **choices: Any,
) -> None:
    """Fill what a mask marks, and nothing else.

    \b
    redust repair scan.tif --mask masks/scan.png -o restored.tif
    redust repair scan.tif --mask mask.png --fill telea
    redust repair scan.tif --mask mask.png --not-mask lettering.png
    """
    from redust.batch.worklist import make_worklist
    from redust.cli.run_jobs import run_jobs

    settings = _make_settings(RepairSettings, preset, choices)
    worklist = make_worklist(
        [scan],
        target=output,
        restored_beside=True,
        compare=compare,
        layers=layers,
        mask=mask,
        not_mask=not_mask,
        run_files=_list_of(report),
    )
    run_jobs(worklist, settings, report, quiet=quiet, verbose=verbose, as_json=as_json)


def names_one_file(source: Path) -> bool:
    """Whether a source is one scan, and neither a folder nor an address in an object store."""
    from redust.batch.storage import is_remote

    return not source.is_dir() and not is_remote(source)


def refuse_batch_flags(choices: Collection[str], report: Path | None) -> None:
    """Refuse flags, and kinds of report, that belong to many scans."""
    flags = [flag_name(name) for name in choices]
    flags += ["--report FILE.html or .csv"] if report is not None and report.suffix.lower() in (".html", ".csv") else []
    if flags:
        raise SettingsError(f"{', '.join(flags)}: for several scans and an output folder. Name the folder with -o.")


def refuse_shared_infrared(choices: Mapping[str, Any], scans: Sequence[Path]) -> None:
    """Refuse one infrared file for several scans."""
    infrared = choices.get("infrared", "auto")
    if infrared not in ("auto", "off", "channel") and (len(scans) > 1 or not names_one_file(scans[0])):
        raise SettingsError(
            f"--infrared {infrared}: one file for several scans. Lay the infrared of each beside it, as scan_IR.tif, "
            "and leave the flag out; or restore one scan at a time."
        )


def _make_settings(kind: type[S], preset: Path | None, choices: dict[str, Any]) -> S:
    return kind.of(**choices) if preset is None else kind.from_preset(preset, **choices)


def _list_of(path: Path | None) -> list[Path]:
    return [] if path is None else [path]
