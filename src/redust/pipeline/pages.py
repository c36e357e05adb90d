"""All pages of a TIFF, one after the other, into one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from redust.core.errors import TargetError
from redust.core.report import Report
from redust.core.scan import Scan
from redust.files import write_pages
from redust.pipeline.areas import Areas
from redust.pipeline.job import Job
from redust.pipeline.report_builder import Progress
from redust.pipeline.steps import restore_reported

if TYPE_CHECKING:
    from redust.pipeline.pipeline import Pipeline


class _TooMuchChanged(Exception):
    """A page would change more than allowed; nothing is written then."""


def restore_pages(pipeline: Pipeline, job: Job, pages: Sequence[int], progress: Progress | None = None) -> Report:
    """Restore several pages of a scan's file; there is never more than one page in memory.

    Parameters
    ----------
    job
        Its masks apply to each page, so all pages must have their size.
    pages
        They count from 0 and go up.

    Returns
    -------
    report : Report
        Sums over the pages, with the report of each in `pages`.

    Raises
    ------
    TargetError
        If the job has other results than the restored file.
    RedustError
        As :meth:`redust.pipeline.pipeline.Pipeline.run`.
    """
    if job.target is None or len(job.outputs) > 1:
        raise TargetError(
            f"{job.source} has {len(pages)} pages: masks, maps and comparisons are of one page. "
            "Leave them out, or choose one page with --page."
        )
    reports: list[Report] = []
    scans = _iter_restored_pages(pipeline, job, pages, reports, progress)
    try:
        write_pages(scans, job.target, overwrite=pipeline.settings.overwrite, allow_loss=pipeline.settings.allow_loss)
    except _TooMuchChanged:
        return _sum_reports(job, reports, written=False)
    return _sum_reports(job, reports, written=True)


def _iter_restored_pages(
    pipeline: Pipeline, job: Job, pages: Sequence[int], reports: list[Report], progress: Progress | None
) -> Iterator[Scan]:
    """Restore page after page; the report of each is added to `reports`."""
    for index, page in enumerate(pages):
        scan = pipeline.read(job.source, page)
        areas = Areas.read(scan.shape, only=job.mask, add=job.add_mask, protect=job.not_mask)
        source, name = scan.source, f"{job.source} page {page + 1}"
        restored, report = restore_reported(
            pipeline, replace(scan, source=Path(name)), areas, progress=_page_progress(progress, index, len(pages))
        )
        del scan  # less memory
        reports.append(report)
        if report.status == "review":
            raise _TooMuchChanged
        yield replace(restored, source=source)
        del restored


def _page_progress(progress: Progress | None, index: int, count: int) -> Progress | None:
    """The progress of one page as a share of all."""
    if progress is None:
        return None

    def report_progress(step: str, share: float) -> None:
        done = {"detect": 0.8 * share, "decide": 0.8, "fill": 0.8 + 0.2 * share}.get(step, 0.0)
        progress(f"page {index + 1} of {count}", (index + done) / count)

    return report_progress


def _sum_reports(job: Job, pages: list[Report], *, written: bool) -> Report:
    """One report of all pages."""
    pixels = [page.height * page.width for page in pages]
    masked = sum(page.coverage * count for page, count in zip(pages, pixels, strict=True))
    seconds: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for page in pages:
        seconds.update(page.seconds)
        classes.update(page.classes)
    return pages[0].model_copy(
        update={
            "source": str(job.source),
            "target": str(job.target) if written else None,
            "status": pages[-1].status,
            "pages": pages,
            "coverage": masked / sum(pixels),
            "mask_sha256": None,
            "regions": sum(page.regions for page in pages),
            "classes": dict(classes),
            "seconds": dict(seconds),
            "largest_change_outside": 0.0 if written else None,
            "models": {name: digest for page in pages for name, digest in page.models.items()},
            "warnings": [f"Page {page.page}: {warning}" for page in pages for warning in page.warnings],
        }
    )
