"""The story of ReDust: one scan from file to file.

::

    detect(scan)               -> DamageMap   how likely each pixel is damaged
    decide(damage, scan)       -> Mask        which pixels to repair
    repair(scan, mask)         -> Scan        those pixels filled, all others untouched
    restore(source, target)    -> Report      read, detect, decide, repair, write
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from redust.core.arrays import DamageMap, Mask
from redust.core.engines import Detector, Inpainter, levels_of
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.detectors import given, make_detector
from redust.detectors.running import find_damage
from redust.files import read_scan, write_map, write_mask, write_scan
from redust.inpainters import make_inpainter
from redust.inpainters.running import fill_damage
from redust.pipeline.areas import Areas
from redust.pipeline.compare import comparison
from redust.pipeline.decide import Decision, judge
from redust.pipeline.journal import Journal, Progress
from redust.pipeline.outputs import change_outside, prepare_outputs
from redust.pipeline.worklist import Job, as_path

_LOG = logging.getLogger(__name__)


class Pipeline:
    """Finds and repairs damage. Its engines are loaded when first needed, then kept for every further scan.

    Parameters
    ----------
    settings
        Every choice; the defaults unless given.
    detector, inpainter
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
    ) -> None:
        self.settings = settings or RestoreSettings()
        self._detector = detector
        self._inpainter = inpainter

    @cached_property
    def detector(self) -> Detector:
        """How damage is found."""
        return self._detector or make_detector(self.settings.detector, threads=self.settings.threads)

    @cached_property
    def inpainter(self) -> Inpainter:
        """How damage is filled."""
        return self._inpainter or make_inpainter(self.settings.fill, radius=self.settings.fill_radius)

    @property
    def level(self) -> float:
        """Where the damage map is cut: the user's level, the detector's for the sensitivity, or its own."""
        if self.settings.level is not None:
            return self.settings.level
        wanted = self.settings.sensitivity
        return self.detector.level if wanted is None else levels_of(self.detector).get(wanted, self.detector.level)

    def remarks(self) -> list[str]:
        """What cannot be done as the settings say, one sentence each."""
        wanted = self.settings.sensitivity
        if wanted is None or levels_of(self.detector):
            return []
        return [
            f"{self.detector.name} has one level, {self.detector.level:g}, for every sensitivity: `{wanted}` changes "
            "nothing. Calibrate the model (redust calibrate), or give a level."
        ]

    def read(self, source: Path) -> Scan:
        """Read a scan as the settings say.

        Raises
        ------
        ScanError
            If it cannot be used.
        """
        settings = self.settings
        return read_scan(source, page=settings.page - 1, max_megapixels=settings.max_megapixels)

    def detect(self, scan: Scan, *, progress: Callable[[float], None] | None = None) -> DamageMap:
        """Say how likely each pixel is damaged: slow, worth keeping.

        Parameters
        ----------
        progress
            Called with the share done, 0..1.

        Returns
        -------
        damage : (H, W) float32 in 0..1

        Raises
        ------
        EngineError
            If the detector fails or breaks its contract.
        """
        return find_damage(self.detector, scan.pixels, tile=self.settings.tile, progress=progress)

    def decide(self, damage: DamageMap, scan: Scan, areas: Areas | None = None) -> Mask:
        """Decide which pixels to repair: quick enough for a slider.

        Parameters
        ----------
        damage : (H, W) float32 in 0..1
        areas
            What a person has decided; taken at its word.

        Returns
        -------
        mask : (H, W) bool
        """
        decision = self._decision(damage, scan, areas or Areas())
        for remark in self._remarks_on(decision):
            _LOG.warning(remark)
        return decision.mask

    def _decision(self, damage: DamageMap, scan: Scan, areas: Areas) -> Decision:
        settings = self.settings
        decision = judge(
            damage,
            self.level,
            grow=settings.grow,
            min_size=settings.min_size,
            max_size=settings.max_size,
            polarity=settings.polarity,
            max_tile_coverage=settings.max_tile_coverage,
            pixels=scan.pixels,
            protect=areas.protect,
        )
        return replace(decision, mask=areas.apply(decision.mask))

    def _remarks_on(self, decision: Decision) -> list[str]:
        """What the user should know of a decision, one sentence each."""
        return [said] if (said := decision.spared.sentence(self.settings.max_tile_coverage)) else []

    def mark(self, scan: Scan, areas: Areas | None = None) -> Mask:
        """Detect and decide in one call, or obey the person who has marked it all: (H, W) bool."""
        areas = areas or Areas()
        if areas.only is not None:
            return areas.apply(areas.only)
        for remark in self.remarks():
            _LOG.warning(remark)
        return self.decide(self.detect(scan), scan, areas)

    def repair(self, scan: Scan, mask: Mask, *, progress: Callable[[float], None] | None = None) -> Scan:
        """Fill the masked pixels; every other pixel stays bit-identical.

        Parameters
        ----------
        mask : (H, W) bool
        progress
            Called with the share done, 0..1.

        Raises
        ------
        EngineError
            If the fill fails or breaks its contract.
        MaskMismatch
            If the mask leaves nothing to fill from.
        """
        filled = fill_damage(self.inpainter, scan.pixels, mask, threads=self.settings.threads, progress=progress)
        return scan.with_pixels(filled)

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
        progress: Progress | None = None,
    ) -> Report:
        """Read, detect, decide, repair, write.

        Parameters
        ----------
        source
            The scan's file. It is never changed.
        target
            The restored scan's file; without one nothing is repaired.
        mask, add_mask, not_mask
            What a person has decided: the whole mask (nothing is detected then), areas to add, areas to
            protect; files of the scan's size (non-zero = True) or (H, W) bool.
        mask_out, map_out, compare
            Where to write the mask, the damage map, and the picture before / mask / after.
        progress
            Called with the step's name and the share of it that is done, 0..1.

        Returns
        -------
        report : Report

        Raises
        ------
        ScanError, TargetError, EngineError, ModelError, SettingsError
            See :mod:`redust.core.errors`. Nothing is written half, and `source` is as it was.
        """
        job = Job(
            Path(source), as_path(target), as_path(mask), as_path(add_mask), as_path(not_mask),
            as_path(mask_out), as_path(map_out), as_path(compare),
        )  # fmt: skip
        return self.run(job, progress=progress)

    def run(self, job: Job, *, progress: Progress | None = None) -> Report:
        """Do what a job says: :meth:`restore` with its arguments in one hand."""
        journal = Journal(str(job.source), self.settings, progress)
        with journal.step("read"):
            scan, areas = self._read(job)
        journal.saw_scan(scan)
        mask = self._mask(job, scan, areas, journal)
        journal.saw_mask(mask)
        if job.mask_out is not None:
            with journal.step("write"):
                write_mask(mask, job.mask_out, overwrite=self.settings.overwrite)
            journal.note(mask_file=str(job.mask_out))
        if job.target is None and job.compare is None:
            return journal.report("detected")
        restored, picture = self._repaired(job, scan, mask, journal)
        del scan  # one scan's pixels less while the file is encoded
        self._write(job, restored, picture, mask, journal)
        if job.target is None:
            return journal.report("detected")
        return journal.report("restored" if areas.only is None else "repaired")

    def _read(self, job: Job) -> tuple[Scan, Areas]:
        scan = self.read(job.source)
        prepare_outputs(job, scan, self.settings)
        return scan, Areas.read(scan.shape, only=job.mask, add=job.add_mask, protect=job.not_mask)

    def _mask(self, job: Job, scan: Scan, areas: Areas, journal: Journal) -> Mask:
        if areas.only is not None:
            journal.note(detector=given.NAME)
            mask = areas.apply(areas.only)
            if job.map_out is not None:
                self._write_map(given.as_damage(mask), job.map_out, journal)
            return mask
        with journal.step("detect") as tell:
            damage = self.detect(scan, progress=tell)
        journal.used("detector", self.detector)
        journal.cut_at(self.level)
        for remark in self.remarks():
            journal.warn(remark)
        if job.map_out is not None:
            self._write_map(damage, job.map_out, journal)
        with journal.step("decide"):
            decision = self._decision(damage, scan, areas)
        for remark in self._remarks_on(decision):
            journal.warn(remark)
        return decision.mask

    def _write_map(self, damage: DamageMap, path: Path, journal: Journal) -> None:
        with journal.step("write"):
            write_map(damage, path, overwrite=self.settings.overwrite)
        journal.note(map_file=str(path))

    def _repaired(self, job: Job, scan: Scan, mask: Mask, journal: Journal) -> tuple[Scan, Scan | None]:
        with journal.step("fill") as tell:
            restored = self.repair(scan, mask, progress=tell)
        journal.used("fill", self.inpainter)
        if job.compare is None:
            return restored, None
        with journal.step("compare"):
            return restored, comparison(scan, mask, restored)

    def _write(self, job: Job, restored: Scan, picture: Scan | None, mask: Mask, journal: Journal) -> None:
        """The restored scan comes last: where it is, everything else is."""
        settings = self.settings
        with journal.step("write"):
            if picture is not None and job.compare is not None:
                write_scan(picture, job.compare, overwrite=settings.overwrite)
                journal.note(compare_file=str(job.compare))
            if job.target is None:
                return
            write_scan(restored, job.target, overwrite=settings.overwrite, allow_loss=settings.allow_loss)
        change = change_outside(job.target, restored, mask)
        journal.note(target=str(job.target), largest_change_outside=change)
        if change:
            journal.warn(
                f"The target's format is lossy: outside the mask samples changed by up to {change:g}. "
                "Write TIFF or PNG to keep them as they are."
            )
