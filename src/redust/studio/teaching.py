"""Corrections teach: the region classifier is refitted on them and put in force for all scans, undone, or kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import redust
from redust.core.atomic import make_folder
from redust.core.engines import DetectorSpec, MapSpec
from redust.pipeline.pipeline import Pipeline
from redust.studio.decisions import Decision, decide_scan
from redust.studio.detecting import count_joined_steps, decide_scans, detect_scan
from redust.studio.jobs import Job, JobResult
from redust.studio.open_scan import OpenScan
from redust.studio.records import JobRecord
from redust.studio.refusals import BadRequest, Conflict, NotInstalled
from redust.studio.studio import Studio

_MODELS = "models"
_NEEDED = ("sklearn", "onnx")


def start_teaching(studio: Studio, scan_ids: Sequence[str]) -> JobRecord:
    """Queue the fitting.

    Raises
    ------
    NotInstalled
        If what fits trees is not installed.
    BadRequest
        If the detector has no model folder.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise NotInstalled(f"Teaching needs {', '.join(missing)}. Install them: pip install 'redust[train]'.")
    _model_folder(studio)
    return studio.jobs.submit("teach", lambda job: teach_studio(studio, scan_ids, job))


def _model_folder(studio: Studio) -> Path:
    spec = studio.engine
    if not isinstance(spec, DetectorSpec) or spec.folder is None:
        raise BadRequest(f"{spec.name} is no network with a model folder. Start the studio with another --detector.")
    return spec.folder


def teach_studio(studio: Studio, scan_ids: Sequence[str], job: Job) -> JobResult:
    """Fit a region classifier to corrected scans, put it in force, and say what changes on every detected scan."""
    from redust.studio.teaching_samples import fit_corrections, label_scan
    from redust.training.regions import FOLDER, FittedKinds, copy_detector, write_classifier

    labelled = []
    for number, scan_id in enumerate(scan_ids):
        job.begin_item(number, 2 * len(scan_ids))
        opened = detect_scan(studio, scan_id, job)
        labelled.append(label_scan(opened, studio.method.as_positive(opened.scan()).pixels))
    fitted, levels = fit_corrections(labelled)
    folder = _next_folder(studio.output / _MODELS)
    copy_detector(_model_folder(studio), folder)
    facts = {"summary": "Judges regions as corrected in the studio.", "made_with": f"ReDust {redust.__version__}"}
    write_classifier(folder / FOLDER, FittedKinds(fitted), levels, facts)
    changes = _switch_model(studio, folder, job)
    return {"changes": changes, "model": folder.name}


def _next_folder(models: Path) -> Path:
    make_folder(models)
    number = 1
    while (models / f"taught-{number}").exists():
        number += 1
    return models / f"taught-{number}"


def _switch_model(studio: Studio, folder: Path, job: Job) -> list[dict[str, object]]:
    """Decide every detected scan with the new model, then put it in force; what changes."""
    spec = Pipeline(studio.base.model_copy(update={"detector": str(folder)})).method.map_source
    detected = detected_scans(studio)
    changes = []
    for number, scan_id in enumerate(detected):
        job.begin_item(len(detected) + number, 2 * len(detected))
        opened = detect_scan(studio, scan_id, job)
        changes.append(_compare(scan_id, opened.decision, _decide_with(studio, spec, opened)))
    studio.database.add_model(folder.relative_to(studio.output).as_posix())
    studio.reload_detections()
    decide_scans(studio, detected, job)
    return changes


def _decide_with(studio: Studio, spec: MapSpec, opened: OpenScan) -> Decision | None:
    """What an engine would mark on a scan by the same damage map; the steps are stored for when it is in force."""
    damage, verdict, scan = opened.damage, opened.verdict, opened.scan()
    if damage is None or verdict is None:
        return None
    steps = count_joined_steps(studio.method, spec, damage, scan)
    studio.maps.write_steps(studio.map_key(opened.id, studio.columns(opened.id)["input_sha256"], spec), steps)
    return decide_scan(steps, scan, verdict.settings, verdict.step)


def detected_scans(studio: Studio) -> list[str]:
    """The scans that are detected, in order."""
    rows = studio.database.read_scans()
    return [scan_id for scan_id in studio.library.ids() if rows[scan_id]["coverage"] is not None]


def _compare(scan_id: str, before: Decision | None, after: Decision | None) -> dict[str, object]:
    """How many regions one decision marks that the other does not."""
    if before is None or after is None:
        return {"id": scan_id, "added": 0, "removed": 0}
    return {"id": scan_id, "added": _count_beyond(after, before), "removed": _count_beyond(before, after)}


def _count_beyond(decision: Decision, limit: Decision) -> int:
    positions = decision.regions.positions
    return int(np.count_nonzero(~limit.mask[positions[:, 0], positions[:, 1]]))


def undo_teaching(studio: Studio) -> int:
    """Put the classifier before the last teaching in force again; how many scans are decided anew.

    Raises
    ------
    Conflict
        If nothing was taught.
    """
    if not studio.database.read_models():
        raise Conflict("Nothing was taught. Correct some scans, then teach.")
    detected = detected_scans(studio)
    studio.database.drop_model()
    studio.reload_detections()
    if detected:
        studio.jobs.submit("decide", lambda job: decide_scans(studio, detected, job))
    return len(detected)


def keep_model(studio: Studio, name: str) -> str:
    """Copy the taught model to a folder of its own; its path below the output folder.

    Raises
    ------
    Conflict
        If nothing was taught, or there is a model of that name.
    """
    folders = studio.database.read_models()
    if not folders:
        raise Conflict("Nothing was taught. Correct some scans, then teach.")
    target = studio.output / _MODELS / name
    if target.exists():
        raise Conflict(f"There is a model named {name} already. Choose another name.")
    shutil.copytree(studio.output / folders[-1], target)
    return target.relative_to(studio.output).as_posix()
