"""Correcting a scan: each edit is stored before it is answered, and can be undone."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from redust.core.errors import ScanError
from redust.files import read_mask, write_mask
from redust.studio.corrections import PixelState
from redust.studio.database import TILE, TileIndex, TileStates
from redust.studio.detecting import decide_later, decide_opened
from redust.studio.edit_scan import EditOutcome, apply_edit
from redust.studio.open_scan import OpenScan
from redust.studio.records import Edit, EditResult, History, ScanStatus
from redust.studio.studio import Studio

_PNG = b"\x89PNG"


def edit_scan(studio: Studio, scan_id: str, edit: Edit) -> EditResult:
    """Carry out an edit."""
    opened = studio.open(scan_id)
    with opened.lock:
        return _store(studio, opened, edit.kind, apply_edit(edit, opened))


def undo_edit(studio: Studio, scan_id: str) -> EditResult:
    """Undo the last edit."""
    opened = studio.open(scan_id)
    with opened.lock:
        before = studio.database.count_edits(scan_id)[0]
        state = _state_of(studio, scan_id, edits=before - 1)
        tiles = studio.database.undo(scan_id, state=state) if before else None
        return _put(studio, opened, tiles, "There is nothing to undo.")


def redo_edit(studio: Studio, scan_id: str) -> EditResult:
    """Redo the edit that was undone last."""
    opened = studio.open(scan_id)
    with opened.lock:
        state = _state_of(studio, scan_id, edits=1)
        tiles = studio.database.redo(scan_id, state=state) if studio.database.count_edits(scan_id)[1] else None
        return _put(studio, opened, tiles, "There is nothing to redo.")


def load_mask(studio: Studio, scan_id: str, content: bytes) -> EditResult:
    """Take a mask's file as made by hand, in place of all corrections.

    Raises
    ------
    MaskMismatch, ScanError
        If it does not belong to this scan, or cannot be read.
    """
    opened = studio.open(scan_id)
    with TemporaryDirectory(prefix="redust-") as folder:
        path = Path(folder) / ("mask" + (".png" if content.startswith(_PNG) else ".tif"))
        path.write_bytes(content)
        try:
            mask = read_mask(path, opened.shape)
        except ScanError as error:
            raise type(error)(str(error).replace(str(path), "The mask")) from error
    with opened.lock:
        automatic = opened.automatic(slice(0, opened.shape[0]), slice(0, opened.shape[1]))
        tiles: dict[TileIndex, TileStates] = {}
        for row in range(-(-opened.shape[0] // TILE)):
            for column in range(-(-opened.shape[1] // TILE)):
                core = opened.corrections.core_of((row, column))
                states = np.where(mask[core], np.uint8(PixelState.by_hand), np.uint8(PixelState.off) * automatic[core])
                if states.any():
                    tiles[row, column] = np.zeros((TILE, TILE), np.uint8)
                    tiles[row, column][: states.shape[0], : states.shape[1]] = states
        return _store(studio, opened, "mask", EditOutcome(opened.corrections.replace_all(tiles)))


def save_mask(studio: Studio, scan_id: str, path: Path) -> None:
    """Write the mask of a scan as `redust detect` does: 8-bit grey, 0 and 255.

    Raises
    ------
    BadRequest
        If the scan is not searched for damage, and nothing is marked by hand either.
    """
    opened = studio.open(scan_id)
    if opened.decision is None and (opened.marked_steps is not None or not opened.corrections.tiles):
        decide_opened(studio, opened)
    write_mask(opened.mask(), path, overwrite=True)


def _store(studio: Studio, opened: OpenScan, kind: str, outcome: EditOutcome) -> EditResult:
    """Store what an edit changes; one that changes nothing is no edit."""
    if outcome.changes:
        state = _state_of(studio, opened.id, edits=1)
        studio.database.store_edit(opened.id, kind, outcome.changes, state=state)
    return _put(studio, opened, {change.index: change.after for change in outcome.changes}, outcome.message)


def _put(
    studio: Studio, opened: OpenScan, tiles: dict[TileIndex, TileStates] | None, message: str | None
) -> EditResult:
    """Put stored tiles in force and say what changed."""
    if tiles:
        opened.put_corrections(tiles)
        decide_later(studio, opened)
    columns = studio.columns(opened.id)
    undo, redo = studio.database.count_edits(opened.id)
    return EditResult(
        revision=columns["revision"], dirty=[opened.corrections.box_of(index) for index in tiles or ()],
        history=History(undo=undo, redo=redo), coverage=opened.coverage(), regions=columns["regions"],
        message=None if tiles else message,
    )  # fmt: skip


def _state_of(studio: Studio, scan_id: str, *, edits: int) -> ScanStatus:
    """The state of a scan once so many edits are in force."""
    if edits > 0:
        return ScanStatus.corrected
    return ScanStatus.new if studio.columns(scan_id)["coverage"] is None else ScanStatus.detected
