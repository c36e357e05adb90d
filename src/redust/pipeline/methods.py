"""The methods of restoring a scan, with the same verbs.

``MaskMethod``: a detector's damage map becomes a mask, an inpainter fills it. The other one is in
:mod:`redust.pipeline.generator_method`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from redust.core.arrays import DamageMap, Mask
from redust.core.engines import Detector, DetectorSpec, MapSpec
from redust.core.scan import Scan
from redust.core.settings import Provider, RestoreSettings, Weights
from redust.core.tiles import Rectangle
from redust.decision.filters import MaskDecision, filter_components
from redust.decision.region_classifier import RegionThreshold, threshold_of
from redust.decision.regions import Regions
from redust.decision.threshold import Threshold
from redust.detectors.choose_view import choose_view, describe_view
from redust.detectors.film import choose_film, show_light
from redust.detectors.frame_scratches import find_frame_scratches, mark_lines
from redust.detectors.run_detector import iter_damage_tiles, join_tiles
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline.areas import Areas
from redust.pipeline.detection import Detection, ProgressCallback
from redust.pipeline.engines import Engines
from redust.pipeline.infrared import InfraredJudge, InfraredView
from redust.pipeline.report_builder import ReportBuilder


class RestorationMethod(ABC):
    """What both methods share: the settings, the engines, and the decision."""

    min_region = 1  # pixels

    def __init__(self, settings: RestoreSettings, engines: Engines) -> None:
        self.settings = settings
        self.engines = engines
        self._infrared = InfraredJudge(settings)

    @property
    @abstractmethod
    def map_source(self) -> MapSpec:
        """The spec of the engine that the damage map comes from."""

    @abstractmethod
    def load_engines(self, *, detects: bool = True, fills: bool = True) -> None:
        """Load the engines, those that detect and those that fill."""

    @abstractmethod
    def calibrated_specs(self) -> list[MapSpec]:
        """The specs of the engines that follow the sensitivity."""

    @abstractmethod
    def predict_map(self, scan: Scan, progress: ProgressCallback = None) -> DamageMap:
        """The damage map of a scan."""

    def threshold_map(self, damage: DamageMap, scan: Scan) -> Mask:
        """The candidates (H, W) bool of a damage map of a scan."""
        return self.threshold.apply(damage, scan.pixels)[0]

    @abstractmethod
    def detect_candidates(
        self,
        scan: Scan,
        *,
        damaged: Mask | None = None,
        keep_map: bool = False,
        report: ReportBuilder | None = None,
        progress: ProgressCallback = None,
    ) -> Detection:
        """Detect and threshold; `damaged` is what a person has marked, `report` gets the engines used."""

    @abstractmethod
    def record_detection(self, scan: Scan, report: ReportBuilder) -> None:
        """Report the engines that detected, where what they detected is known from before."""

    @abstractmethod
    def repair(self, scan: Scan, mask: Mask, restored: Scan | None, progress: ProgressCallback = None) -> Scan:
        """Replace the masked pixels; `restored` is a generator's answer that exists already."""

    @abstractmethod
    def record_repair(self, report: ReportBuilder) -> None:
        """Report the engines that repaired."""

    @property
    def fills_by_network(self) -> bool:
        """Whether a trained network makes the pixels that are filled."""
        return True

    @property
    def threshold(self) -> Threshold | RegionThreshold:
        """The user's level, or that of the engine, or of what judges its regions, for the sensitivity."""
        return threshold_of(self.map_source, self.settings.level, self.settings.sensitivity)

    def setting_warnings(self) -> list[str]:
        """Settings that the engines cannot follow, one sentence each."""
        settings, spec = self.settings, self.map_source
        warnings = []
        if settings.sensitivity is not None and not any(
            _follows_sensitivity(engine) for engine in self.calibrated_specs()
        ):
            warnings.append(
                f"{spec.name} has one level, {spec.level:g}, for every sensitivity: `{settings.sensitivity}` "
                "changes nothing. Calibrate the model (redust calibrate), or give a level."
            )
        if settings.provider is not Provider.cpu and spec.provider is None:
            warnings.append(f"{spec.name} runs on the CPU only, not on {settings.provider}. Leave --provider out.")
        if settings.weights is not Weights.auto and spec.weights is None:
            warnings.append(f"{spec.name} has no weights to choose `{settings.weights}` of. Leave --weights out.")
        return warnings

    def decide(self, candidates: Mask, scan: Scan, areas: Areas) -> MaskDecision:
        """Filter candidates into the mask, and apply what a person has decided."""
        decision = self._filter(candidates, scan, areas, self.settings.max_tile_coverage)
        return replace(decision, mask=areas.apply(decision.mask), ungrown=areas.apply(decision.ungrown))

    def add_marks(self, decision: MaskDecision, marks: Mask, scan: Scan, areas: Areas) -> tuple[MaskDecision, int]:
        """Add marks (H, W) that are known from other frames to a decision; what it marks already stays as it is.

        They are filtered as candidates are, but for the over-detection guard: they are no detector's opinion.

        Returns
        -------
        decision : MaskDecision
        count
            How many marks pass the filters.
        """
        added = self._filter(marks, scan, areas, max_tile_coverage=1.0)
        mask, ungrown = areas.apply(added.mask), areas.apply(added.ungrown)
        merged = replace(decision, mask=decision.mask | mask, ungrown=decision.ungrown | ungrown)
        return merged, Regions(added.ungrown).count

    def _filter(self, candidates: Mask, scan: Scan, areas: Areas, max_tile_coverage: float) -> MaskDecision:
        settings = self.settings
        return filter_components(
            candidates,
            grow=settings.grow,
            min_size=max(settings.min_size, self.min_region),
            max_size=settings.max_size,
            polarity=settings.polarity,
            only=settings.only,
            skip=settings.skip,
            max_tile_coverage=max_tile_coverage,
            scene_guard=settings.guard,
            pixels=scan.pixels,
            protect=areas.protect,
        )

    def as_positive(self, scan: Scan, report: ReportBuilder | None = None) -> Scan:
        """The scan as detectors get it, a negative as a positive; `report` gets which of them it is."""
        if self.map_source.needs.infrared:
            return scan  # densities of the film itself
        film = choose_film(scan.pixels, self.settings.film)
        if report is not None:
            report.set(film=film)
        return scan.with_pixels(show_light(scan.pixels, film, linear=scan.linear))

    def choose_detector(self, scan: Scan) -> Detector:
        """The detector with the blur and test-time augmentation that this scan gets."""
        settings = self.settings
        return choose_view(self.engines.detector, scan.pixels, blur=settings.blur, tta=settings.tta)

    def join_infrared(self, candidates: Mask, scan: Scan) -> Mask:
        """Candidates (H, W) with what the scan's infrared proves and without what it denies."""
        return self.view_infrared(scan).join_mask(candidates)

    def view_infrared(self, scan: Scan) -> InfraredView:
        """What the scan's infrared says; it proves and denies unless the detector goes by it itself."""
        return self._infrared.view(scan, judge=not self.map_source.needs.infrared)

    def damage_tiles(
        self, scan: Scan, detector: Detector, infrared: InfraredView, progress: ProgressCallback
    ) -> Iterator[tuple[Rectangle, DamageMap]]:
        """The detector's damage map tile by tile, with the scratches that only the whole scan shows."""
        goes_by_infrared = detector.spec.needs.infrared
        lines = find_frame_scratches(scan.pixels) if self.settings.frame_scratches and not goes_by_infrared else []
        infrared.spare_lines(lines)
        tiles = iter_damage_tiles(
            detector, scan.pixels, tile=self.settings.tile, progress=progress, infrared=infrared.channel
        )
        return mark_lines(_released_at_end(tiles, detector), lines, scan.shape)


def _released_at_end(
    tiles: Iterator[tuple[Rectangle, DamageMap]], detector: Detector
) -> Iterator[tuple[Rectangle, DamageMap]]:
    """Tiles of a damage map; after the last one the detector gives back memory, which judging and filling need."""
    yield from tiles
    detector.release_memory()


class MaskMethod(RestorationMethod):
    """Detect, decide, fill."""

    @property
    def map_source(self) -> MapSpec:
        return self.engines.detector.spec

    def load_engines(self, *, detects: bool = True, fills: bool = True) -> None:
        if detects:
            _ = self.engines.detector
        if fills:
            _ = self.engines.inpainter

    def calibrated_specs(self) -> list[MapSpec]:
        return [self.engines.detector.spec]

    def predict_map(self, scan: Scan, progress: ProgressCallback = None) -> DamageMap:
        infrared, scan = self.view_infrared(scan), self.as_positive(scan)
        tiles = self.damage_tiles(scan, self.choose_detector(scan), infrared, progress)
        return infrared.join_map(join_tiles(tiles, scan.pixels))

    def threshold_map(self, damage: DamageMap, scan: Scan) -> Mask:
        return super().threshold_map(damage, self.as_positive(scan))

    def detect_candidates(
        self,
        scan: Scan,
        *,
        damaged: Mask | None = None,  # noqa: ARG002  # a detector takes no mask
        keep_map: bool = False,
        report: ReportBuilder | None = None,
        progress: ProgressCallback = None,
    ) -> Detection:
        infrared, scan = self.view_infrared(scan), self.as_positive(scan, report)
        detector, threshold = self.choose_detector(scan), self.threshold
        if report is not None:
            self._record_detector(detector, report)
        tiles = self.damage_tiles(scan, detector, infrared, progress)
        damage = join_tiles(tiles, scan.pixels) if keep_map else None
        candidates, level = (
            threshold.apply_to_tiles(tiles, scan.pixels) if damage is None else threshold.apply(damage, scan.pixels)
        )
        if report is not None:
            infrared.record(report, candidates)
        return Detection(infrared.join_mask(candidates), level, None if damage is None else infrared.join_map(damage))

    def record_detection(self, scan: Scan, report: ReportBuilder) -> None:
        self._record_detector(self.choose_detector(self.as_positive(scan, report)), report)

    def _record_detector(self, detector: Detector, report: ReportBuilder) -> None:
        sigma, computing = describe_view(detector)
        report.set(blurred_by=sigma)
        report.record_weights(computing.spec)
        report.record_engine("detector", self.engines.detector.spec)
        threshold = self.threshold
        if isinstance(threshold, RegionThreshold):
            report.record_hashes(threshold.classifier.sha256)

    def repair(self, scan: Scan, mask: Mask, restored: Scan | None, progress: ProgressCallback = None) -> Scan:  # noqa: ARG002
        settings = self.settings
        filled = fill_damage(
            self.engines.inpainter, scan.pixels, mask, recover=settings.recover_translucent,
            grain=settings.grain, threads=settings.threads, progress=progress,
        )  # fmt: skip
        if settings.recover_translucent and mask.any():
            self._infrared.view(scan, judge=False).divide_dust(scan.pixels, filled, mask)
        return scan.with_pixels(filled)

    def record_repair(self, report: ReportBuilder) -> None:
        report.record_fill(self.engines.inpainter.spec)

    @property
    def fills_by_network(self) -> bool:
        return bool(self.engines.inpainter.spec.sha256)


def _follows_sensitivity(spec: MapSpec) -> bool:
    return bool(spec.levels) or (isinstance(spec, DetectorSpec) and spec.regions is not None)
