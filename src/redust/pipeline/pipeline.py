"""The story of ReDust: one scan from file to file.

::

    detect(scan)               -> DamageMap   how likely each pixel is damaged
    decide(damage, scan)       -> Mask        which pixels to repair
    repair(scan, mask)         -> Scan        those pixels filled, all others untouched
    restore(source, target)    -> Report      read, detect, decide, repair, write

How a method does each step is told in :mod:`redust.pipeline.methods`.
"""

from __future__ import annotations

from pathlib import Path

from redust.core.arrays import DamageMap, Mask
from redust.core.engines import Detector, Generator, Inpainter
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import DamagedFiles, Method, RestoreSettings
from redust.files import read_scan
from redust.pipeline.areas import Areas
from redust.pipeline.detection import Detection, ProgressCallback
from redust.pipeline.engines import Engines, log_warnings
from redust.pipeline.generator_method import GeneratorMethod
from redust.pipeline.in_place import restore_in_place
from redust.pipeline.job import Job, as_path
from redust.pipeline.methods import MaskMethod
from redust.pipeline.outputs import (
    draw_result,
    prepare_outputs,
    write_layered_file,
    write_mask_file,
    write_results,
)
from redust.pipeline.pages import restore_pages
from redust.pipeline.report_builder import Progress, ReportBuilder
from redust.pipeline.steps import make_mask, mark_repaired


class Pipeline:
    """Finds and repairs damage. Its engines are loaded when first needed, then kept for every further scan.

    Parameters
    ----------
    settings
        Every choice; the defaults unless given.
    detector, inpainter, generator
        Engines to use instead of those that the settings name.

    Examples
    --------
    >>> from redust import Pipeline, RestoreSettings
    >>> pipeline = Pipeline(RestoreSettings(level=0.4))
    >>> report = pipeline.restore("scan.tif", "restored.tif", mask_out="mask.png")  # doctest: +SKIP
    >>> report.coverage  # doctest: +SKIP
    0.0042
    """

    def __init__(
        self,
        settings: RestoreSettings | None = None,
        *,
        detector: Detector | None = None,
        inpainter: Inpainter | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.settings = settings or RestoreSettings()
        self.engines = Engines(self.settings, detector, inpainter, generator)
        method = GeneratorMethod if self.settings.method is Method.generator else MaskMethod
        self.method = method(self.settings, self.engines)

    def read(self, source: Path, page: int | None = None) -> Scan:
        """Read a scan, or raise a :class:`~redust.core.errors.ScanError` if it cannot be used.

        `page` counts from 0; the settings' first unless given.
        """
        return read_scan(
            source,
            page=self.settings.first_page if page is None else page,
            max_megapixels=self.settings.max_megapixels,
            keep_damaged=self.settings.damaged_files is DamagedFiles.keep,
        )

    def detect(self, scan: Scan, *, progress: ProgressCallback = None) -> DamageMap:
        """Predict how likely each pixel is damaged: slow, worth keeping.

        Parameters
        ----------
        progress
            Called with the share done, 0..1.

        Returns
        -------
        damage : (H, W) float32 in 0..1
            With the method ``generator``: by how much light its answer differs from the scan.

        Raises
        ------
        EngineError
            If an engine fails or breaks its contract.
        """
        return self.method.predict_map(scan, progress)

    def decide(self, damage: DamageMap, scan: Scan, areas: Areas | None = None) -> Mask:
        """Decide which pixels of a damage map to repair, (H, W) bool: quick enough for a slider.

        `areas` is what a person has decided; it is applied as it is.
        """
        candidates = self.method.threshold_map(damage, scan)
        return self._decide(self.method.join_infrared(candidates, scan), scan, areas or Areas())

    def detect_mask(self, scan: Scan, areas: Areas | None = None) -> Mask:
        """Detect and decide in one call, or return a person's whole mask: (H, W) bool.

        A detector's map is held as one byte per pixel, a quarter of what :meth:`detect` returns.
        """
        return self._detect(scan, areas or Areas())[0]

    def restore_scan(self, scan: Scan, areas: Areas | None = None) -> Scan:
        """Detect, decide and repair in one call."""
        mask, restored = self._detect(scan, areas or Areas())
        return self.repair(scan, mask, restored=restored)

    def _detect(self, scan: Scan, areas: Areas) -> tuple[Mask, Scan | None]:
        """The mask, and a generator's answer; a person's whole mask needs none."""
        if areas.only is not None:
            return areas.apply(areas.only), None
        log_warnings(self.method.setting_warnings())
        detection = self.method.detect_candidates(scan, damaged=areas.add)
        return self._decide(detection.candidates, scan, areas), detection.restored

    def _decide(self, candidates: Mask, scan: Scan, areas: Areas) -> Mask:
        decision = self.method.decide(candidates, scan, areas)
        log_warnings(decision.warnings(self.settings.max_tile_coverage))
        return decision.mask

    def repair(
        self, scan: Scan, mask: Mask, *, restored: Scan | None = None, progress: ProgressCallback = None
    ) -> Scan:
        """Fill the masked pixels; every other pixel stays bit-identical.

        Parameters
        ----------
        mask : (H, W) bool
        restored
            With the method ``generator``: its answer, if there is one. If not, the mask counts as certain damage.
        progress
            Called with the share done, 0..1.

        Raises
        ------
        EngineError
            If an engine fails or breaks its contract.
        MaskMismatch
            If the mask leaves nothing to fill from.
        """
        return self.method.repair(scan, mask, restored, progress)

    def restore(
        self,
        source: str | Path,
        target: str | Path | None = None,
        *,
        mask: str | Path | Mask | None = None,
        add_mask: str | Path | Mask | None = None,
        not_mask: str | Path | Mask | None = None,
        mask_out: str | Path | None = None,
        map_out: str | Path | None = None,
        compare: str | Path | None = None,
        layers: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Read, detect, decide, repair, write: :meth:`run` with the fields of a :class:`~redust.pipeline.job.Job`.

        Parameters
        ----------
        progress
            Called with the step's name and the share of it that is done, 0..1.

        Raises
        ------
        ScanError, TargetError, EngineError, ModelError, SettingsError
            See :mod:`redust.core.errors`. Nothing is written half, and `source` is as it was.
        """
        job = Job(
            Path(source), as_path(target), as_path(mask), as_path(add_mask), as_path(not_mask),
            as_path(mask_out), as_path(map_out), as_path(compare), as_path(layers),
        )  # fmt: skip
        return self.run(job, progress=progress)

    def run(
        self,
        job: Job,
        *,
        progress: Progress | None = None,
        scan: Scan | None = None,
        detection: Detection | None = None,
    ) -> Report:
        """Do a job, from reading its scan to writing its results; see :meth:`restore`.

        Parameters
        ----------
        scan, detection
            The job's scan, and what is detected on it, where they are known already.
        """
        if job.in_place:
            return restore_in_place(self, job, progress)
        report = ReportBuilder(str(job.source), self.settings, progress)
        with report.step("read"):
            scan = self.read(job.source) if scan is None else scan
            prepare_outputs(job, scan, self.settings)
            areas = Areas.read(scan.shape, only=job.mask, add=job.add_mask, protect=job.not_mask)
        if self.settings.page == "all" and scan.further_pages:
            pages = sorted((scan.page, *scan.further_pages))
            del scan, areas  # each page is read when its turn comes
            return restore_pages(self, job, pages, progress)
        report.record_scan(scan)
        report.warn_of_pages(scan)
        repaired = "restored" if areas.only is None else "repaired"
        mask, restored = make_mask(self.method, self.settings, job, scan, areas, report, detection)
        del areas, detection  # the mask holds them
        write_mask_file(mask, job, self.settings, report)
        if not job.repairs:
            return report.build("detected")
        if report.exceeds(self.settings.max_change):
            return report.build("review")
        with report.step("fill") as fill_progress:
            result = self.repair(scan, mask, restored=restored, progress=fill_progress)
        self.method.record_repair(report)
        result = mark_repaired(result, mask, self.settings, self.method)
        picture = draw_result(job, scan, mask, result, report)
        write_layered_file(job, scan, result, mask, self.settings, report)
        del scan, restored  # less memory while the file is encoded
        write_results(job, result, picture, mask, self.settings, report)
        return report.build("detected" if job.target is None else repaired)
