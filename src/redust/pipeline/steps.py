"""Steps of the story that report while they work: a scan to its mask, and a scan to its restored pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from redust.core.arrays import DamageMap, Mask
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.detectors.common_marks import CommonMarks
from redust.files.source_type import mark_source_type
from redust.pipeline.areas import Areas
from redust.pipeline.detection import Detection
from redust.pipeline.job import Job
from redust.pipeline.methods import RestorationMethod
from redust.pipeline.outputs import write_damage_map
from redust.pipeline.report_builder import Progress, ReportBuilder

if TYPE_CHECKING:
    from redust.pipeline.pipeline import Pipeline


def make_mask(
    method: RestorationMethod,
    settings: RestoreSettings,
    job: Job,
    scan: Scan,
    areas: Areas,
    report: ReportBuilder,
    detection: Detection | None = None,
) -> tuple[Mask, Scan | None]:
    """Detect and decide, or take a person's whole mask; the damage map is written where the job asks for it.

    Parameters
    ----------
    detection
        What is detected already; nothing is detected then.

    Returns
    -------
    mask : (H, W) bool
    restored : Scan or None
        A generator's answer.
    """
    if areas.only is not None:
        mask = areas.apply(areas.only)
        report.record_given_mask(mask)
        report.record_mask(mask, intended=settings.everywhere)
        write_damage_map(mask.astype("float32"), job, settings, report)
        return mask, None
    detection = _detect(method, scan, areas, report, keep_map=job.map_out is not None, known=detection)
    write_damage_map(detection.damage, job, settings, report)
    return _decide(method, settings, detection, job, scan, areas, report), detection.restored


def _detect(
    method: RestorationMethod,
    scan: Scan,
    areas: Areas,
    report: ReportBuilder,
    *,
    keep_map: bool,
    known: Detection | None = None,
) -> Detection:
    with report.step("detect") as progress:
        if known is not None:
            method.record_detection(scan, report)
        detection = known or method.detect_candidates(
            scan, damaged=areas.add, keep_map=keep_map, report=report, progress=progress
        )
    report.record_level(detection.level)
    report.add_warnings(method.setting_warnings())
    report.add_warnings(method.map_source.warnings, logged=True)
    return detection


def _decide(
    method: RestorationMethod,
    settings: RestoreSettings,
    detection: Detection,
    job: Job,
    scan: Scan,
    areas: Areas,
    report: ReportBuilder,
) -> Mask:
    with report.step("decide"):
        decision = method.decide(detection.candidates, scan, areas)
        if job.common_marks is not None and (marks := job.common_marks.find_in(scan.pixels)).any():
            decision, count = method.add_marks(decision, marks, scan, areas)
            report.set(common_marks=count)
        report.record_classes(decision.ungrown)
    report.add_warnings(decision.warnings(settings.max_tile_coverage))
    report.record_mask(decision.mask, intended=settings.everywhere)
    return decision.mask


def detect_map_reported(pipeline: Pipeline, scan: Scan) -> tuple[DamageMap, Report]:
    """Predict the damage map in memory, with a report of what it comes to."""
    settings, method, areas = pipeline.settings, pipeline.method, Areas()
    report = ReportBuilder(scan.name, settings)
    report.record_scan(scan)
    detection = _detect(method, scan, areas, report, keep_map=True)
    _decide(method, settings, detection, Job(Path(scan.name)), scan, areas, report)
    assert detection.damage is not None
    return detection.damage, report.build("detected")


def detect_reported(
    pipeline: Pipeline, scan: Scan, areas: Areas, *, progress: Progress | None = None
) -> tuple[Mask, Report]:
    """Detect and decide in memory, with a report."""
    report = ReportBuilder(scan.name, pipeline.settings, progress)
    report.record_scan(scan)
    mask, _ = make_mask(pipeline.method, pipeline.settings, Job(Path(scan.name)), scan, areas, report)
    return mask, report.build("detected")


def restore_reported(
    pipeline: Pipeline,
    scan: Scan,
    areas: Areas,
    *,
    common_marks: CommonMarks | None = None,
    progress: Progress | None = None,
) -> tuple[Scan, Mask, Report]:
    """Restore pixels in memory, with the mask and a report; a scan that would change too much comes back as it is."""
    settings, method = pipeline.settings, pipeline.method
    report = ReportBuilder(scan.name, settings, progress)
    report.record_scan(scan)
    job = Job(Path(scan.name), common_marks=common_marks)
    mask, restored = make_mask(method, settings, job, scan, areas, report)
    if report.exceeds(settings.max_change):
        return scan, mask, report.build("review")
    with report.step("fill") as fill_progress:
        result = pipeline.repair(scan, mask, restored=restored, progress=fill_progress)
    method.record_repair(report)
    result = mark_repaired(result, mask, settings, method)
    return result, mask, report.build("restored" if areas.only is None else "repaired")


def mark_repaired(scan: Scan, mask: Mask, settings: RestoreSettings, method: RestorationMethod) -> Scan:
    """A repaired scan whose XMP says so, where the settings want that and something was masked."""
    if settings.mark_source_type and mask.any():
        return mark_source_type(scan, trained=method.fills_by_network)
    return scan
