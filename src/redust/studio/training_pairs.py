"""Corrected scans as training pairs, in the layout that `redust train --data` reads."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import PurePosixPath

from redust.core.atomic import make_folder, whole_file
from redust.studio.correcting import save_mask
from redust.studio.detecting import for_each
from redust.studio.jobs import Job, JobResult
from redust.studio.studio import Studio

FOLDER = "training-pairs"


def write_training_pairs(studio: Studio, scan_ids: Sequence[str], job: Job) -> JobResult:
    """Copy scans into ``training-pairs/images`` and write their masks into ``training-pairs/masks``."""
    folder = studio.output / FOLDER
    for name in ("images", "masks"):
        make_folder(folder / name)

    def write_pair(scan_id: str) -> None:
        source = studio.library.resolve(scan_id, studio.columns(scan_id))
        key = PurePosixPath(studio.library.find(scan_id).key)
        stem = "_".join(key.with_suffix("").parts)
        if _is_taken(stem, scan_id):
            stem = f"{stem}_{scan_id[:6]}"
        save_mask(studio, scan_id, folder / "masks" / f"{stem}.png")
        with (
            source.open("rb") as scan,
            whole_file(folder / "images" / f"{stem}{source.suffix}", overwrite=True) as file,
        ):
            shutil.copyfileobj(scan, file)

    stems: dict[str, str] = {}

    def _is_taken(stem: str, scan_id: str) -> bool:
        return stems.setdefault(stem, scan_id) != scan_id

    failures = for_each(scan_ids, job, write_pair)
    return {"path": FOLDER, "pairs": len(scan_ids) - len(failures), "failed": failures}
