"""Restoring: what is on the screen at once, and whole scans into the output folder, recorded in its ledger."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import numpy as np

from redust.batch.failures import Failure, catch_failure
from redust.batch.ledger_entry import LedgerEntry, ScanState
from redust.batch.plan import check_unclaimed_outputs, key_of, make_plan
from redust.batch.worker import describe_output
from redust.core.arrays import Mask
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.core.tiles import bands, widen
from redust.decision.sensitivity_steps import candidates_at
from redust.files import read_scan
from redust.pipeline.detection import Detection
from redust.pipeline.job import Job as RestoreJob
from redust.pipeline.pipeline import Pipeline
from redust.studio.database import TILE, TileIndex
from redust.studio.detecting import decide_opened, detect_scan, for_each
from redust.studio.jobs import Job, JobCancelled, JobResult
from redust.studio.open_scan import OpenScan, is_marked, tile_window
from redust.studio.records import Box, JobRecord, ScanStatus
from redust.studio.refusals import BadRequest, Conflict, NotKnown
from redust.studio.restored_pixels import RestoredTile, cut_tiles
from redust.studio.studio import Studio

MAX_REPAIR_PIXELS = 4_000_000
"""What may be repaired at once."""

_CONTEXT = 160  # pixels around them
_LEASE_SECONDS = 6 * 3600.0
_BAND = 4 * TILE  # rows


def repair_box(studio: Studio, scan_id: str, box: Box) -> int:
    """Repair what a box shows and wait for it; the scan's revision."""
    opened = studio.open(scan_id)
    x, y, width, height = box
    rows, columns = slice(y, min(y + height, opened.shape[0])), slice(x, min(x + width, opened.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise BadRequest("The box lies outside the scan. Choose one that shows some of it.")
    if (rows.stop - rows.start) * (columns.stop - columns.start) > MAX_REPAIR_PIXELS:
        raise BadRequest("The box holds more than 4 megapixels. Zoom in, or export the scan.")

    def repair(_: Job) -> JobResult:
        tiles = _repair_window(studio, opened, *tile_window(rows, columns, opened.shape))
        opened.put_restored(tiles)
        studio.database.store_restored(
            scan_id, {index: tile.pack() for index, tile in tiles.items()}, replace_all=False
        )
        return None

    studio.jobs.run_fast("repair", repair, scan_id)
    studio.publish(scan_id)
    return int(studio.columns(scan_id)["revision"])


def _repair_window(
    studio: Studio, opened: OpenScan, rows: slice, columns: slice
) -> dict[tuple[int, int], RestoredTile]:
    padded, core = widen((rows, columns), _CONTEXT, opened.shape)
    mask = is_marked(opened.states(*padded))
    scan = opened.scan()
    window = Scan(np.ascontiguousarray(scan.pixels[padded]), bits=scan.bits)
    settings = studio.verdict(studio.choices(studio.columns(opened.id))).settings
    restored = Pipeline(settings).repair(window, mask) if mask.any() else window
    return cut_tiles(restored.pixels[core], mask[core], (rows.start, columns.start))


def start_export(studio: Studio, scan_id: str) -> JobRecord:
    """Queue the restoration of a scan."""
    studio.library.find(scan_id)
    return studio.jobs.submit("export", lambda job: _export_next(studio, scan_id, job), scan_id)


def export_scan(studio: Studio, scan_id: str, job: Job) -> JobResult:
    """Restore a whole scan into the output folder, by the code that `redust restore` runs."""
    opened = detect_scan(studio, scan_id, job)
    columns = studio.columns(scan_id)
    verdict, steps = opened.verdict, opened.marked_steps
    if verdict is None or steps is None:
        raise Conflict("The scan's settings have just changed. Export it again.")
    library_scan = studio.library.find(scan_id)
    studio.library.resolve(scan_id, columns)
    target = studio.output / library_scan.key
    restore_job = RestoreJob(
        library_scan.source, target, mask=_corrected_mask(studio, opened), infrared_files=studio.infrared_files(scan_id)
    )
    settings = verdict.settings.model_copy(update={"overwrite": True})
    while studio.jobs.is_counting:  # its masks and those of the export would be too much memory together
        job.pause(0.1)
    opened.forget_decision()
    with _recorded(studio, restore_job, verdict.settings, columns["input_sha256"]) as reports:
        report = studio.pipeline_for(settings).run(
            restore_job, scan=opened.scan(), progress=job.report_progress,
            detection=Detection(candidates_at(steps, verdict.step), studio.level(studio.choices(columns))),
        )  # fmt: skip
        reports.append(report)
    _show_result(studio, opened, target)
    studio.database.update_scan(scan_id, state=ScanStatus.exported, error=None)
    studio.publish(scan_id)
    return {"path": library_scan.key, "download": f"/api/scans/{scan_id}/result", "warnings": report.warnings}


def _corrected_mask(studio: Studio, opened: OpenScan) -> Mask | None:
    """The whole mask of a scan that a person has corrected; None where the pipeline's own decision holds."""
    if not opened.corrections.tiles:
        return None
    if opened.decision is None:
        decide_opened(studio, opened)
    return opened.mask()


def _show_result(studio: Studio, opened: OpenScan, target: Path) -> None:
    """Show the file that was written as the restored scan."""
    if opened.decision is None:
        decide_opened(studio, opened)
    restored = read_scan(target, max_megapixels=studio.settings.max_megapixels)
    tiles, width = dict[TileIndex, RestoredTile](), opened.shape[1]
    for rows in bands(opened.shape[0], _BAND):  # the whole mask would be too much memory beside two scans
        cut = cut_tiles(restored.pixels[rows], is_marked(opened.states(rows, slice(0, width))), (rows.start, 0))
        tiles |= {index: tile for index, tile in cut.items() if len(tile.positions)}
    tiles = tiles or cut_tiles(restored.pixels[:1, :1], np.zeros((1, 1), np.bool_))  # restored, and nothing changed
    opened.put_restored(tiles, replace_all=True)
    studio.database.store_restored(opened.id, {index: tile.pack() for index, tile in tiles.items()}, replace_all=True)


@contextmanager
def _recorded(studio: Studio, job: RestoreJob, settings: RestoreSettings, input_sha256: str) -> Iterator[list[Report]]:
    """Enter a restoration into the ledger as a batch run does: leased before it, recorded after it.

    Yields
    ------
    reports
        To which its report is to be appended.

    Raises
    ------
    Conflict
        If the result's path holds a file of somebody else's, or another process works on the scan.
    """
    root, worker = studio.output, f"{platform.node()}:{os.getpid()}:{token_hex(4)}"
    key = key_of(job, root)
    entry = make_plan({key: job}, settings, {}, root).queued[0]
    with studio.database.ledger() as ledger:
        earlier = ledger.entries([key]).get(key)
        if earlier is not None:
            entry = replace(entry, outputs=earlier.outputs, finished_at=earlier.finished_at, position=earlier.position)
        _refuse_strange_file(entry, earlier, job, settings, root)
        ledger.queue([entry])
        if key in ledger.lease(worker, [key], count=1, seconds=_LEASE_SECONDS).busy:
            raise Conflict("Another process is restoring this scan. Wait for it, or end it.")
        ledger.claim([key])
    reports: list[Report] = []
    try:
        yield reports
    finally:
        with studio.database.ledger() as ledger:
            if reports:
                ledger.record_done(
                    key, report=reports[0].model_dump(mode="json"), outputs=[describe_output(job.outputs[0], root)],
                    input_sha256=input_sha256,
                )  # fmt: skip
            else:
                ledger.release(worker)


def _refuse_strange_file(
    entry: LedgerEntry, earlier: LedgerEntry | None, job: RestoreJob, settings: RestoreSettings, root: Path
) -> None:
    if earlier is not None and earlier.claimed:
        return
    failure = check_unclaimed_outputs(entry, job, settings, root)
    if failure is not None:
        raise Conflict(failure.sentence)


def export_scans(studio: Studio, scan_ids: Sequence[str], job: Job) -> JobResult:
    """Export several scans; those that fail are named."""
    failures = for_each(scan_ids, job, lambda scan_id: _export_next(studio, scan_id, job))
    return {"exported": len(scan_ids) - len(failures), "failed": failures}


def _export_next(studio: Studio, scan_id: str, job: Job) -> JobResult:
    """Export a scan; a failure is shown with it."""
    outcome = catch_failure(lambda: export_scan(studio, scan_id, job))
    if isinstance(outcome, Failure):
        if outcome.kind == JobCancelled.__name__:
            raise JobCancelled(outcome.sentence)
        sentence = studio.hide_paths(outcome.sentence)
        studio.database.update_scan(scan_id, error=sentence)
        studio.publish(scan_id)
        raise Conflict(sentence)
    return outcome


def find_result(studio: Studio, scan_id: str) -> Path:
    """The restored file of a scan.

    Raises
    ------
    NotKnown
        If it was not exported, or the file is gone.
    """
    key = studio.library.find(scan_id).key
    with studio.database.ledger() as ledger:
        entry = ledger.entries([key]).get(key)
    path = studio.output / key
    if entry is None or entry.state is not ScanState.done or not path.is_file():
        raise NotKnown("There is no result of this scan. Export it first.")
    return path
