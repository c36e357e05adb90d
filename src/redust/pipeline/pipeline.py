"""The story of ReDust: one scan from file to file.

::

    detect(scan)               -> DamageMap   how likely each pixel is damaged
    decide(damage, scan)       -> Mask        which pixels to repair
    repair(scan, mask)         -> Scan        those pixels filled, all others untouched
    restore(source, target)    -> Report      read, detect, decide, repair, write

With the method ``blind`` a generator restores the whole scan. The damage map is then by how much it changed the light,
and `repair` takes the masked pixels from its answer: the story is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from redust.core.arrays import DamageMap, Mask
from redust.core.composite import composite
from redust.core.engines import Detector, Generator, Inpainter, levels_of
from redust.core.logits import log_odds, prior_shift_of, quantise_logits
from redust.core.prior_shift import PriorShift
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import Method, Provider, RestoreSettings, Weights
from redust.decision.filters import MaskDecision, filter_components, threshold_at
from redust.decision.guard import GuardResult
from redust.decision.shape_classes import count_classes
from redust.decision.threshold import adapt_posteriors, threshold_bins, threshold_map
from redust.detectors import given, make_detector
from redust.detectors.choose_view import choose_view, describe_view
from redust.detectors.frame_scratches import find_frame_scratches
from redust.detectors.line_marks import Line, mark_lines
from redust.detectors.run_detector import detect_damage, iter_damage_tiles
from redust.files import read_scan, write_map, write_mask, write_scan
from redust.generators import make_generator
from redust.generators.run_generator import run_generator
from redust.inpainters import make_inpainter
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline.areas import Areas
from redust.pipeline.compare import draw_comparison
from redust.pipeline.job import Job, as_path
from redust.pipeline.outputs import change_outside, prepare_outputs
from redust.pipeline.report_builder import Progress, ReportBuilder

_LOG = logging.getLogger(__name__)
E = TypeVar("E")
Told = Callable[[float], None] | None
_LEAST_CHANGE = 2  # pixels: a single pixel that a generator changed is no damage


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
        self._detector = detector
        self._inpainter = inpainter
        self._generator = generator

    @cached_property
    def detector(self) -> Detector:
        """How damage is found. A scan is seen in its own way (:mod:`redust.detectors.choose_view`)."""
        return _told(self._detector or make_detector(self.settings.detector, **self._how))

    @cached_property
    def inpainter(self) -> Inpainter:
        """How damage is filled."""
        return self._inpainter or make_inpainter(self.settings.fill, radius=self.settings.fill_radius)

    @cached_property
    def generator(self) -> Generator:
        """What restores with the method ``blind``."""
        return _told(self._generator or make_generator(self.settings.generator, **self._how))

    @property
    def generators(self) -> tuple[Generator, Detector | None]:
        """What the method ``blind`` takes: the generator, and the detector whose map it wants, if it does."""
        return self.generator, self.detector if self.generator.needs.attention else None

    @property
    def _how(self) -> dict[str, Any]:
        """How networks are run."""
        settings = self.settings
        return {"threads": settings.threads, "provider": settings.provider, "weights": settings.weights}

    @property
    def blind(self) -> bool:
        """Whether a generator restores, and not a detector and a fill."""
        return self.settings.method is Method.generator

    @property
    def finder(self) -> Detector | Generator:
        """What the damage map comes from."""
        return self.generator if self.blind else self.detector

    @property
    def level(self) -> float:
        """Where the damage map is cut: the user's level, the engine's for the sensitivity, or its own.

        The engine's may follow the scan (:attr:`prior_shift`); the user's is taken to the letter.
        """
        if self.settings.level is not None:
            return self.settings.level
        return self._level_of(self.finder)

    def _level_of(self, engine: Detector | Generator) -> float:
        """An engine's level for the sensitivity, or its own where it has none of them."""
        wanted = self.settings.sensitivity
        return engine.level if wanted is None else levels_of(engine).get(wanted, engine.level)

    @property
    def prior_shift(self) -> PriorShift | None:
        """How the level follows the scan; None where it does not."""
        return None if self.settings.level is not None else prior_shift_of(self.finder)

    def remarks(self) -> list[str]:
        """What cannot be done as the settings say, one sentence each."""
        settings, finder = self.settings, self.finder
        said = []
        if settings.sensitivity is not None and not any(levels_of(one) for one in self._steered()):
            said.append(
                f"{finder.name} has one level, {finder.level:g}, for every sensitivity: `{settings.sensitivity}` "
                "changes nothing. Calibrate the model (redust calibrate), or give a level."
            )
        if settings.provider is not Provider.cpu and not hasattr(finder, "provider"):
            said.append(f"{finder.name} runs on the CPU only, not on {settings.provider}. Leave --provider out.")
        if settings.weights is not Weights.auto and not hasattr(finder, "kind"):
            said.append(f"{finder.name} has no weights to choose `{settings.weights}` of. Leave --weights out.")
        return said

    def _steered(self) -> list[Detector | Generator]:
        """What a sensitivity has a say in."""
        if not self.blind:
            return [self.detector]
        return [one for one in self.generators if one is not None]

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
            With the method ``blind``: by how much light the generator's answer differs.

        Raises
        ------
        EngineError
            If the detector fails or breaks its contract.
        """
        if self.blind:
            return self.generate(scan, progress=progress)[1]
        return self._damage(scan, self._seeing(scan), progress)

    def _seeing(self, scan: Scan) -> Detector:
        """The detector as it is to see this scan."""
        return choose_view(self.detector, scan.pixels, blur=self.settings.blur, tta=self.settings.tta)

    def _damage(self, scan: Scan, detector: Detector, progress: Told) -> DamageMap:
        """The map of the detector that sees the scan in its way."""
        lines = self._lines(scan)
        damage = detect_damage(detector, scan.pixels, tile=self.settings.tile, progress=progress)
        mark_lines(damage, lines)
        return damage

    def generate(
        self, scan: Scan, *, known: Mask | None = None, progress: Callable[[float], None] | None = None
    ) -> tuple[Scan, DamageMap]:
        """Let the generator restore the scan: its raw answer, and by how much light it differs from the scan.

        Parameters
        ----------
        known : (H, W) bool
            What a person says is damaged; a generator that is told a damage map is told that for certain.
        progress
            Called with the share done, 0..1.

        Raises
        ------
        EngineError
            If the generator fails or breaks its contract.
        """
        (generator, detector), damage = self.generators, None
        if detector is not None:
            first, progress = _halves(progress)
            damage = self._attention(scan, detector, first)
            if known is not None:
                damage[known] = 1.0
        made, change = run_generator(generator, scan.pixels, damage=damage, tile=self.settings.tile, progress=progress)
        return scan.with_pixels(made), change

    def _attention(self, scan: Scan, detector: Detector, progress: Told) -> DamageMap:
        """The map that a generator is told.

        What is damage on a dirty scan is none on a clean one; and what the detector would cut at the level of the
        sensitivity stands where its usual level is.
        """
        more = log_odds(detector.level) - log_odds(self._level_of(detector)) + self.generator.needs.attention_shift
        return adapt_posteriors(
            prior_shift_of(detector), self._damage(scan, self._seeing(scan), progress), scan.pixels, more
        )

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
        return self._logged(self._decision(self._cut(damage, scan)[0], scan, areas or Areas()))

    def _cut(self, damage: DamageMap, scan: Scan) -> tuple[Mask, float]:
        """A whole map cut at the level, and the level that this came to."""
        return threshold_map(self.prior_shift, damage, scan.pixels, self.level)

    def _logged(self, decision: MaskDecision) -> Mask:
        """Log what the user should know of a decision."""
        for remark in self._remarks_on(decision):
            _LOG.warning(remark)
        return decision.mask

    def _found(self, scan: Scan, detector: Detector, progress: Told = None) -> tuple[Mask, float]:
        """The same map, cut at the level, and that level. One byte per pixel is held."""
        lines, prior_shift = self._lines(scan), self.prior_shift
        kept = np.empty(scan.shape, np.uint8)
        for place, damage in iter_damage_tiles(detector, scan.pixels, tile=self.settings.tile, progress=progress):
            kept[place] = threshold_at(damage, self.level) if prior_shift is None else quantise_logits(damage)
        if prior_shift is None:
            mask = kept.view(np.bool_)  # the same bytes
            mark_lines(mask, lines)
            return mask, self.level
        mark_lines(kept, lines)
        return threshold_bins(prior_shift, kept, scan.pixels, self.level)

    def _lines(self, scan: Scan) -> list[Line]:
        """The lines that only the whole scan shows, as far as they are asked for."""
        return find_frame_scratches(scan.pixels) if self.settings.frame_scratches else []

    def _decision(self, found: Mask, scan: Scan, areas: Areas) -> MaskDecision:
        settings = self.settings
        if settings.everywhere:
            return MaskDecision(areas.apply(np.ones(found.shape, np.bool_)), found, GuardResult())
        decision = filter_components(
            found,
            grow=settings.grow,
            min_size=max(settings.min_size, _LEAST_CHANGE if self.blind else 1),
            max_size=settings.max_size,
            polarity=settings.polarity,
            only=settings.only,
            skip=settings.skip,
            max_tile_coverage=settings.max_tile_coverage,
            pixels=scan.pixels,
            protect=areas.protect,
        )
        return replace(decision, mask=areas.apply(decision.mask))

    def _remarks_on(self, decision: MaskDecision) -> list[str]:
        """What the user should know of a decision, one sentence each."""
        return [said] if (said := decision.spared.sentence(self.settings.max_tile_coverage)) else []

    def mark(self, scan: Scan, areas: Areas | None = None) -> Mask:
        """Detect and decide in one call, or obey the person who has marked it all: (H, W) bool.

        A detector's map is held as one byte per pixel: four less than the two steps take.
        """
        areas = areas or Areas()
        if areas.only is not None:
            return areas.apply(areas.only)
        for remark in self.remarks():
            _LOG.warning(remark)
        found, _ = self._cut(self.detect(scan), scan) if self.blind else self._found(scan, self._seeing(scan))
        return self._logged(self._decision(found, scan, areas))

    def mend(self, scan: Scan, areas: Areas | None = None) -> Scan:
        """Mark and repair in one call."""
        areas = areas or Areas()
        if not self.blind or areas.only is not None:
            return self.repair(scan, self.mark(scan, areas))
        for remark in self.remarks():
            _LOG.warning(remark)
        made, change = self.generate(scan, known=areas.add)
        return self.repair(scan, self.decide(change, scan, areas), made=made)

    def repair(
        self, scan: Scan, mask: Mask, *, made: Scan | None = None, progress: Callable[[float], None] | None = None
    ) -> Scan:
        """Fill the masked pixels; every other pixel stays bit-identical.

        Parameters
        ----------
        mask : (H, W) bool
        made
            With the method ``blind``: what :meth:`generate` has given, if it was asked before. If not, the mask counts
            as known damage.
        progress
            Called with the share done, 0..1.

        Raises
        ------
        EngineError
            If the fill fails or breaks its contract.
        MaskMismatch
            If the mask leaves nothing to fill from.
        """
        if self.blind:
            restored = scan.pixels.copy()
            known = None if self.settings.everywhere else mask
            composite(restored, (made or self.generate(scan, known=known, progress=progress)[0]).pixels, mask)
            return scan.with_pixels(restored)
        filled = fill_damage(
            self.inpainter, scan.pixels, mask, recover=self.settings.recover_translucent,
            grain=self.settings.grain, threads=self.settings.threads, progress=progress,
        )  # fmt: skip
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
        journal = ReportBuilder(str(job.source), self.settings, progress)
        with journal.step("read"):
            scan, areas = self._read(job)
        journal.saw_scan(scan)
        mask, made = self._mask(job, scan, areas, journal)
        given_whole = areas.only is not None
        del areas  # what a person has decided is in the mask
        journal.saw_mask(mask, wanted=self.settings.everywhere)
        if job.mask_out is not None:
            with journal.step("write"):
                write_mask(mask, job.mask_out, overwrite=self.settings.overwrite)
            journal.note(mask_file=str(job.mask_out))
        if job.target is None and job.compare is None:
            return journal.report("detected")
        restored, picture = self._repaired(job, scan, mask, made, journal)
        del scan, made  # less to hold while the file is encoded
        self._write(job, restored, picture, mask, journal)
        if job.target is None:
            return journal.report("detected")
        return journal.report("repaired" if given_whole else "restored")

    def _read(self, job: Job) -> tuple[Scan, Areas]:
        scan = self.read(job.source)
        prepare_outputs(job, scan, self.settings)
        return scan, Areas.read(scan.shape, only=job.mask, add=job.add_mask, protect=job.not_mask)

    def _mask(self, job: Job, scan: Scan, areas: Areas, journal: ReportBuilder) -> tuple[Mask, Scan | None]:
        """The mask, and what a generator has made on the way."""
        if areas.only is not None:
            journal.note(detector=given.NAME)
            mask = areas.apply(areas.only)
            journal.note(classes=count_classes(mask))
            if job.map_out is not None:
                self._write_map(given.mask_to_map(mask), job.map_out, journal)
            return mask, None
        (found, level), made = self._detected(job, scan, areas, journal)
        self._note_finders(journal)
        journal.cut_at(level)
        for remark in self.remarks():
            journal.warn(remark)
        for remark in getattr(self.finder, "remarks", ()):
            journal.keep(remark)
        with journal.step("decide"):
            decision = self._decision(found, scan, areas)
            journal.note(classes=count_classes(decision.found))
        for remark in self._remarks_on(decision):
            journal.warn(remark)
        return decision.mask, made

    def _detected(
        self, job: Job, scan: Scan, areas: Areas, journal: ReportBuilder
    ) -> tuple[tuple[Mask, float], Scan | None]:
        """The damage map, cut, with its level; and what a generator has made. A detector's map is held if written."""
        made = None
        with journal.step("detect") as tell:
            if self.blind:
                made, damage = self.generate(scan, known=areas.add, progress=tell)
            else:
                looking = self._seeing(scan)
                sigma, last = describe_view(looking)
                journal.note(blurred_by=sigma)
                journal.used_weights(last)
                if job.map_out is None:
                    return self._found(scan, looking, tell), None
                damage = self._damage(scan, looking, tell)
        if job.map_out is not None:
            self._write_map(damage, job.map_out, journal)
        return self._cut(damage, scan), made

    def _note_finders(self, journal: ReportBuilder) -> None:
        """Write down what the damage map came from."""
        if not self.blind:
            journal.used("detector", self.detector)
            return
        generator, detector = self.generators
        if detector is not None:
            journal.used("detector", detector)
        journal.used("generator", generator)

    def _write_map(self, damage: DamageMap, path: Path, journal: ReportBuilder) -> None:
        with journal.step("write"):
            write_map(damage, path, overwrite=self.settings.overwrite)
        journal.note(map_file=str(path))

    def _repaired(
        self, job: Job, scan: Scan, mask: Mask, made: Scan | None, journal: ReportBuilder
    ) -> tuple[Scan, Scan | None]:
        with journal.step("fill") as tell:
            restored = self.repair(scan, mask, made=made, progress=tell)
        if self.blind:
            self._note_finders(journal)
        else:
            journal.used("fill", self.inpainter)
        if job.compare is None:
            return restored, None
        with journal.step("compare"):
            return restored, draw_comparison(scan, mask, restored)

    def _write(self, job: Job, restored: Scan, picture: Scan | None, mask: Mask, journal: ReportBuilder) -> None:
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


def _halves(progress: Told) -> tuple[Told, Told]:
    """One callback for the first half of a step, one for the second."""
    if progress is None:
        return None, None
    return lambda share: progress(share / 2), lambda share: progress(0.5 + share / 2)


def _told(engine: E) -> E:
    """Log what an engine has to say of how it runs, once."""
    for remark in getattr(engine, "remarks", ()):
        _LOG.warning(remark)
    return engine
