"""The scans that paths name: files as they are, folders searched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redust.batch.companions import InfraredFiles, find_companions
from redust.batch.ledger_entry import LEDGER_NAME
from redust.batch.storage import is_remote, list_remote_files
from redust.core.errors import RedustError, ScanError, SettingsError
from redust.files import is_scan_path
from redust.pipeline.job import RESTORED


@dataclass(frozen=True)
class FoundScan:
    """A scan.

    Parameters
    ----------
    path
    relative_path
        Its path below an output folder that keeps the tree of the inputs.
    infrared_files
        Files beside it that hold its infrared.
    """

    path: Path
    relative_path: Path
    infrared_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A scan or folder that cannot be worked on, and why."""

    path: Path
    error: RedustError


@dataclass(frozen=True)
class Search:
    """What a search for scans came to.

    Parameters
    ----------
    scans
        In the order of the sources, each scan once; a folder's in alphabetical order.
    refusals
        Sources and folders below them that hold no scan or cannot be listed.
    skipped
        Files in the folders that are no scans by their suffix, and symbolic links. Hidden files and results of
        earlier runs (`*.restored.*`) are not among them.
    companions
        Files that belong to a scan: infrared channels, masks, thumbnails, sidecars; see
        :func:`redust.batch.companions.find_companions`.
    """

    scans: list[FoundScan] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    companions: list[Path] = field(default_factory=list)


class PathResolver:
    """Resolves links as ``os.path.realpath`` does, those of each folder once: for many files of few folders."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def resolve(self, path: Path) -> str:
        """The path without links."""
        folder, name = os.path.split(path)
        if name in ("", ".", "..") or os.path.islink(path):
            return os.path.realpath(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)


def find_scans(sources: Sequence[Path], *, leave_out: Iterable[Path] = ()) -> Search:
    """Find the scans that `sources` name.

    Parameters
    ----------
    sources
        Files, and folders to search. A file is taken whatever its suffix; in a folder, those whose suffix is that of
        a scan: no hidden files, no results of earlier runs (`*.restored.*`, folders with a ledger), no links, no
        companions of a scan. Among several files, companions of the others are left out too.
    leave_out
        Folders not to descend into and files to pass over, such as those that results go to.

    Raises
    ------
    SettingsError
        If the sources have no folder in common.
    """
    if any(map(is_remote, sources)):
        return find_remote_scans(sources)
    search, known, resolver, infrared = Search(), set[str](), PathResolver(), InfraredFiles()
    avoided = {os.path.realpath(path) for path in leave_out}
    base = _common_folder([path if os.path.isdir(path) else path.parent for path in sources])
    named = _find_named_companions(sources)
    search.companions.extend(path for path in sources if path in named)
    for source in sources:
        if source in named:
            continue
        for path in _list_scans(source, avoided, search):
            if (real_path := resolver.resolve(path)) not in known:
                known.add(real_path)
                relative_path = Path(_absolute_path(path)[len(base) :].lstrip(os.sep))
                search.scans.append(FoundScan(path, relative_path, infrared.find(path)))
    return search


def find_remote_scans(sources: Sequence[Path]) -> Search:
    """Find the scans below addresses of an object store, by the same rules.

    Raises
    ------
    SettingsError
        If local paths are among them, or there are several: their trees have no folder in common.
    """
    if len(sources) > 1:
        raise SettingsError("Restore each address of an object store, and local folders, in a run of its own.")
    search, files = Search(), dict(list_remote_files(sources[0]))
    folders: dict[Path, list[Path]] = {}
    for path in files:
        folders.setdefault(path.parent, []).append(path)
    companions = {path for paths in folders.values() for path in find_companions(paths)}
    infrared = InfraredFiles(folders)
    for path, relative_path in files.items():
        if any(_is_hidden(name) for name in relative_path.as_posix().split("/")):
            continue
        if path in companions:
            search.companions.append(path)
        elif is_scan_path(path):
            search.scans.append(FoundScan(path, relative_path, infrared.find(path)))
        else:
            search.skipped.append(path)
    if not search.scans:
        sentence = f"There is no scan below {sources[0]}. Check the address."
        search.refusals.append(Refusal(sources[0], ScanError(sentence)))
    return search


def _list_scans(source: Path, avoided: set[str], search: Search) -> Iterator[Path]:
    """The scans of one source; what cannot be used is added to the search's refusals."""
    if not os.path.isdir(source):
        if _is_pattern(source):
            sentence = (
                f"There is no file {source}; it looks like a pattern that matched nothing. "
                "Check the folder, or name the folder itself: all scans in it are taken."
            )
            search.refusals.append(Refusal(source, ScanError(sentence)))
        else:
            yield source
        return
    refused, paths = len(search.refusals), list(_walk_folder(source, avoided, search))
    if not paths and len(search.refusals) == refused:
        sentence = f"There is no scan in the folder {source}. Name another folder or the files themselves."
        search.refusals.append(Refusal(source, ScanError(sentence)))
    yield from paths


def _walk_folder(folder: Path, avoided: set[str], search: Search) -> Iterator[Path]:
    """The scans below a folder, alphabetically."""

    def refuse(error: OSError) -> None:
        sentence = f"The folder {error.filename} cannot be listed: {error.strerror}. Check its permissions."
        search.refusals.append(Refusal(Path(error.filename), ScanError(sentence)))

    resolver = PathResolver()
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if _is_searched(Path(parent, name), avoided))
        paths = [Path(parent, name) for name in sorted(files) if not _is_hidden(name)]
        companions = find_companions(paths)
        for path in paths:
            if resolver.resolve(path) in avoided:
                continue
            if path in companions:
                search.companions.append(path)
            elif is_scan_path(path) and _is_regular(path):
                yield path
            else:
                search.skipped.append(path)


def _find_named_companions(sources: Sequence[Path]) -> set[Path]:
    """Companions among the files that were named; folders are searched for them elsewhere."""
    folders: dict[Path, list[Path]] = {}
    for path in sources:
        if not os.path.isdir(path):
            folders.setdefault(path.parent, []).append(path)
    return {path for paths in folders.values() for path in find_companions(paths)}


def _is_hidden(name: str) -> bool:
    """Whether a file is not even listed: hidden, or the result of an earlier run."""
    return name.startswith(".") or Path(name).stem.endswith(RESTORED)


def _is_regular(path: Path) -> bool:
    """Whether a path is a file by itself: no link, pipe or device."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_searched(folder: Path, avoided: set[str]) -> bool:
    """Whether to descend into a folder: not where an earlier run has written."""
    hidden, linked = folder.name.startswith("."), os.path.islink(folder)
    if hidden or linked or os.path.realpath(folder) in avoided:
        return False
    return not os.path.exists(folder / LEDGER_NAME)


def _is_pattern(source: Path) -> bool:
    return any(sign in str(source) for sign in "*?[") and not os.path.lexists(source)


def _common_folder(folders: Sequence[Path]) -> str:
    """The folder that holds all of `folders`."""
    try:
        return os.path.commonpath([_absolute_path(folder) for folder in folders])
    except ValueError as error:
        raise SettingsError(f"The inputs have no folder in common: {error}. Restore them in two runs.") from error


def _absolute_path(path: Path) -> str:
    """The absolute path without `..`, symbolic links kept: as the user sees it."""
    return os.path.abspath(path)
