"""The studio's state: its library, its tables, the scans in memory, the jobs, and the engines they run with."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from redust.batch.estimate import read_shape
from redust.batch.failures import Failure, catch_failure
from redust.batch.storage import FileStatus, stat_file
from redust.core.atomic import make_folder
from redust.core.engines import MapSpec
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.core.threads import count_cores
from redust.decision.sensitivity_steps import SensitivityScale, step_of
from redust.files import read_scan
from redust.files.infrared import find_infrared_files
from redust.pipeline.methods import MaskMethod
from redust.pipeline.pipeline import Pipeline
from redust.studio.corrections import Corrections
from redust.studio.database import StudioDatabase
from redust.studio.decisions import make_settings
from redust.studio.display import TILE_SIZE, Pyramid
from redust.studio.event_hub import EventHub
from redust.studio.jobs import JobBoard
from redust.studio.map_store import MapKey, MapStore, key_of_engine
from redust.studio.open_scan import OpenScan, Verdict
from redust.studio.overview_store import Overview, read_overview, write_overview
from redust.studio.records import History, ScanChoices, ScanDetail, ScanPage, ScanStatus, ScanSummary
from redust.studio.refusals import Conflict, NotKnown
from redust.studio.restored_pixels import RestoredPixels, RestoredTile
from redust.studio.scan_library import ScanLibrary
from redust.studio.studio_settings import StudioSettings

_CACHE = ".redust-studio"
_HELD_BYTES = 500_000_000  # pixels of scans besides the one in use
_OPEN_SCANS = 48
_READERS = 2  # scans that are decoded at a time
_NOTHING_MARKED = (
    "Nothing was found. Move the sensitivity towards eager, drag a rectangle with the boost tool where you see damage, "
    "or mark it with the brush."
)


class Studio:
    """Everything behind the API.

    Parameters
    ----------
    sources
        Files and folders that are opened.
    output
        The output folder, which also holds the ledger, uploads and caches.
    settings
        Of the server.
    """

    def __init__(self, sources: Sequence[Path], output: Path, settings: StudioSettings | None = None) -> None:
        self.settings, self.output = settings or StudioSettings(), output
        make_folder(output)
        self.database = StudioDatabase(output)
        self.library = ScanLibrary(self.database, output)
        self.library.add_sources(sources)
        self.library.add_earlier_uploads()
        self.events = EventHub()
        self.jobs = JobBoard(lambda record: self.events.publish("job", record))
        self.maps = MapStore(output / _CACHE / "maps", int(self.settings.cache_gb * 1e9))
        self._opened: OrderedDict[str, OpenScan] = OrderedDict()
        self._lock = threading.RLock()
        self._opening: dict[str, threading.Lock] = {}
        self._reading = threading.BoundedSemaphore(_READERS)
        self._sizes: dict[str, tuple[int, int] | None] = {}

    def close(self) -> None:
        """End all jobs and close the tables."""
        self.jobs.close()
        self.database.close()

    # Engines.

    @property
    def base(self) -> RestoreSettings:
        """The settings that every scan shares; the detector is the one taught last."""
        folders = self.database.read_models()
        detector = str(self.output / folders[-1]) if folders else self.settings.detector
        return RestoreSettings(
            detector=detector, max_megapixels=self.settings.max_megapixels,
            threads=self.settings.threads or max(1, count_cores() - 1),
        )  # fmt: skip

    @cached_property
    def _detecting_lock(self) -> threading.Lock:
        return threading.Lock()

    _detecting: Pipeline | None = None

    @property
    def detecting(self) -> Pipeline:
        """The pipeline of the heavy lane: engines are for one thread."""
        with self._detecting_lock:
            base = self.base
            if self._detecting is None or self._detecting.settings != base:
                self._detecting = Pipeline(base)
            return self._detecting

    @property
    def engine(self) -> MapSpec:
        """What the detector in force states of itself."""
        return self.detecting.method.map_source

    def pipeline_for(self, settings: RestoreSettings) -> Pipeline:
        """A pipeline with the detector that is loaded already."""
        return Pipeline(settings, detector=self.detecting.engines.detector)

    @property
    def method(self) -> MaskMethod:
        """How the heavy lane detects."""
        method = self.detecting.method
        assert isinstance(method, MaskMethod)
        return method

    # Scans.

    def columns(self, scan_id: str) -> dict[str, Any]:
        """What the tables hold of a scan.

        Raises
        ------
        NotKnown
            If there is none.
        """
        self.library.find(scan_id)
        columns = self.database.read_scan(scan_id)
        if columns is None:
            raise NotKnown("There is no such scan. List them with GET /api/scans.")
        return columns

    def choices(self, columns: dict[str, Any]) -> ScanChoices:
        """The choices for a scan."""
        return ScanChoices(**columns["settings"])

    def verdict(self, choices: ScanChoices) -> Verdict:
        """What decides a scan with these choices."""
        return Verdict(make_settings(choices, self.base, self.level(choices)), step_of(choices.sensitivity))

    def level(self, choices: ScanChoices) -> float:
        """The level at the slider's position."""
        return float(SensitivityScale.of_engine(self.engine).levels()[step_of(choices.sensitivity)])

    def read(self, scan_id: str, columns: dict[str, Any]) -> Scan:
        """Read a scan from its file; never many at a time."""
        with self._reading:
            source = self.library.resolve(scan_id, columns)
            return read_scan(source, max_megapixels=self.settings.max_megapixels)

    def _read_to_hold(self, scan_id: str, columns: dict[str, Any]) -> Scan:
        scan = self.read(scan_id, columns)
        self._make_room(scan_id, scan.pixels.nbytes)
        return scan

    def open(self, scan_id: str) -> OpenScan:
        """A scan in memory: with its corrections, and with its damage map if it was detected.

        It is loaded anew when its file has changed; while the file is gone, what is in memory stays.
        """
        columns = self.columns(scan_id)
        with self._lock:
            opening = self._opening.setdefault(scan_id, threading.Lock())
        with opening:
            status = self._stat_source(scan_id)
            with self._lock:
                opened = self._opened.get(scan_id)
                if opened is not None and status in (None, opened.source_status):
                    self._opened.move_to_end(scan_id)
                    return opened
            opened = self._load(scan_id, columns, status)
            with self._lock:
                self._opened[scan_id] = opened
                while len(self._opened) > _OPEN_SCANS:
                    self._opened.popitem(last=False)[1].release()
            return opened

    def _stat_source(self, scan_id: str) -> FileStatus | None:
        try:
            return stat_file(self.library.find(scan_id).source)
        except OSError:
            return None

    def opened(self, scan_id: str) -> OpenScan | None:
        """A scan that is in memory already."""
        with self._lock:
            return self._opened.get(scan_id)

    def overview(self, scan_id: str) -> Overview:
        """A scan in small; nothing of it stays in memory."""
        opened = self.opened(scan_id)
        return opened.overview if opened else self._load_overview(scan_id, self.columns(scan_id))[0]

    def _load(self, scan_id: str, columns: dict[str, Any], status: FileStatus | None) -> OpenScan:
        overview, scan = self._load_overview(scan_id, columns)
        is_detected = bool(columns["input_sha256"])
        has_changed = is_detected and FileStatus(columns["size"], columns["mtime_ns"]) != status
        shape = overview.pyramid.height, overview.pyramid.width
        pixels = overview.pixels
        restored = {
            index: RestoredTile.unpack(packed, pixels.dtype, pixels.shape[2])
            for index, packed in self.database.read_restored(scan_id).items()
            if not has_changed
        }
        opened = OpenScan(
            scan_id, lambda: self._read_to_hold(scan_id, columns), overview,
            Corrections(shape, self.database.read_tiles(scan_id)), RestoredPixels(restored),
        )  # fmt: skip
        if scan is not None:
            self._make_room(scan_id, scan.pixels.nbytes)
            opened.keep(scan)
        opened.source_status = status
        if is_detected and not has_changed and columns["state"] != ScanStatus.new:
            self.load_detection(opened, columns)
        return opened

    def infrared_files(self, scan_id: str) -> tuple[Path, ...]:
        """The files beside a scan that hold its infrared."""
        return tuple(find_infrared_files(self.library.find(scan_id).source))

    def map_key(self, scan_id: str, input_sha256: str, spec: MapSpec | None = None) -> MapKey:
        """The key of a scan's maps by an engine; by the one in force unless given."""
        return key_of_engine(spec or self.engine, input_sha256, self.infrared_files(scan_id))

    def load_detection(self, opened: OpenScan, columns: dict[str, Any]) -> bool:
        """Put the damage map on the disk in force; False where there is none."""
        key = self.map_key(opened.id, columns["input_sha256"])
        damage, steps = self.maps.read_map(key), self.maps.read_steps(key)
        if damage is None or steps is None or steps.shape != opened.shape:
            return False
        opened.set_detection(damage, steps)
        opened.map_key = key
        opened.set_verdict(self.verdict(self.choices(columns)))
        return True

    def reload_detections(self) -> None:
        """Another engine is in force: forget what was detected by the one before."""
        with self._lock:
            for opened in self._opened.values():
                opened.set_detection(None, None)

    def _load_overview(self, scan_id: str, columns: dict[str, Any]) -> tuple[Overview, Scan | None]:
        source = self.library.resolve(scan_id, columns)
        status = stat_file(source)
        path = self.output / _CACHE / "overviews" / f"{scan_id}-{status.size}-{status.mtime_ns}.npz"
        overview = read_overview(path)
        if overview is not None:
            return overview, None
        scan = self.read(scan_id, columns)
        has_other_size = columns["width"] and (columns["height"], columns["width"]) != scan.shape
        if has_other_size and self.database.count_edits(scan_id)[0]:
            raise Conflict(
                "The file has another size than when it was corrected. Put the earlier file back, or upload this one."
            )
        overview = Overview.of_scan(scan)
        write_overview(overview, path)
        self.database.update_scan(
            scan_id, raise_revision=False, width=scan.shape[1], height=scan.shape[0], bits=scan.bits,
            channels=scan.channels, orientation=scan.orientation,
        )  # fmt: skip
        return overview, scan

    def _make_room(self, scan_id: str, size: int) -> None:
        """Let go of other scans where the pixels of one more are too much."""
        with self._lock:
            held = [opened for name, opened in self._opened.items() if name != scan_id and opened.bytes_held]
            for opened in held:
                if size + sum(scan.bytes_held for scan in held) <= _HELD_BYTES:
                    return
                opened.release()

    def hide_paths(self, sentence: str) -> str:
        """A sentence without the folders of this machine: they are no business of a client's."""
        folders = {str(self.output.absolute()), *self.library.folders()}
        for folder in sorted(folders, key=len, reverse=True):
            sentence = sentence.replace(folder.rstrip(os.sep) + os.sep, "")
        return sentence

    # Records.

    def summary(self, scan_id: str) -> ScanSummary:
        """A scan in a list."""
        return ScanSummary(**self._summary_fields(self.columns(scan_id)))

    def list_scans(self, offset: int, limit: int, state: ScanStatus | None) -> ScanPage:
        """Some of all scans."""
        rows = self.database.read_scans()
        listed = [rows[scan_id] for scan_id in self.library.ids() if scan_id in rows]
        if state is not None:
            listed = [columns for columns in listed if self._state(columns) is state]
        page = listed[offset : offset + limit]
        return ScanPage(total=len(listed), scans=[ScanSummary(**self._summary_fields(columns)) for columns in page])

    def detail(self, scan_id: str) -> ScanDetail:
        """A scan by itself."""
        columns = self.columns(scan_id)
        choices, fields = self.choices(columns), self._summary_fields(columns)
        undo, redo = self.database.count_edits(scan_id)
        size = fields["width"], fields["height"]
        return ScanDetail(
            **fields, settings=choices, history=History(undo=undo, redo=redo),
            level=None if columns["coverage"] is None else self.level(choices),
            counts=columns["counts"], orientation=columns["orientation"],
            has_restored=self.database.has_restored(scan_id),
            max_level=None if None in size else Pyramid(*size).max_level, tile_size=TILE_SIZE,
            message=_NOTHING_MARKED if columns["regions"] == 0 else None,
        )  # fmt: skip

    def publish(self, scan_id: str) -> None:
        """Tell every page that a scan has changed."""
        self.events.publish("scan", self.summary(scan_id))

    def _summary_fields(self, columns: dict[str, Any]) -> dict[str, Any]:
        scan = self.library.find(columns["id"])
        size = (columns["width"], columns["height"]) if columns["width"] else self._peek_size(scan.id, scan.source)
        folder = str(Path(scan.key).parent)
        fields = {name: columns[name] for name in ("bits", "channels", "coverage", "regions", "revision", "error")}
        return fields | {
            "id": scan.id, "name": scan.source.name, "folder": "" if folder == "." else folder, "width": size[0],
            "height": size[1], "state": self._state(columns),
        }  # fmt: skip

    def _state(self, columns: dict[str, Any]) -> ScanStatus:
        if self.jobs.is_active("detect", columns["id"]):
            return ScanStatus.detecting
        return ScanStatus(columns["state"])

    def _peek_size(self, scan_id: str, source: Path) -> tuple[int | None, int | None]:
        if scan_id not in self._sizes:
            size = catch_failure(lambda: read_shape(source))  # a damaged header shows when the scan is opened
            self._sizes[scan_id] = None if size is None or isinstance(size, Failure) else size[::-1]
        return self._sizes[scan_id] or (None, None)


def log_refusals(studio: Studio) -> None:
    """Log what could not be opened."""
    for refusal in studio.library.refusals:
        logging.getLogger(__name__).warning("%s", refusal.error)
