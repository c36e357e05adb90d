"""All pages of a TIFF, one after the other, into one file, their masks into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask
from redust.core.errors import TargetError
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files import write_masks, write_pages
from redust.files.formats import TIFF, by_suffix
from redust.pipeline.areas import Areas
from redust.pipeline.job import Job
from redust.pipeline.report_builder import Progress
from redust.pipeline.steps import detect_reported, restore_reported

if TYPE_CHECKING:
    from redust.pipeline.pipeline import Pipeline


class _TooMuchChanged(Exception):
    """A page would change more than allowed; no page is changed then."""


@dataclass
class _PageResults:
    """What comes of the pages: the report of each, and its mask, eight pixels a byte, if masks are written."""

    reports: list[Report] = field(default_factory=list)
    masks: list[tuple[tuple[int, int], NDArray[np.uint8]]] = field(default_factory=list)

    def add(self, report: Report, mask: Mask, *, keep_mask: bool) -> None:
        self.reports.append(report)
        if keep_mask:
            self.masks.append(((mask.shape[0], mask.shape[1]), np.packbits(mask)))

    def iter_masks(self) -> Iterator[Mask]:
        for shape, packed in self.masks:
            yield np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape).view(np.bool_)


def restore_pages(pipeline: Pipeline, job: Job, pages: Sequence[int], progress: Progress | None = None) -> Report:
    """Restore, or detect on, several pages of a scan's file; there is never more than one page in memory.

    Parameters
    ----------
    job
        A mask of several pages has one for each page; one of a single page is for all, which then must have its size.
        The mask that is written has all pages.
    pages
        They count from 0 and go up.

    Returns
    -------
    report : Report
        Sums over the pages, with the report of each in `pages`.

    Raises
    ------
    TargetError
        If the job has results that are of one page.
    RedustError
        As :meth:`redust.pipeline.pipeline.Pipeline.run`.
    """
    if (job.map_out, job.compare, job.layers) != (None, None, None):
        raise TargetError(
            f"{job.source} has {len(pages)} pages: maps, comparisons and layers are of one page. "
            "Leave them out, or choose one page with --page."
        )
    if job.mask_out is not None and by_suffix(job.mask_out) is not TIFF:
        raise TargetError(f"{job.mask_out} cannot hold {len(pages)} masks. Name it .tif, or choose a page with --page.")
    settings, results = pipeline.settings, _PageResults()
    if job.target is None:
        _detect_pages(pipeline, job, pages, results, progress)
        _write_masks(results, job, settings)
        return _sum_reports(job, results.reports, written=False)
    scans = _iter_restored_pages(pipeline, job, pages, results, progress)
    try:
        write_pages(scans, job.target, overwrite=settings.overwrite, allow_loss=settings.allow_loss)
    except _TooMuchChanged:
        return _sum_reports(job, results.reports, written=False)
    return _sum_reports(job, results.reports, written=True)


def _iter_restored_pages(
    pipeline: Pipeline, job: Job, pages: Sequence[int], results: _PageResults, progress: Progress | None
) -> Iterator[Scan]:
    """Restore page after page; the masks are written before the file of the pages is complete."""
    for index, page in enumerate(pages):
        scan, areas = _read_page(pipeline, job, index, page)
        source = scan.source
        restored, mask, report = restore_reported(
            pipeline,
            _name_page(scan, job),
            areas,
            common_marks=job.common_marks,
            progress=_page_progress(progress, index, len(pages)),
        )
        del scan, areas  # less memory
        results.add(report, mask, keep_mask=job.mask_out is not None)
        del mask
        yield replace(restored, source=source)
        del restored
    _write_masks(results, job, pipeline.settings)
    if any(report.status == "review" for report in results.reports):
        raise _TooMuchChanged


def _detect_pages(
    pipeline: Pipeline, job: Job, pages: Sequence[int], results: _PageResults, progress: Progress | None
) -> None:
    for index, page in enumerate(pages):
        scan, areas = _read_page(pipeline, job, index, page)
        page_progress = _page_progress(progress, index, len(pages))
        mask, report = detect_reported(pipeline, _name_page(scan, job), areas, progress=page_progress)
        del scan, areas
        results.add(report, mask, keep_mask=True)


def _read_page(pipeline: Pipeline, job: Job, index: int, page: int) -> tuple[Scan, Areas]:
    """A page, and its own masks: those of the same index."""
    scan = pipeline.read(job.source, page)
    return scan, Areas.read(scan.shape, index=index, only=job.mask, add=job.add_mask, protect=job.not_mask)


def _name_page(scan: Scan, job: Job) -> Scan:
    return replace(scan, source=Path(f"{job.source} page {scan.page + 1}"))


def _write_masks(results: _PageResults, job: Job, settings: RestoreSettings) -> None:
    if job.mask_out is not None:
        write_masks(results.iter_masks(), job.mask_out, overwrite=settings.overwrite)


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
            "mask_file": None if job.mask_out is None else str(job.mask_out),
            "status": "review" if any(page.status == "review" for page in pages) else pages[-1].status,
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
