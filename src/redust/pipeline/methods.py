"""The two methods of restoring a scan, with the same verbs.

``MaskMethod``: a detector's damage map becomes a mask, an inpainter fills it. ``GeneratorMethod``: a generator restores
the whole scan; its change of light is the damage map, and the masked pixels are taken from its answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from redust.core.arrays import DamageMap, Mask
from redust.core.composite import composite
from redust.core.engines import Detector, DetectorSpec, EngineSpec, MapSpec
from redust.core.logits import log_odds
from redust.core.scan import Scan
from redust.core.settings import Provider, RestoreSettings, Weights
from redust.core.tiles import Rectangle
from redust.decision.filters import MaskDecision, filter_components
from redust.decision.guard import GuardResult
from redust.decision.region_classifier import RegionThreshold, threshold_of
from redust.decision.threshold import Threshold, adapt_posteriors
from redust.detectors.choose_view import choose_view, describe_view
from redust.detectors.frame_scratches import find_frame_scratches, mark_lines
from redust.detectors.run_detector import iter_damage_tiles, join_tiles
from redust.generators.run_generator import run_generator
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline.areas import Areas
from redust.pipeline.engines import Engines
from redust.pipeline.report_builder import ReportBuilder

ProgressCallback: TypeAlias = Callable[[float], None] | None

_MIN_GENERATED_SIZE = 2  # pixels: a single pixel that a generator changed is no damage


@dataclass(frozen=True, eq=False)
class Detection:
    """The damage of a scan before it is filtered.

    Parameters
    ----------
    candidates : (H, W) bool
        The thresholded damage map.
    level
        Where it was thresholded, 0..1.
    damage : (H, W) float32 in 0..1, optional
        The map, where it was to be kept.
    restored
        A generator's raw answer.
    """

    candidates: Mask
    level: float
    damage: DamageMap | None = None
    restored: Scan | None = None


class RestorationMethod(ABC):
    """What both methods share: the settings, the engines, and the decision."""

    min_region = 1  # pixels

    def __init__(self, settings: RestoreSettings, engines: Engines) -> None:
        self.settings = settings
        self.engines = engines

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
        settings = self.settings
        decision = filter_components(
            candidates,
            grow=settings.grow,
            min_size=max(settings.min_size, self.min_region),
            max_size=settings.max_size,
            polarity=settings.polarity,
            only=settings.only,
            skip=settings.skip,
            max_tile_coverage=settings.max_tile_coverage,
            scene_guard=settings.guard,
            pixels=scan.pixels,
            protect=areas.protect,
        )
        return replace(decision, mask=areas.apply(decision.mask), ungrown=areas.apply(decision.ungrown))

    def choose_detector(self, scan: Scan) -> Detector:
        """The detector with the blur and test-time augmentation that this scan gets."""
        settings = self.settings
        return choose_view(self.engines.detector, scan.pixels, blur=settings.blur, tta=settings.tta)

    def damage_tiles(
        self, scan: Scan, detector: Detector, progress: ProgressCallback
    ) -> Iterator[tuple[Rectangle, DamageMap]]:
        """The detector's damage map tile by tile, with the scratches that only the whole scan shows."""
        lines = find_frame_scratches(scan.pixels) if self.settings.frame_scratches else []
        tiles = iter_damage_tiles(detector, scan.pixels, tile=self.settings.tile, progress=progress)
        return mark_lines(tiles, lines, scan.shape)


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
        return join_tiles(self.damage_tiles(scan, self.choose_detector(scan), progress), scan.pixels)

    def detect_candidates(
        self,
        scan: Scan,
        *,
        damaged: Mask | None = None,  # noqa: ARG002  # a detector takes no mask
        keep_map: bool = False,
        report: ReportBuilder | None = None,
        progress: ProgressCallback = None,
    ) -> Detection:
        detector, threshold = self.choose_detector(scan), self.threshold
        if report is not None:
            sigma, computing = describe_view(detector)
            report.set(blurred_by=sigma)
            report.record_weights(computing.spec)
            report.record_engine("detector", self.engines.detector.spec)
            if isinstance(threshold, RegionThreshold):
                report.record_hashes(threshold.classifier.sha256)
        tiles = self.damage_tiles(scan, detector, progress)
        if not keep_map:
            return Detection(*threshold.apply_to_tiles(tiles, scan.pixels))
        damage = join_tiles(tiles, scan.pixels)
        return Detection(*threshold.apply(damage, scan.pixels), damage)

    def repair(self, scan: Scan, mask: Mask, restored: Scan | None, progress: ProgressCallback = None) -> Scan:  # noqa: ARG002
        settings = self.settings
        filled = fill_damage(
            self.engines.inpainter, scan.pixels, mask, recover=settings.recover_translucent,
            grain=settings.grain, threads=settings.threads, progress=progress,
        )  # fmt: skip
        return scan.with_pixels(filled)

    def record_repair(self, report: ReportBuilder) -> None:
        report.record_fill(self.engines.inpainter.spec)

    @property
    def fills_by_network(self) -> bool:
        return bool(self.engines.inpainter.spec.sha256)


class GeneratorMethod(RestorationMethod):
    """Restore blindly, decide by how much light changed, take the masked pixels."""

    min_region = _MIN_GENERATED_SIZE

    @property
    def map_source(self) -> MapSpec:
        return self.engines.generator.spec

    def load_engines(self, *, detects: bool = True, fills: bool = True) -> None:  # noqa: ARG002  # both need all
        _ = self._specs

    @property
    def _specs(self) -> dict[str, EngineSpec]:
        """The specs by their role in reports: the generator's, and that of the detector it needs."""
        generator = self.engines.generator.spec
        attention = {"detector": self.engines.detector.spec} if generator.needs.attention else {}
        return {**attention, "generator": generator}

    def calibrated_specs(self) -> list[MapSpec]:
        return [spec for spec in self._specs.values() if isinstance(spec, MapSpec)]

    def predict_map(self, scan: Scan, progress: ProgressCallback = None) -> DamageMap:
        return self.generate(scan, progress=progress)[1]

    def detect_candidates(
        self,
        scan: Scan,
        *,
        damaged: Mask | None = None,
        keep_map: bool = False,
        report: ReportBuilder | None = None,
        progress: ProgressCallback = None,
    ) -> Detection:
        restored, change = self.generate(scan, damaged=damaged, progress=progress)
        if report is not None:
            self._record_engines(report)
        candidates, level = self.threshold.apply(change, scan.pixels)
        return Detection(candidates, level, change if keep_map else None, restored)

    def generate(
        self, scan: Scan, *, damaged: Mask | None = None, progress: ProgressCallback = None
    ) -> tuple[Scan, DamageMap]:
        """The generator's raw answer, and by how much light it differs from the scan.

        Parameters
        ----------
        damaged : (H, W) bool
            What a person has marked; it is certain damage in the map that a generator takes as attention.
        progress
            Called with the share done, 0..1.

        Raises
        ------
        EngineError
            If the generator fails or breaks its contract.
        """
        attention = None
        if self.engines.generator.spec.needs.attention:
            detecting, progress = _split_progress(progress)
            attention = self._predict_attention(scan, detecting)
            if damaged is not None:
                attention[damaged] = 1.0
        restored, change = run_generator(
            self.engines.generator, scan.pixels, damage=attention, tile=self.settings.tile, progress=progress
        )
        return scan.with_pixels(restored), change

    def _predict_attention(self, scan: Scan, progress: ProgressCallback) -> DamageMap:
        """The damage map that a generator takes: adapted to the scan, its logits moved by the sensitivity."""
        spec = self.engines.detector.spec
        level = spec.level_for(self.settings.sensitivity)
        bias = log_odds(spec.level) - log_odds(level) + self.engines.generator.spec.needs.attention_shift
        tiles = self.damage_tiles(scan, self.choose_detector(scan), progress)
        return adapt_posteriors(spec.prior_shift, join_tiles(tiles, scan.pixels), scan.pixels, bias)

    def decide(self, candidates: Mask, scan: Scan, areas: Areas) -> MaskDecision:
        if self.settings.everywhere:
            everything = np.ones(candidates.shape, np.bool_)
            return MaskDecision(areas.apply(everything), areas.apply(candidates), GuardResult())
        return super().decide(candidates, scan, areas)

    def repair(self, scan: Scan, mask: Mask, restored: Scan | None, progress: ProgressCallback = None) -> Scan:
        if restored is None:
            restored, _ = self.generate(scan, damaged=None if self.settings.everywhere else mask, progress=progress)
        pixels = scan.pixels.copy()
        composite(pixels, restored.pixels, mask)
        return scan.with_pixels(pixels)

    def record_repair(self, report: ReportBuilder) -> None:
        self._record_engines(report)

    def _record_engines(self, report: ReportBuilder) -> None:
        for role, spec in self._specs.items():
            report.record_engine(role, spec)


def _follows_sensitivity(spec: MapSpec) -> bool:
    return bool(spec.levels) or (isinstance(spec, DetectorSpec) and spec.regions is not None)


def _split_progress(progress: ProgressCallback) -> tuple[ProgressCallback, ProgressCallback]:
    """One callback for the first half of a step, one for the second."""
    if progress is None:
        return None, None
    return lambda share: progress(share / 2), lambda share: progress(0.5 + share / 2)
