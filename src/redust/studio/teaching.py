"""Corrections teach: a region classifier refitted on them, applied to all scans, undone or kept."""

from __future__ import annotations

from collections.abc import Sequence

from redust.studio.records import JobRecord
from redust.studio.refusals import Conflict, NotInstalled
from redust.studio.studio import Studio


def start_teaching(studio: Studio, scan_ids: Sequence[str]) -> JobRecord:
    """Queue the fitting."""
    raise NotInstalled("Not yet.")


def undo_teaching(studio: Studio) -> int:
    """Put the classifier before the last teaching in force again; how many scans change."""
    raise Conflict("There is nothing to undo.")


def keep_model(studio: Studio, name: str) -> str:
    """Copy the taught model to a folder of its own; its path below the output folder."""
    raise Conflict("No model is taught.")
