"""The endpoints of scans: look, decide, correct."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from redust.studio.correcting import edit_scan, load_mask, redo_edit, save_mask, undo_edit
from redust.studio.detecting import change_choices, open_overview, open_scan, start_detection, state_after_edits
from redust.studio.display import Tone, draw_thumbnail
from redust.studio.endpoint import Call, Endpoint
from redust.studio.open_scan import OpenScan
from redust.studio.records import (
    Edit,
    EditResult,
    ExportRequest,
    JobRecord,
    RegionPage,
    RepairBox,
    Revision,
    ScanChoices,
    ScanDetail,
    ScanPage,
    ScanStatus,
    ScanSummary,
    StateRequest,
)
from redust.studio.refusals import NotKnown
from redust.studio.region_list import describe_region, show_regions, sort_regions
from redust.studio.restoring import find_result, repair_box, start_export
from redust.studio.uploads import receive_upload

JPEG, PNG = "image/jpeg", "image/png"
_PRIVATE = {"Cache-Control": "private, max-age=86400"}
_MASK_BYTES = 256 * 2**20


class _Query(BaseModel):
    model_config = ConfigDict(frozen=True)


class ListQuery(_Query):
    """Which scans to list."""

    offset: Annotated[int, Field(ge=0, le=10**9)] = 0
    limit: Annotated[int, Field(ge=1, le=2000)] = 200
    state: ScanStatus | None = None


class OpenQuery(_Query):
    """Whether to search the scan for damage at once."""

    open: Literal["0", "1"] = "0"


class ToneQuery(_Query):
    """How a tile is shown."""

    exposure: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 0.0
    gamma: Annotated[float, Field(ge=0.2, le=5, allow_inf_nan=False)] = 1.0
    invert: Literal["0", "1"] = "0"
    rev: Annotated[str, Field(max_length=40, description="Told apart by caches only.")] = ""

    def tone(self) -> Tone:
        """As the display takes it."""
        return Tone(self.exposure, self.gamma, self.invert == "1")


class RegionQuery(_Query):
    """Which regions to list."""

    sort: Literal["doubt", "size", "position"] = "doubt"
    limit: Annotated[int, Field(ge=1, le=5000)] = 500
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0


def list_scans(call: Call) -> ScanPage:
    """Some of all scans."""
    return call.studio.list_scans(call.query.offset, call.query.limit, call.query.state)


def show_scan(call: Call) -> ScanDetail:
    """A scan; with `open=1` its detection is queued where it is not done."""
    studio = call.studio
    if call.query.open == "1":
        opened = open_scan(studio, call.scan_id)
        if opened.decision is None:
            start_detection(studio, call.scan_id)
    return studio.detail(call.scan_id)


def show_thumbnail(call: Call) -> Response:
    """The scan in small."""
    studio = call.studio
    columns = studio.columns(call.scan_id)
    choices = studio.choices(columns)
    tag = f'"{call.scan_id}-{choices.exposure}-{choices.gamma}-{choices.invert}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    overview = open_overview(studio, call.scan_id)
    orientation = studio.columns(call.scan_id)["orientation"]  # known once the scan was read
    tone = Tone(choices.exposure, choices.gamma, choices.invert)
    picture = draw_thumbnail(overview.pixels, tone, overview.profile, orientation)
    return Response(picture, media_type=JPEG, headers=headers)


def show_tile(layer: str) -> Callable[[Call], Response]:
    """What answers with the tiles of a layer."""

    def answer(call: Call) -> Response:
        opened = call.studio.open(call.scan_id)
        index = call.path["level"], call.path["x"], call.path["y"]
        content = _draw_tile(opened, layer, index, call.query)
        if content is None:
            raise NotKnown("There is no such tile. Levels and tiles are those of Deep Zoom, 512 pixels a side.")
        return Response(content, media_type=PNG if layer == "mask" else JPEG, headers=_PRIVATE)

    return answer


def _draw_tile(opened: OpenScan, layer: str, index: tuple[int, int, int], query: ToneQuery) -> bytes | None:
    if layer == "mask":
        return opened.mask_tile(*index)
    if layer == "scan":
        return opened.scan_tile(*index, query.tone())
    if not opened.restored.tiles:
        raise NotKnown("Nothing of this scan is restored. Repair what is on the screen, or export it.")
    return opened.restored_tile(*index, query.tone())


def list_regions(call: Call) -> RegionPage:
    """The regions of a scan."""
    studio, query = call.studio, call.query
    columns = studio.columns(call.scan_id)
    shown = show_regions(studio.open(call.scan_id))
    if shown is None:
        return RegionPage(total=0, regions=[], counts=columns["counts"], coverage=columns["coverage"])
    order = sort_regions(shown, query.sort)[query.offset : query.offset + query.limit]
    return RegionPage(
        total=len(shown.states), regions=[describe_region(shown, int(index)) for index in order],
        counts=columns["counts"], coverage=columns["coverage"],
    )  # fmt: skip


def patch_settings(call: Call) -> ScanDetail:
    """Change some choices."""
    change_choices(call.studio, call.scan_id, call.body)
    return call.studio.detail(call.scan_id)


def detect(call: Call) -> JobRecord:
    """Queue the detection."""
    return start_detection(call.studio, call.scan_id)


def edit(call: Call) -> EditResult:
    """Carry out an edit."""
    return edit_scan(call.studio, call.scan_id, call.body)


def undo(call: Call) -> EditResult:
    """Undo the last edit."""
    return undo_edit(call.studio, call.scan_id)


def redo(call: Call) -> EditResult:
    """Redo the edit undone last."""
    return redo_edit(call.studio, call.scan_id)


def put_mask(call: Call) -> EditResult:
    """Load a mask."""
    return load_mask(call.studio, call.scan_id, call.body)


def get_mask(call: Call) -> Response:
    """The mask as a file."""
    name = call.studio.library.find(call.scan_id).source.stem + ".png"
    folder = TemporaryDirectory(prefix="redust-")  # lives until the answer is sent
    path = Path(folder.name, "mask.png")
    save_mask(call.studio, call.scan_id, path)
    return FileResponse(path, media_type=PNG, filename=name, background=BackgroundTask(folder.cleanup))


def repair(call: Call) -> Revision:
    """Repair what a box shows."""
    return Revision(revision=repair_box(call.studio, call.scan_id, call.body.box))


def export(call: Call) -> JobRecord:
    """Queue the restoration of the whole scan."""
    return start_export(call.studio, call.scan_id)


def get_result(call: Call) -> Response:
    """The restored file."""
    path = find_result(call.studio, call.scan_id)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def set_state(call: Call) -> ScanSummary:
    """A person's decision about a scan."""
    studio, state = call.studio, ScanStatus(call.body.state)
    studio.library.find(call.scan_id)
    if state is ScanStatus.detected:
        state = state_after_edits(studio, call.scan_id)
    studio.database.update_scan(call.scan_id, state=state)
    studio.publish(call.scan_id)
    return studio.summary(call.scan_id)


def _tile_endpoint(layer: str, media_type: str, summary: str) -> Endpoint:
    path = f"/api/scans/{{scan_id}}/dzi/{layer}/{{level:int}}/{{x:int}}_{{y:int}}"
    return Endpoint("GET", path, show_tile(layer), summary, query=ToneQuery, answer=media_type, errors=(404, 409, 415))


def _scan_endpoint(method: str, path: str, handle: Any, summary: str, **facts: Any) -> Endpoint:
    facts["errors"] = (404, 409, 415, *facts.get("errors", ()))
    return Endpoint(method, f"/api/scans/{{scan_id}}{path}", handle, summary, **facts)


SCAN_ENDPOINTS = (
    Endpoint("GET", "/api/scans", list_scans, "List scans.", query=ListQuery, answer=ScanPage),
    Endpoint("POST", "/api/scans", None, "Upload a scan: the bytes of its file; its name in X-Filename, URL-encoded.",
             body=bytes, body_type="application/octet-stream", answer=ScanSummary, status=201,
             errors=(413, 415, 429), stream=receive_upload),
    _scan_endpoint("GET", "", show_scan, "One scan; open=1 queues its detection.", query=OpenQuery, answer=ScanDetail,
                   errors=(429,)),
    _scan_endpoint("GET", "/thumbnail", show_thumbnail, "The scan in small.", answer=JPEG),
    _tile_endpoint("scan", JPEG, "A tile of the scan."),
    _tile_endpoint("restored", JPEG, "A tile of the restored scan."),
    _tile_endpoint("mask", PNG, "A tile of the mask: 0 nothing, 1 automatic, 2 by hand, 3 off, 4 protected."),
    _scan_endpoint("GET", "/regions", list_regions, "The regions of damage.", query=RegionQuery, answer=RegionPage),
    _scan_endpoint("PATCH", "/settings", patch_settings, "Change choices; those left out stay.", body=ScanChoices,
                   answer=ScanDetail),
    _scan_endpoint("POST", "/detect", detect, "Queue the detection.", answer=JobRecord, status=202, errors=(429,)),
    _scan_endpoint("POST", "/edits", edit, "Correct the mask.", body=Edit, answer=EditResult),
    _scan_endpoint("POST", "/undo", undo, "Undo the last edit.", answer=EditResult),
    _scan_endpoint("POST", "/redo", redo, "Redo the edit undone last.", answer=EditResult),
    _scan_endpoint("PUT", "/mask", put_mask, "Load a mask in place of all corrections.", body=bytes, body_type=PNG,
                   answer=EditResult, max_bytes=_MASK_BYTES, errors=(413,)),
    _scan_endpoint("GET", "/mask", get_mask, "The mask, 0 and 255, as redust restore --mask takes it.", answer=PNG),
    _scan_endpoint("POST", "/repair", repair, "Repair what a box shows.", body=RepairBox, answer=Revision,
                   errors=(429,)),
    _scan_endpoint("POST", "/export", export, "Restore the whole scan into the output folder.", body=ExportRequest,
                   answer=JobRecord, status=202, errors=(429,)),
    _scan_endpoint("GET", "/result", get_result, "The restored file.", answer="application/octet-stream"),
    _scan_endpoint("POST", "/state", set_state, "Accept or reject a scan, or take that back.", body=StateRequest,
                   answer=ScanSummary),
)  # fmt: skip
"""Every endpoint below ``/api/scans``."""
