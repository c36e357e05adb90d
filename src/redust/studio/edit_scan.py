"""What each kind of edit changes of a scan's corrections."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from redust.core.arrays import Mask
from redust.decision.filters import dilate_mask
from redust.studio.corrections import (
    PixelState,
    draw_polygon,
    draw_stroke,
    paint_brought_back,
    paint_unprotected,
    painter_of,
)
from redust.studio.database import TileChange
from redust.studio.open_scan import OpenScan, is_marked
from redust.studio.pick_regions import find_missed, find_region
from redust.studio.records import Boost, Clear, Edit, Polygon, RegionToggle, Scratch, Stroke, Tool, Unprotect
from redust.studio.refusals import BadRequest
from redust.studio.scratch_path import MAX_LENGTH, Floats, measure_ridges, trace_scratch

_MAX_BOX = 16_000_000  # pixels of a boosted box
_MAX_CORRIDOR = 120_000_000  # pixels around a scratch


@dataclass(frozen=True)
class EditOutcome:
    """What an edit changes, and what a person should know of it."""

    changes: list[TileChange]
    message: str | None = None


def apply_edit(edit: Edit, opened: OpenScan) -> EditOutcome:
    """Find the changes that an edit makes, without making them.

    Raises
    ------
    BadRequest
        If it needs the damage map, or takes too much.
    """
    match edit:
        case Stroke() | Polygon() | Unprotect():
            return _paint(edit, opened)
        case RegionToggle():
            return _toggle_region(edit, opened)
        case Scratch():
            return _mark_scratch(edit, opened)
        case Boost():
            return _boost_box(edit, opened)
        case Clear():
            return EditOutcome(opened.corrections.replace_all({}))


def _paint(edit: Stroke | Polygon | Unprotect, opened: OpenScan) -> EditOutcome:
    drawn = (
        draw_polygon(edit.points, opened.shape)
        if isinstance(edit, Polygon)
        else draw_stroke(edit.points, edit.radius, opened.shape)
    )
    if drawn is None:
        return EditOutcome([], "That lies outside the scan.")
    painter = paint_unprotected if isinstance(edit, Unprotect) else painter_of(edit.tool)
    return EditOutcome(opened.corrections.paint(*drawn, painter))


def _toggle_region(edit: RegionToggle, opened: OpenScan) -> EditOutcome:
    """Drop the marked region at a point; bring one back that was dropped."""

    def read_marked(rows: slice, columns: slice) -> Mask:
        return is_marked(opened.states(rows, columns))

    def read_dropped(rows: slice, columns: slice) -> Mask:
        return np.asarray(opened.corrections.window(rows, columns) == PixelState.off)

    if (region := find_region(read_marked, edit.x, edit.y, opened.shape)) is not None:
        return EditOutcome(opened.corrections.paint(*region, painter_of(Tool.erase)))
    if (region := find_region(read_dropped, edit.x, edit.y, opened.shape)) is None:
        return EditOutcome([], "There is no region here. Zoom in, or mark it with the brush.")
    rows, columns, area = region
    automatic = opened.automatic(rows, columns)
    brought_back = np.where(automatic, np.uint8(PixelState.automatic), np.uint8(PixelState.by_hand)) * area
    return EditOutcome(opened.corrections.paint(rows, columns, brought_back, paint_brought_back))


def _mark_scratch(edit: Scratch, opened: OpenScan) -> EditOutcome:
    length = math.dist(edit.start, edit.end)
    if length > MAX_LENGTH:
        raise BadRequest(f"A scratch may be {MAX_LENGTH} pixels long. Mark it in several steps.")

    def read_ridges(rows: slice, columns: slice) -> Floats:
        size = max(0, rows.stop - rows.start) * max(0, columns.stop - columns.start)
        if not 0 < size <= _MAX_CORRIDOR:
            raise BadRequest("The scratch lies outside the scan, or is too long. Mark it in several steps.")
        bins = opened.map_bins(rows, columns)
        if bins is None:
            bins = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        return measure_ridges(opened.scan().pixels[rows, columns], bins, edit.width)

    path = trace_scratch(read_ridges, edit.start, edit.end, opened.shape)
    drawn = draw_stroke(path, max(edit.width / 2, 0.5), opened.shape)
    if drawn is None:
        return EditOutcome([], "That lies outside the scan.")
    return EditOutcome(opened.corrections.paint(*drawn, painter_of(Tool.brush)))


def _boost_box(edit: Boost, opened: OpenScan) -> EditOutcome:
    x, y, width, height = edit.box
    rows, columns = slice(y, min(y + height, opened.shape[0])), slice(x, min(x + width, opened.shape[1]))
    steps, verdict, bins = opened.marked_steps, opened.verdict, opened.map_bins(rows, columns)
    if bins is None or steps is None or verdict is None:
        raise BadRequest("The scan is not searched for damage yet. Wait until it is, or mark with the brush.")
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return EditOutcome([], "That lies outside the scan.")
    if (rows.stop - rows.start) * (columns.stop - columns.start) > _MAX_BOX:
        raise BadRequest("The rectangle is too large to look closer. Draw a smaller one.")
    window = rows, columns
    blocked = dilate_mask(np.asarray(opened.states(rows, columns) > 0), 2)
    missed = find_missed(steps[window], bins, opened.scan().pixels[window], blocked, verdict.step)
    if missed is None:
        return EditOutcome([], "There is nothing more in this rectangle. Mark what you see with the brush.")
    grown = dilate_mask(missed, verdict.settings.grow)
    return EditOutcome(opened.corrections.paint(rows, columns, grown, painter_of(Tool.brush)))
