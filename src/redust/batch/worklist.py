"""Which scans, and where each result goes: everything that can clash is found before any work starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redust.core.errors import SettingsError
from redust.files import is_scan_path
from redust.pipeline.job import RESTORED, Job, beside


@dataclass(frozen=True)
class FoundScan:
    """A scan and its place in the tree that is kept below an output folder."""

    path: Path
    relative_path: Path


def make_worklist(
    sources: Sequence[Path],
    *,
    target: Path | None = None,
    restored_beside: bool = False,
    mask_out: Path | None = None,
    map_out: Path | None = None,
    compare: Path | None = None,
    mask: Path | None = None,
    add_mask: Path | None = None,
    not_mask: Path | None = None,
    others: Sequence[Path] = (),
) -> list[Job]:
    """Make a job of every scan that `sources` name.

    See :func:`find_scans`, :func:`place_outputs`, :func:`check_outputs`.

    Parameters
    ----------
    target, mask_out, map_out, compare
        Where results go: a file for one scan, a folder for several.
    restored_beside
        Whether restored scans go beside the scans where there is no `target`.
    mask, add_mask, not_mask
        A file for all scans, or a folder with a mask for each, named as `redust detect` names them;
        a scan without a mask in the folders `add_mask` and `not_mask` has no such area.
    others
        Further files the run writes, such as a report.

    Raises
    ------
    SettingsError
        If a source holds no scan, or results would destroy each other or an input.
    """
    given = [path for path in (target, mask_out, map_out, compare, mask, add_mask, not_mask) if path is not None]
    found = find_scans(sources, leave_out=given)
    targets = (
        [beside(each.path) for each in found] if restored_beside and target is None else place_outputs(found, target)
    )
    jobs = [
        Job(each.path, *places)
        for each, *places in zip(
            found,
            targets,
            [_area(each, mask, needed=True) for each in found],
            [_area(each, add_mask) for each in found],
            [_area(each, not_mask) for each in found],
            place_outputs(found, mask_out, suffix=".png"),
            place_outputs(found, map_out, suffix=".png"),
            place_outputs(found, compare, suffix=".png"),
            strict=True,
        )
    ]
    check_outputs(jobs, others)
    return jobs


def find_scans(sources: Sequence[Path], *, leave_out: Iterable[Path] = ()) -> list[FoundScan]:
    """Find the scans that `sources` name.

    Parameters
    ----------
    sources
        Files, and folders to search. A file is taken whatever its suffix; in a folder, those that look like
        scans: no hidden files, no results of earlier runs (`*.restored.*`), no symbolic links.
    leave_out
        Folders not to descend into, such as the one results go to.

    Returns
    -------
    found
        In the order of `sources`, each scan once; a folder's in alphabetical order.

    Raises
    ------
    SettingsError
        If a source holds no scan, or is a pattern that no shell has expanded.
    """
    avoided = {str(path.resolve()) for path in leave_out}
    base = _common([path if path.is_dir() else path.parent for path in sources])
    found: dict[str, FoundScan] = {}
    for source in sources:
        for path in _scans_of(source, avoided):
            found.setdefault(str(path.resolve()), FoundScan(path, Path(os.path.relpath(_plain(path), base))))
    return list(found.values())


def place_outputs(
    found: Sequence[FoundScan], output: Path | None, *, suffix: str | None = None
) -> Sequence[Path | None]:
    """Where each scan's result goes.

    Parameters
    ----------
    output
        None for nowhere; a file if there is one scan and it looks like a scan's path; otherwise a folder,
        below which the tree of the inputs is kept.
    suffix
        Suffix of results in a folder; each scan's own unless given.

    Raises
    ------
    SettingsError
        If `output` is a file and there are several scans, or looks like a file of an unknown kind.
    """
    if output is None:
        return [None] * len(found)
    if len(found) == 1 and is_scan_path(output) and not output.is_dir():
        return [output]
    if output.is_file() or (len(found) == 1 and output.suffix and not output.is_dir()):
        raise SettingsError(
            f"{output} is neither a folder nor a file ReDust can write for {len(found)} scan(s). "
            "Name a folder that exists, or for one scan a file such as out.tif."
        )
    return [
        output / (each.relative_path if suffix is None else each.relative_path.with_suffix(suffix)) for each in found
    ]


def check_outputs(jobs: Sequence[Job], others: Iterable[Path] = ()) -> None:
    """Refuse results that would destroy each other, or a scan.

    Parameters
    ----------
    others
        Further files the run writes, such as a report.

    Raises
    ------
    SettingsError
        If two results have one path (also by letter case or through links), or a result's path is an input's.
    """
    inputs: dict[str, Path] = {}
    for job in jobs:
        for path in (job.source, job.mask, job.add_mask, job.not_mask):
            if isinstance(path, Path):
                inputs[_identity(path)] = path
    taken: dict[str, str] = {}
    for path, owner in _all_outputs(jobs, others):
        key = _identity(path)
        if key in inputs:
            raise SettingsError(f"{path} is an input and would be written over. Choose another output.")
        if key in taken:
            raise SettingsError(
                f"{taken[key]} and {owner} would both be written to {path}. Choose another output, or rename one."
            )
        taken[key] = owner


def _area(found: FoundScan, given: Path | None, *, needed: bool = False) -> Path | None:
    """The mask of one scan, from a file for all or a folder with one for each."""
    if given is None or not given.is_dir():
        return given
    path = given / found.relative_path.with_suffix(".png")
    return path if needed or path.exists() else None


def _all_outputs(jobs: Sequence[Job], others: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    for job in jobs:
        yield from ((path, f"a result of {job.source}") for path in job.outputs)
    yield from ((path, "the report") for path in others)


def _scans_of(source: Path, avoided: set[str]) -> Iterator[Path]:
    if not source.is_dir():
        _refuse_pattern(source)
        yield source
        return
    paths = list(_walk(source, avoided))
    if not paths:
        raise SettingsError(f"There is no scan in the folder {source}. Name another folder or the files themselves.")
    yield from paths


def _walk(folder: Path, avoided: set[str]) -> Iterator[Path]:
    """The scans below `folder`, alphabetically; folders that cannot be listed are an error."""
    for here, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = sorted(name for name in folders if _wanted_folder(Path(here, name), avoided))
        for path in (Path(here, name) for name in sorted(files)):
            if _wanted_file(path):
                yield path


def _wanted_folder(path: Path, avoided: set[str]) -> bool:
    return not path.name.startswith(".") and not path.is_symlink() and str(path.resolve()) not in avoided


def _wanted_file(path: Path) -> bool:
    hidden, made_here = path.name.startswith("."), path.stem.endswith(RESTORED)
    return not hidden and not made_here and not path.is_symlink() and is_scan_path(path)


def _refuse_folder(error: OSError) -> None:
    raise SettingsError(f"The folder {error.filename} cannot be listed: {error.strerror}.") from error


def _refuse_pattern(source: Path) -> None:
    if any(sign in str(source) for sign in "*?[") and not source.exists():
        raise SettingsError(
            f"There is no file {source}; it looks like a pattern that matched nothing. "
            "Check the folder, or name the folder itself: all scans in it are taken."
        )


def _common(folders: Sequence[Path]) -> str:
    """The folder that holds all of `folders`."""
    try:
        return os.path.commonpath([_plain(folder) for folder in folders])
    except ValueError as error:
        raise SettingsError(f"The inputs have no folder in common: {error}. Restore them in two runs.") from error


def _plain(path: Path) -> str:
    """The absolute path without `..`, symbolic links kept: the place the user sees."""
    return os.path.abspath(path)


def _identity(path: Path) -> str:
    """Equal for paths that are one file, or would be on a disk that ignores letter case."""
    return str(path.resolve()).casefold()
