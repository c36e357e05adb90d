"""Which scans, and where each result goes: everything that can clash is found before any work starts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from redust.batch.find_scans import FoundScan, PathResolver, Refusal, find_scans
from redust.core.errors import SettingsError, TargetError
from redust.files import is_scan_path
from redust.files.formats import LAYERED_SUFFIXES, SCAN_SUFFIXES
from redust.pipeline.job import Job, beside, writable_name

_LISTED = 10  # clashes that one message names


@dataclass(frozen=True)
class Worklist:
    """The jobs of a run, what fails before any work, and the files passed over; see
    :class:`redust.batch.find_scans.Search`."""

    jobs: list[Job]
    refusals: list[Refusal] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    companions: list[Path] = field(default_factory=list)


def make_worklist(
    sources: Sequence[Path],
    *,
    target: Path | None = None,
    restored_beside: bool = False,
    in_place: bool = False,
    mask_out: Path | None = None,
    map_out: Path | None = None,
    compare: Path | None = None,
    layers: Path | None = None,
    mask: Path | None = None,
    add_mask: Path | None = None,
    not_mask: Path | None = None,
    run_files: Sequence[Path] = (),
    all_pages: bool = False,
) -> Worklist:
    """Make a job of every scan that `sources` name.

    See :func:`redust.batch.find_scans.find_scans`, :func:`place_outputs`, :func:`split_clashes`.

    Parameters
    ----------
    target, mask_out, map_out, compare, layers
        Where results go: a file for one scan, a folder for several.
    restored_beside
        Whether restored scans go beside the scans where there is no `target`.
    in_place
        Whether restored scans take the place of the scans.
    mask, add_mask, not_mask
        A file for all scans, or a folder with a mask for each, named as `redust detect` names them;
        a scan without a mask in the folders `add_mask` and `not_mask` has no such area.
    run_files
        Further files the run writes, such as a report.
    all_pages
        Whether all pages of TIFFs are worked on: their masks are TIFFs too.

    Raises
    ------
    SettingsError
        If no job is left; the message names why for each scan.
    """
    files = (target, mask_out, map_out, compare, layers, mask, add_mask, not_mask, *run_files)
    search = find_scans(sources, leave_out=[path for path in files if path])
    scans, pictures = search.scans, name_pictures(search.scans)
    names = [writable_name(scan.relative_path) for scan in scans]
    masks = [_name_mask(name, scan.path, all_pages=all_pages) for name, scan in zip(pictures, scans, strict=True)]
    one_file = len(sources) == 1 and not os.path.isdir(sources[0])
    targets: Sequence[Path | None] = (
        [beside(scan.path) for scan in scans]
        if restored_beside and target is None and not in_place
        else place_outputs(names, target, one_file=one_file)
    )
    jobs = [
        Job(*fields)
        for fields in zip(
            [scan.path for scan in scans],
            targets,
            [_find_area(name, mask, required=True) for name in masks],
            [_find_area(name, add_mask) for name in masks],
            [_find_area(name, not_mask) for name in masks],
            place_outputs(masks, mask_out, one_file=one_file),
            place_outputs(pictures, map_out, one_file=one_file),
            place_outputs(pictures, compare, one_file=one_file),
            place_outputs(name_layers(pictures), layers, one_file=one_file, suffixes=LAYERED_SUFFIXES),
            strict=True,
        )
    ]
    placed = [
        replace(job, in_place=in_place, infrared_files=scan.infrared_files)
        for job, scan in zip(jobs, scans, strict=True)
    ]
    jobs, clashes = split_clashes(placed, run_files)
    refusals = [*search.refusals, *clashes]
    if not jobs:
        raise SettingsError(_join_refusals(refusals))
    return Worklist(jobs, refusals, search.skipped, search.companions)


def name_pictures(scans: Sequence[FoundScan]) -> list[Path]:
    """The relative paths of the scans' masks, maps and comparisons.

    ``a.tif`` has the mask ``a.png``; where several scans differ by their suffix only, each keeps it: ``a.tif.png``.
    """
    paths = [scan.relative_path for scan in scans]
    uses = Counter(str(path.with_suffix("")).casefold() for path in paths)
    return [
        path.with_suffix(".png") if uses[str(path.with_suffix("")).casefold()] == 1 else Path(f"{path}.png")
        for path in paths
    ]


def _name_mask(picture: Path, scan: Path, *, all_pages: bool) -> Path:
    """The name of a scan's mask: a TIFF's is a TIFF where it is to have all pages."""
    is_tiff = scan.suffix.lower() in (".tif", ".tiff")
    return picture.with_suffix(".tif") if all_pages and is_tiff else picture


def name_layers(pictures: Sequence[Path]) -> list[Path]:
    """The relative paths of the scans' files in layers: those of their pictures, as TIFF."""
    return [path.with_suffix(".tif") for path in pictures]


def place_outputs(
    names: Sequence[Path], output: Path | None, *, one_file: bool, suffixes: Sequence[str] = SCAN_SUFFIXES
) -> Sequence[Path | None]:
    """Where each scan's result goes.

    Parameters
    ----------
    names
        The results' paths below an output folder.
    output
        None for nowhere; a file if `one_file` and its suffix is one of `suffixes`; otherwise a folder.
    one_file
        Whether a single file is the source, and no folder.
    suffixes
        Of the files that the result can be; those of scans unless given.

    Raises
    ------
    SettingsError
        If `output` is a file, or named like one, and cannot be the result.
    """
    if output is None:
        return [None] * len(names)
    if not os.path.isdir(output):
        if one_file and output.suffix.lower() in suffixes:
            return [output]
        _refuse_file_name(output, one_file, suffixes)
    return [output / name for name in names]


def _refuse_file_name(output: Path, one_file: bool, suffixes: Sequence[str]) -> None:
    """Refuse an output that is meant as a file: it exists, or has a suffix where one file is to be written."""
    if one_file and output.suffix:
        raise SettingsError(
            f"{output} is neither a folder that exists nor a file ReDust can write. "
            f"Name the result with one of {', '.join(suffixes)}, or make the folder first."
        )
    if os.path.exists(output) or is_scan_path(output):
        raise SettingsError(f"{output} is a file name, and results of a folder need a folder. Name a folder.")


def split_clashes(jobs: Sequence[Job], run_files: Iterable[Path] = ()) -> tuple[list[Job], list[Refusal]]:
    """Split off the jobs whose results would destroy each other, or an input.

    Parameters
    ----------
    run_files
        Further files the run writes, such as a report.

    Returns
    -------
    jobs
        Those that can be done.
    clashes
        The others.

    Raises
    ------
    SettingsError
        If a run file's path is that of an input or a result, also by letter case or through symbolic or hard links.
    """
    resolver = PathResolver()
    inputs = _identify_inputs(jobs, resolver)
    owners: dict[str, list[str]] = {}
    for job in jobs:
        for path in job.outputs:
            owners.setdefault(_path_identity(path, resolver), []).append(str(job.source))
    for path in run_files:
        if _is_input(path, inputs, resolver):
            raise SettingsError(f"{path} is an input and would be written over. Choose another name.")
        if (owner := owners.get(_path_identity(path, resolver))) is not None:
            raise SettingsError(f"The report and a result of {owner[0]} would both be written to {path}. Rename one.")
    reasons = [_find_clash(job, inputs, owners, resolver) for job in jobs]
    clashes = [Refusal(job.source, TargetError(reason)) for job, reason in zip(jobs, reasons, strict=True) if reason]
    return [job for job, reason in zip(jobs, reasons, strict=True) if not reason], clashes


def _find_clash(job: Job, inputs: set[str], owners: dict[str, list[str]], resolver: PathResolver) -> str:
    """Why a job's results cannot be written; empty if they can."""
    for path in job.outputs:
        if _is_input(path, inputs, resolver):
            return f"{path} is an input and would be written over. Choose another output."
        sources = owners[_path_identity(path, resolver)]
        if len(sources) > 1:
            results = " and ".join(f"a result of {source}" for source in sources[:_LISTED])
            if len(set(sources)) == 1:
                results = f"Two results of {sources[0]}"
            return f"{results} would both be written to {path}. Choose another output, or rename one."
    return ""


def _join_refusals(refusals: Sequence[Refusal]) -> str:
    sentences = list(dict.fromkeys(str(refusal.error) for refusal in refusals))
    remainder = [f"And {len(sentences) - _LISTED} more of this kind."] if len(sentences) > _LISTED else []
    return " ".join([*sentences[:_LISTED], *remainder])


def _find_area(name: Path, area: Path | None, *, required: bool = False) -> Path | None:
    """The mask of one scan, from a file for all or a folder with one for each."""
    if area is None or not os.path.isdir(area):
        return area
    path = area / name
    return path if required or os.path.exists(path) else None


def _path_identity(path: Path, resolver: PathResolver) -> str:
    """Equal for paths that are one file, or would be on a disk that ignores letter case."""
    return resolver.resolve(path).casefold()


def _file_number(path: Path) -> str:
    """Equal for all hard links of a file; empty if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}"


def _identify_inputs(jobs: Iterable[Job], resolver: PathResolver) -> set[str]:
    paths = {path for job in jobs for path in job.inputs}
    return {_path_identity(path, resolver) for path in paths} | {_file_number(path) for path in paths} - {""}


def _is_input(path: Path, inputs: set[str], resolver: PathResolver) -> bool:
    return _path_identity(path, resolver) in inputs or _file_number(path) in inputs
