"""Steps of the story that report while they work: a scan to its mask, and a scan to its restored pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from redust.core.arrays import Mask
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files.source_type import mark_source_type
from redust.pipeline.areas import Areas
from redust.pipeline.job import Job
from redust.pipeline.methods import RestorationMethod
from redust.pipeline.outputs import write_damage_map
from redust.pipeline.report_builder import Progress, ReportBuilder

if TYPE_CHECKING:
    from redust.pipeline.pipeline import Pipeline


def make_mask(
    method: RestorationMethod, settings: RestoreSettings, job: Job, scan: Scan, areas: Areas, report: ReportBuilder
) -> tuple[Mask, Scan | None]:
    """Detect and decide, or take a person's whole mask; the damage map is written where the job asks for it.

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
    with report.step("detect") as detect_progress:
        detection = method.detect_candidates(
            scan, damaged=areas.add, keep_map=job.map_out is not None, report=report, progress=detect_progress
        )
    write_damage_map(detection.damage, job, settings, report)
    report.record_level(detection.level)
    report.add_warnings(method.setting_warnings())
    report.add_warnings(method.map_source.warnings, logged=True)
    with report.step("decide"):
        decision = method.decide(detection.candidates, scan, areas)
        report.record_classes(decision.ungrown)
    report.add_warnings(decision.warnings(settings.max_tile_coverage))
    report.record_mask(decision.mask, intended=settings.everywhere)
    return decision.mask, detection.restored


def restore_reported(
    pipeline: Pipeline, scan: Scan, areas: Areas, *, progress: Progress | None = None
) -> tuple[Scan, Report]:
    """Restore pixels in memory, with a report; a scan that would change too much comes back as it is."""
    settings, method = pipeline.settings, pipeline.method
    report = ReportBuilder(scan.name, settings, progress)
    report.record_scan(scan)
    mask, restored = make_mask(method, settings, Job(Path(scan.name)), scan, areas, report)
    if report.exceeds(settings.max_change):
        return scan, report.build("review")
    with report.step("fill") as fill_progress:
        result = pipeline.repair(scan, mask, restored=restored, progress=fill_progress)
    method.record_repair(report)
    result = mark_repaired(result, mask, settings, method)
    return result, report.build("restored" if areas.only is None else "repaired")


def mark_repaired(scan: Scan, mask: Mask, settings: RestoreSettings, method: RestorationMethod) -> Scan:
    """A repaired scan whose XMP says so, where the settings want that and something was masked."""
    if settings.mark_source_type and mask.any():
        return mark_source_type(scan, trained=method.fills_by_network)
    return scan
