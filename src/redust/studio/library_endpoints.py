"""The endpoints of all scans together: settings, jobs, events, exports, teaching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

import redust
from redust.core.settings import DamageClass, Sensitivity
from redust.detectors import catalogue as detectors
from redust.inpainters import catalogue as inpainters
from redust.studio.detecting import copy_choices
from redust.studio.endpoint import Call, Endpoint
from redust.studio.records import (
    ChangeCount,
    CopyRequest,
    ExportAllRequest,
    Health,
    JobList,
    JobRecord,
    ModelName,
    ModelPath,
    PairsRequest,
    ScanChoices,
    ScanStatus,
    StudioFacts,
    TeachRequest,
)
from redust.studio.refusals import BadRequest
from redust.studio.restoring import MAX_REPAIR_PIXELS, export_scans
from redust.studio.studio import Studio
from redust.studio.teaching import keep_model, start_teaching, undo_teaching
from redust.studio.training_pairs import write_training_pairs

_STATES = {
    "all": frozenset(ScanStatus) - {ScanStatus.rejected},
    "accepted": frozenset({ScanStatus.accepted, ScanStatus.exported}),
}


def show_health(_: Call) -> Health:
    """Whether the server answers."""
    return Health(status="ok", version=redust.__version__)


def show_settings(call: Call) -> StudioFacts:
    """What can be chosen."""
    studio = call.studio
    return StudioFacts(
        fills=inpainters.names(), detectors=detectors.names(), classes=list(DamageClass),
        sensitivities=list(Sensitivity), defaults=ScanChoices(), output=studio.output.name,
        can_upload=studio.settings.max_upload_gb > 0, pixel_cap=int(studio.settings.max_megapixels * 1e6),
        max_repair_pixels=MAX_REPAIR_PIXELS, upload_cap=int(studio.settings.max_upload_gb * 1e9),
        detector=studio.settings.detector,
        taught=bool(studio.database.read_models()),
    )  # fmt: skip


def copy_settings(call: Call) -> ChangeCount:
    """Copy one scan's choices to others."""
    body = call.body
    targets = call.studio.library.ids() if body.targets == "all" else body.targets
    return ChangeCount(changed=copy_choices(call.studio, body.source, targets))


def export_all(call: Call) -> JobRecord:
    """Queue the export of several scans."""
    scan_ids = select_scans(call.studio, call.body.scans)
    return call.studio.jobs.submit("export-all", lambda job: export_scans(call.studio, scan_ids, job))


def write_pairs(call: Call) -> JobRecord:
    """Queue the writing of training pairs."""
    scan_ids = select_scans(call.studio, call.body.scans)
    return call.studio.jobs.submit("training-pairs", lambda job: write_training_pairs(call.studio, scan_ids, job))


def teach(call: Call) -> JobRecord:
    """Queue the fitting of the region classifier."""
    return start_teaching(call.studio, select_scans(call.studio, call.body.scans))


def select_scans(studio: Studio, scans: Sequence[str] | str) -> list[str]:
    """The identifiers that a request means: a list, ``all`` but the rejected, ``accepted`` or ``corrected``.

    Raises
    ------
    BadRequest
        If there are none.
    """
    if not isinstance(scans, str):
        for scan_id in scans:
            studio.library.find(scan_id)
        return list(scans)
    rows = studio.database.read_scans()
    states = _STATES.get(scans, frozenset())
    chosen = [
        scan_id for scan_id in studio.library.ids()
        if (studio.database.count_edits(scan_id)[0] if scans == "corrected" else rows[scan_id]["state"] in states)
    ]  # fmt: skip
    if not chosen:
        raise BadRequest(f"There are no scans that are {scans}. Choose some, or name them.")
    return chosen


def list_jobs(call: Call) -> JobList:
    """All jobs."""
    return JobList(jobs=call.studio.jobs.records())


def show_job(call: Call) -> JobRecord:
    """One job."""
    return call.studio.jobs.find(call.path["job_id"])


def cancel_job(call: Call) -> JobRecord:
    """Cancel a job."""
    return call.studio.jobs.cancel(call.path["job_id"])


def undo_last_teaching(call: Call) -> ChangeCount:
    """Take the last teaching back."""
    return ChangeCount(changed=undo_teaching(call.studio))


def keep_taught_model(call: Call) -> ModelPath:
    """Keep the taught model."""
    return ModelPath(path=keep_model(call.studio, call.body.name))


async def stream_events(studio: Studio, _: Request) -> Response:
    """Jobs and scans as they change."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(studio.events.listen(), media_type="text/event-stream", headers=headers)


def _post(path: str, handle: Any, summary: str, body: Any, answer: Any, **facts: Any) -> Endpoint:
    return Endpoint("POST", path, handle, summary, body=body, answer=answer, **{"errors": (404, 429)} | facts)


LIBRARY_ENDPOINTS = (
    Endpoint("GET", "/api/health", show_health, "Whether the server answers; needs no token.", answer=Health),
    Endpoint("GET", "/api/settings", show_settings, "What can be chosen.", answer=StudioFacts),
    _post("/api/settings/copy", copy_settings, "Copy one scan's choices to others.", CopyRequest, ChangeCount),
    _post("/api/exports", export_all, "Export several scans.", ExportAllRequest, JobRecord, status=202),
    _post("/api/training-pairs", write_pairs, "Write corrected scans as training pairs.", PairsRequest, JobRecord,
          status=202),
    _post("/api/teach", teach, "Refit the region classifier on corrections.", TeachRequest, JobRecord, status=202,
          errors=(404, 409, 429, 501)),
    _post("/api/teach/undo", undo_last_teaching, "Take the last teaching back.", None, ChangeCount, errors=(409,)),
    _post("/api/teach/keep", keep_taught_model, "Keep the taught model as a folder.", ModelName, ModelPath,
          errors=(409,)),
    Endpoint("GET", "/api/jobs", list_jobs, "All jobs, the newest first.", answer=JobList),
    Endpoint("GET", "/api/jobs/{job_id}", show_job, "One job.", answer=JobRecord, errors=(404,)),
    Endpoint("DELETE", "/api/jobs/{job_id}", cancel_job, "Cancel a job.", answer=JobRecord, errors=(404,)),
    Endpoint("GET", "/api/events", None, "Server-sent events: `ready`, then `job` and `scan` with their records.",
             answer="text/event-stream", stream=stream_events),
)  # fmt: skip
"""Every endpoint but those of single scans."""
