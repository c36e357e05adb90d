"""Detecting and deciding: a scan's damage map is predicted once, then decided as often as its settings change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from redust.batch.failures import Failure, catch_failure, describe_failure
from redust.batch.storage import hash_file, stat_file
from redust.core.arrays import DamageMap
from redust.core.engines import MapSpec
from redust.core.errors import RedustError
from redust.core.logits import QuantisedMap
from redust.core.scan import Scan
from redust.decision.sensitivity_steps import LAST_STEP, MarkedSteps, count_marked_steps, takes_quantised_map
from redust.detectors.run_detector import join_tiles
from redust.inpainters import catalogue as inpainters
from redust.pipeline.detection import ProgressCallback
from redust.pipeline.methods import MaskMethod
from redust.studio.decisions import Decision, decide_scan
from redust.studio.jobs import Job, JobCancelled, JobResult
from redust.studio.map_store import MapKey
from redust.studio.open_scan import OpenScan
from redust.studio.overview_store import Overview
from redust.studio.records import JobRecord, ScanChoices, ScanStatus
from redust.studio.refusals import BadRequest, Conflict
from redust.studio.region_list import count_marked_regions
from redust.studio.studio import Studio

_SETTLING_SECONDS = 0.3  # after a change of settings, before the whole scan is decided


def start_detection(studio: Studio, scan_id: str) -> JobRecord:
    """Queue the detection of a scan."""
    studio.library.find(scan_id)
    record = studio.jobs.submit("detect", lambda job: _detect(studio, scan_id, job), scan_id)
    studio.publish(scan_id)
    return record


def _detect(studio: Studio, scan_id: str, job: Job) -> JobResult:
    detect_scan(studio, scan_id, job)
    columns = studio.columns(scan_id)
    return {"coverage": columns["coverage"], "regions": columns["regions"]}


def detect_scan(studio: Studio, scan_id: str, job: Job) -> OpenScan:
    """Detect and decide a scan where that is not done yet; a failure becomes the scan's state.

    Raises
    ------
    Conflict
        With the sentence of what failed.
    """
    outcome = catch_failure(lambda: _detect_and_decide(studio, scan_id, job))
    if not isinstance(outcome, Failure):
        return outcome
    if outcome.kind == JobCancelled.__name__:
        raise JobCancelled(outcome.sentence)
    raise Conflict(record_failure(studio, scan_id, outcome))


def open_scan(studio: Studio, scan_id: str) -> OpenScan:
    """Open a scan; a failure becomes its state."""
    with _recorded_failure(studio, scan_id):
        return studio.open(scan_id)


def open_overview(studio: Studio, scan_id: str) -> Overview:
    """A scan in small; a failure becomes its state."""
    with _recorded_failure(studio, scan_id):
        return studio.overview(scan_id)


@contextmanager
def _recorded_failure(studio: Studio, scan_id: str) -> Iterator[None]:
    studio.library.find(scan_id)
    try:
        yield
    except RedustError as error:
        record_failure(studio, scan_id, describe_failure(error))
        raise


def record_failure(studio: Studio, scan_id: str, failure: Failure) -> str:
    """Make a failure the state of a scan; its sentence, without the folders of this machine."""
    columns, sentence = studio.columns(scan_id), studio.hide_paths(failure.sentence)
    if (columns["state"], columns["error"]) != (ScanStatus.failed, sentence):
        studio.database.update_scan(scan_id, state=ScanStatus.failed, error=sentence)
    studio.publish(scan_id)
    return sentence


def _detect_and_decide(studio: Studio, scan_id: str, job: Job) -> OpenScan:
    job.report_progress("hash", 0.0)
    columns = _hash_input(studio, scan_id)
    opened = studio.open(scan_id)
    key = studio.map_key(scan_id, columns["input_sha256"])
    if opened.map_key not in (None, key):  # the infrared beside it has changed
        opened.release()
        opened.set_detection(None, None)
    if opened.marked_steps is None and not studio.load_detection(opened, columns):
        predict_steps(studio, opened, key, job)
        studio.load_detection(opened, columns)
    if opened.decision is None:
        job.report_progress("judge", 1.0)
        decide_opened(studio, opened)
    if columns["state"] in (ScanStatus.new, ScanStatus.failed):
        studio.database.update_scan(scan_id, state=state_after_edits(studio, scan_id), error=None)
    studio.publish(scan_id)
    return opened


def predict_steps(studio: Studio, opened: OpenScan, key: MapKey, job: Job) -> None:
    """Predict the damage map of a scan, and at how many of the slider's steps each pixel is marked; store both."""
    scan, method = opened.scan(), studio.method
    damage = studio.maps.read_map(key)
    if damage is None:
        damage = predict_smallest_map(method, scan, lambda share: job.report_progress("detect", share))
        studio.maps.write_map(key, damage)
    job.report_progress("judge", 0.0)
    studio.maps.write_steps(key, count_joined_steps(method, studio.engine, damage, scan))


def predict_smallest_map(method: MaskMethod, scan: Scan, progress: ProgressCallback = None) -> DamageMap | QuantisedMap:
    """The damage map of a scan in the smallest form that its threshold takes."""
    infrared, positive = method.view_infrared(scan), method.as_positive(scan)
    tiles = method.damage_tiles(positive, method.choose_detector(positive), infrared, progress)
    if takes_quantised_map(method.map_source):
        return QuantisedMap.from_tiles(tiles, scan.shape)
    return join_tiles(tiles, scan.pixels)


def count_joined_steps(method: MaskMethod, spec: MapSpec, damage: DamageMap | QuantisedMap, scan: Scan) -> MarkedSteps:
    """At how many steps each pixel is marked: at all where infrared proves damage, at none where it denies it.

    Parameters
    ----------
    spec
        Of the engine whose levels count.
    """
    infrared, positive = method.view_infrared(scan), method.as_positive(scan)
    method.damage_tiles(positive, method.engines.detector, infrared, None)  # infrared denies no line through the frame
    marked_steps = count_marked_steps(spec, damage, positive.pixels)
    if infrared.verdict is not None:
        marked_steps[~infrared.join_mask(np.ones(scan.shape, np.bool_))] = 0
        marked_steps[infrared.join_mask(np.zeros(scan.shape, np.bool_))] = LAST_STEP + 1
    return marked_steps


def _hash_input(studio: Studio, scan_id: str) -> dict[str, Any]:
    """The columns of a scan with the hash of its file; read only where its size or time has changed.

    What was repaired of other content is forgotten.
    """
    columns = studio.columns(scan_id)
    source = studio.library.resolve(scan_id, columns)
    status = stat_file(source)
    if not columns["input_sha256"] or (columns["size"], columns["mtime_ns"]) != (status.size, status.mtime_ns):
        input_sha256 = hash_file(source)
        if columns["input_sha256"] not in (None, input_sha256):
            studio.database.store_restored(scan_id, {}, replace_all=True)
        studio.database.update_scan(
            scan_id, raise_revision=False, size=status.size, mtime_ns=status.mtime_ns, input_sha256=input_sha256
        )
    return studio.columns(scan_id)


def state_after_edits(studio: Studio, scan_id: str) -> ScanStatus:
    """The state of a scan that is detected: corrected where any edit is in force."""
    return ScanStatus.corrected if studio.database.count_edits(scan_id)[0] else ScanStatus.detected


def decide_opened(studio: Studio, opened: OpenScan, job: Job | None = None) -> Decision | None:
    """Decide a whole scan that is detected, and store what came of it; None where other settings are in force now."""
    verdict, steps = opened.verdict, opened.marked_steps
    if verdict is None or steps is None:
        raise BadRequest("The scan is not searched for damage yet. Wait until it is.")
    checkpoint = (lambda: job.report_progress("decide", 0.5)) if job is not None else None
    decision = decide_scan(steps, opened.scan(), verdict.settings, verdict.step, checkpoint)
    if not opened.set_decision(verdict, decision):
        return None
    store_counts(studio, opened, raise_revision=True)
    return decision


def store_counts(studio: Studio, opened: OpenScan, *, raise_revision: bool = False) -> None:
    """Store how much is marked, and tell every page."""
    decision = opened.decision
    if decision is None:
        return
    studio.database.update_scan(
        opened.id, raise_revision=raise_revision, coverage=opened.coverage(), regions=count_marked_regions(opened),
        counts=decision.regions.counts(),
    )  # fmt: skip
    studio.publish(opened.id)


def decide_later(studio: Studio, opened: OpenScan) -> None:
    """Queue the decision of a whole scan, and the counts."""

    def decide(job: Job) -> JobResult:
        job.pause(_SETTLING_SECONDS)
        if opened.decision is None:
            decide_opened(studio, opened, job)
        else:
            store_counts(studio, opened)
        return None

    if opened.marked_steps is not None:
        studio.jobs.count_later(decide, opened.id)


def change_choices(studio: Studio, scan_id: str, change: ScanChoices) -> None:
    """Change some choices of a scan: what is shown follows at once, the counts when the whole scan is decided.

    Raises
    ------
    SettingsError, UnknownEngine
        If the choices contradict each other, or name a fill that is not listed: a client names no folder.
    """
    inpainters.factory(change.fill)
    choices = studio.choices(studio.columns(scan_id))
    updated = choices.model_copy(update={name: getattr(change, name) for name in change.model_fields_set})
    verdict = studio.verdict(updated)
    studio.database.update_scan(scan_id, settings=updated.model_dump(mode="json"))
    opened = studio.opened(scan_id)
    if opened is not None and _differ(choices, updated):
        opened.set_verdict(verdict)
        decide_later(studio, opened)
    studio.publish(scan_id)


def _differ(choices: ScanChoices, updated: ScanChoices) -> bool:
    """Whether choices lead to another verdict; fill and grain are part of its settings."""
    shown = {"exposure", "gamma", "invert"}
    return choices.model_dump(exclude=shown) != updated.model_dump(exclude=shown)


def copy_choices(studio: Studio, source: str, targets: Sequence[str]) -> int:
    """Copy the choices of one scan to others; those that are detected are decided anew, one after the other."""
    settings = studio.columns(source)["settings"]
    changed = [scan_id for scan_id in targets if studio.columns(scan_id)["settings"] != settings]
    for scan_id in changed:
        studio.database.update_scan(scan_id, settings=settings)
    detected = [scan_id for scan_id in changed if studio.columns(scan_id)["coverage"] is not None]
    if detected:
        studio.jobs.submit("decide", lambda job: decide_scans(studio, detected, job))
    return len(changed)


def decide_scans(studio: Studio, scan_ids: Sequence[str], job: Job) -> JobResult:
    """Decide scans anew, with the choices and the engine in force."""
    for number, scan_id in enumerate(scan_ids):
        job.begin_item(number, len(scan_ids))
        opened = studio.open(scan_id)
        opened.set_verdict(studio.verdict(studio.choices(studio.columns(scan_id))))
        detect_scan(studio, scan_id, job)
    return {"changed": len(scan_ids)}


def for_each(scan_ids: Sequence[str], job: Job, work: Callable[[str], object]) -> list[dict[str, str]]:
    """Do work for each of several scans; those that fail are named with why, the others go on."""
    failures = []
    for number, scan_id in enumerate(scan_ids):
        job.begin_item(number, len(scan_ids))
        outcome = catch_failure(lambda scan_id=scan_id: work(scan_id))  # type: ignore[misc]
        if isinstance(outcome, Failure):
            if outcome.kind == JobCancelled.__name__:
                raise JobCancelled(outcome.sentence)
            failures.append({"id": scan_id, "error": outcome.sentence})
    return failures
