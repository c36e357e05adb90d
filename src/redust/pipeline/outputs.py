"""The files of a job: checked before the work, written after it."""

from __future__ import annotations

from pathlib import Path

from redust.core.arrays import DamageMap, Mask
from redust.core.atomic import make_folder
from redust.core.errors import TargetError
from redust.core.scan import Scan
from redust.core.settings import ScanSettings
from redust.files import (
    check_layered_target,
    check_path,
    check_target,
    largest_change_outside,
    lossless,
    name_losses,
    write_layers,
    write_map,
    write_mask,
    write_scan,
)
from redust.files.formats import PNG, TIFF, by_suffix
from redust.pipeline.compare import draw_comparison
from redust.pipeline.job import Job
from redust.pipeline.report_builder import ReportBuilder


def prepare_outputs(job: Job, scan: Scan, settings: ScanSettings) -> None:
    """Make the folders of a job's results, and refuse what would be refused after the work.

    Raises
    ------
    TargetError
        If a result exists already, would replace the scan or a mask, or cannot hold what the scan carries.
    """
    for path in job.outputs:
        make_folder(path.parent)
        for source in job.inputs:
            check_path(path, source=source, overwrite=settings.overwrite)
        if path != job.layers:
            by_suffix(path)
    for exact in (job.mask_out, job.map_out):
        if exact is not None and by_suffix(exact) not in (PNG, TIFF):
            raise TargetError(f"{exact} cannot hold a mask or map: use a name that ends with .png or .tif.")
    if job.layers is not None:
        check_layered_target(scan, job.layers)
    if job.target is not None:
        check_target(scan, job.target, overwrite=settings.overwrite, allow_loss=settings.allow_loss)


def write_damage_map(damage: DamageMap | None, job: Job, settings: ScanSettings, report: ReportBuilder) -> None:
    """Write the damage map if the job has a file for it."""
    if job.map_out is None or damage is None:
        return
    with report.step("write"):
        write_map(damage, job.map_out, overwrite=settings.overwrite)
    report.set(map_file=str(job.map_out))


def write_mask_file(mask: Mask, job: Job, settings: ScanSettings, report: ReportBuilder) -> None:
    """Write the mask if the job has a file for it."""
    if job.mask_out is None:
        return
    with report.step("write"):
        write_mask(mask, job.mask_out, overwrite=settings.overwrite)
    report.set(mask_file=str(job.mask_out))


def draw_result(job: Job, scan: Scan, mask: Mask, restored: Scan, report: ReportBuilder) -> Scan | None:
    """The comparison before / mask / after, if the job has a file for it."""
    if job.compare is None:
        return None
    with report.step("compare"):
        return draw_comparison(scan, mask, restored)


def write_layered_file(
    job: Job, scan: Scan, restored: Scan, mask: Mask, settings: ScanSettings, report: ReportBuilder
) -> None:
    """Write the scan, its repaired pixels and the mask as layers if the job has a file for them."""
    if job.layers is None:
        return
    with report.step("write"):
        write_layers(scan, restored, mask, job.layers, source=scan.source, overwrite=settings.overwrite)
    report.set(layers_file=str(job.layers))


def write_results(
    job: Job, restored: Scan, comparison: Scan | None, mask: Mask, settings: ScanSettings, report: ReportBuilder
) -> None:
    """Write the comparison, then the restored scan: where it exists, everything else does."""
    with report.step("write"):
        if comparison is not None and job.compare is not None:
            write_scan(comparison, job.compare, overwrite=settings.overwrite)
            report.set(compare_file=str(job.compare))
        if job.target is None:
            return
        write_scan(restored, job.target, overwrite=settings.overwrite, allow_loss=settings.allow_loss)
    report.add_warnings(name_losses(restored, job.target), logged=True)
    change = _measure_change_outside(job.target, restored, mask)
    report.set(target=str(job.target), largest_change_outside=change)
    if change:
        report.add_warning(
            f"The target's format is lossy: outside the mask samples changed by up to {change:g}. "
            "Write TIFF or PNG to keep them as they are."
        )


def _measure_change_outside(target: Path, written: Scan, mask: Mask) -> float:
    """The largest change of a sample outside the mask, in steps of the depth: 0 unless the format is lossy.

    A lossy file is read back and compared with the pixels it was made from.
    """
    return 0.0 if lossless(target) else largest_change_outside(written.pixels, target, mask)
