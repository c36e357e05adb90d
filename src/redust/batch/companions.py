"""Files beside a scan that belong to it and are no scans: infrared channels, masks, thumbnails, sidecars, originals."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from redust.files import is_scan_path
from redust.files.infrared import name_scan_of

# VueScan and SilverFast write infrared channels so; masks, maps, comparisons and layers as people name them; originals
# as `redust restore --in-place` does.
_ROLE = re.compile(
    r"[ ._-](ir|infrared|ir[ ._-]?valid|mask|map|compare|comparison|thumb|thumbnail|preview|restored|original|layers)$",
    re.IGNORECASE,
)


def find_companions(paths: Iterable[Path]) -> set[Path]:
    """Which of some files of one folder belong to a scan among them.

    ``roll_1_IR.tif`` belongs to ``roll_1.tif`` or ``roll_1.png``, and is a scan of its own where there is neither;
    ``roll_1.xmp`` and ``roll_1.tif.receipt.json`` belong to ``roll_1.tif``.
    """
    paths = list(paths)
    pictures = [path for path in paths if is_scan_path(path)]
    scans = {path.stem.casefold() for path in pictures}
    names = {path.name.casefold() for path in pictures}
    companions = {path for path in pictures if (match := _ROLE.search(path.stem)) and
                  path.stem[: match.start()].casefold() in scans}  # fmt: skip
    sidecars = {path for path in paths if not is_scan_path(path) and _is_sidecar(path.name.casefold(), scans, names)}
    return companions | sidecars


class InfraredFiles:
    """The files that hold the infrared of the scans beside them; each folder is listed once.

    Parameters
    ----------
    listed
        Folders whose files are known, such as those of an object store.
    """

    def __init__(self, listed: Mapping[Path, Iterable[Path]] | None = None) -> None:
        self._folders = {folder: _by_scan(paths) for folder, paths in (listed or {}).items()}

    def find(self, scan: Path) -> tuple[Path, ...]:
        """The files that hold a scan's infrared, alphabetically."""
        folder = scan.parent
        if folder not in self._folders:
            self._folders[folder] = _by_scan(_list_files(folder))
        return self._folders[folder].get(scan.stem.casefold(), ())


def _by_scan(paths: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """Infrared files by the name of their scan."""
    files: dict[str, tuple[Path, ...]] = {}
    for path, name in sorted((path, name) for path in paths if (name := name_scan_of(path)) is not None):
        files[name] = (*files.get(name, ()), path)
    return files


def _list_files(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:  # the scans in it will say so
        return []


def _is_sidecar(name: str, scans: set[str], names: set[str]) -> bool:
    """Whether a name is a scan's with another suffix, or with further ones."""
    stems = [name[:index] for index, sign in enumerate(name) if sign == "."]
    return any(stem in names for stem in stems) or (bool(stems) and stems[-1] in scans)
