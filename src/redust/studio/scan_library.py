"""Which scans the studio shows: those below the paths of the command line, and uploads. Clients know them by opaque
identifiers only.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from redust.batch.find_scans import Refusal, find_scans
from redust.core.atomic import make_folder
from redust.core.errors import SettingsError
from redust.files.formats import identify_format
from redust.studio.database import StudioDatabase
from redust.studio.refusals import NotKnown

_UPLOADS = "uploads"
_UNSAFE = re.compile(r"[^\w .()+,=-]")
_LONGEST_NAME = 120


@dataclass(frozen=True)
class LibraryScan:
    """A scan of the library.

    Parameters
    ----------
    id
        Opaque.
    source
        Its file.
    key
        The path of its result below the output folder.
    """

    id: str
    source: Path
    key: str


class ScanLibrary:
    """The scans of this session, in order.

    Parameters
    ----------
    database
        Remembers their identifiers.
    output
        The output folder; uploads lie in a folder of it.
    """

    def __init__(self, database: StudioDatabase, output: Path) -> None:
        self._database, self._output = database, output
        self._scans: dict[str, LibraryScan] = {}
        self._lock = threading.Lock()
        self.refusals: list[Refusal] = []

    @property
    def uploads(self) -> Path:
        """The folder of uploads."""
        return self._output / _UPLOADS

    def folders(self) -> set[str]:
        """The folders of all scans, also with links resolved."""
        with self._lock:
            parents = {scan.source.parent for scan in self._scans.values()}
        return {str(parent) for parent in parents} | {os.path.realpath(parent) for parent in parents}

    def ids(self) -> list[str]:
        """All identifiers, in order."""
        with self._lock:
            return list(self._scans)

    def add_sources(self, sources: Sequence[Path]) -> None:
        """Add the scans that paths name; what cannot be used is among the refusals.

        Raises
        ------
        SettingsError
            If a path does not exist.
        """
        for source in sources:
            if not source.exists():
                raise SettingsError(f"{source} does not exist. Check the path.")
        if not sources:
            return
        search = find_scans(sources, leave_out=[self._output])
        self.refusals.extend(search.refusals)
        roots = [os.path.realpath(source) for source in sources]
        self._enter([(scan.path.absolute(), scan.relative_path.as_posix(), roots) for scan in search.scans])

    def add_earlier_uploads(self) -> None:
        """Add what was uploaded in earlier sessions."""
        paths = sorted(path for path in self.uploads.glob("*/*") if path.is_file() and not path.is_symlink())
        for path in paths:
            self.add_upload(path)

    def add_upload(self, path: Path) -> str:
        """Add an uploaded file, which lies in the folder of uploads; its identifier."""
        with self._lock:
            keys = {scan.key for scan in self._scans.values()}
        key = path.name if path.name not in keys else f"{path.parent.name}-{path.name}"
        return self._enter([(path, key, [os.path.realpath(self.uploads)])])[0]

    def make_upload_path(self, name: str, head: bytes) -> Path:
        """A path for an upload, its name made harmless; the suffix is that of the format of its first bytes.

        Raises
        ------
        UnsupportedScan
            If its first bytes are none of a scan.
        """
        suffixes = identify_format(head).suffixes
        stem = _UNSAFE.sub("_", Path(name.replace("\\", "/")).stem)[:_LONGEST_NAME].strip(" .") or "scan"
        suffix = Path(name).suffix.lower()
        folder = self.uploads / token_hex(6)
        make_folder(folder)
        return folder / (stem + (suffix if suffix in suffixes else suffixes[0]))

    def find(self, scan_id: str) -> LibraryScan:
        """A scan by its identifier.

        Raises
        ------
        NotKnown
            If there is none.
        """
        with self._lock:
            if scan_id not in self._scans:
                raise NotKnown("There is no such scan. List them with GET /api/scans.")
            return self._scans[scan_id]

    def resolve(self, scan_id: str, columns: dict[str, Any]) -> Path:
        """The file of a scan, links resolved.

        Raises
        ------
        NotKnown
            If it leads out of what was named on the command line, or the file is gone.
        """
        source, root = os.path.realpath(self.find(scan_id).source), columns["root"]
        if source != root and not source.startswith(root.rstrip(os.sep) + os.sep):
            raise NotKnown("That scan now leads out of the folder that was opened. Start the studio again.")
        if not os.path.exists(source):
            raise NotKnown(f"The file {os.path.basename(source)} is gone. Put it back, then open the scan again.")
        return Path(source)

    def _enter(self, scans: Sequence[tuple[Path, str, list[str]]]) -> list[str]:
        known = self._database.find_ids()
        rows = [
            (known.get(str(path)) or token_hex(8), path, key, Path(_root_of(path, roots))) for path, key, roots in scans
        ]
        self._database.add_scans(rows)
        with self._lock:
            for scan_id, path, key, _ in rows:
                self._scans[scan_id] = LibraryScan(scan_id, path, key)
        return [row[0] for row in rows]


def _root_of(path: Path, roots: Sequence[str]) -> str:
    """The root that a path lies in, or is."""
    source = os.path.realpath(path)
    matching = [root for root in roots if source == root or source.startswith(root.rstrip(os.sep) + os.sep)]
    return max(matching, key=len, default=source)
