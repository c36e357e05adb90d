"""Restoration by a generator, without a mask: its change of light is the damage map."""

from __future__ import annotations

import numpy as np

from redust.core.arrays import DamageMap, Mask
from redust.core.composite import composite
from redust.core.engines import EngineSpec, MapSpec
from redust.core.logits import log_odds
from redust.core.scan import Scan
from redust.decision.filters import MaskDecision
from redust.decision.guard import GuardResult
from redust.decision.threshold import adapt_posteriors
from redust.detectors.run_detector import join_tiles
from redust.generators.run_generator import run_generator
from redust.pipeline.areas import Areas
from redust.pipeline.detection import Detection, ProgressCallback, split_progress
from redust.pipeline.methods import RestorationMethod
from redust.pipeline.report_builder import ReportBuilder

_MIN_GENERATED_SIZE = 2  # pixels: a single pixel that a generator changed is no damage


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
        infrared = self.view_infrared(scan)
        candidates, level = self.threshold.apply(change, scan.pixels)
        if report is not None:
            self._record_engines(report)
            infrared.record(report, candidates)
        return Detection(infrared.join_mask(candidates), level, change if keep_map else None, restored)

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
            detecting, progress = split_progress(progress)
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
        infrared, scan = self.view_infrared(scan), self.as_positive(scan)
        level = spec.level_for(self.settings.sensitivity)
        bias = log_odds(spec.level) - log_odds(level) + self.engines.generator.spec.needs.attention_shift
        tiles = self.damage_tiles(scan, self.choose_detector(scan), infrared, progress)
        return infrared.join_map(adapt_posteriors(spec.prior_shift, join_tiles(tiles, scan.pixels), scan.pixels, bias))

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

    def record_detection(self, scan: Scan, report: ReportBuilder) -> None:  # noqa: ARG002  # the same for every scan
        self._record_engines(report)

    def record_repair(self, report: ReportBuilder) -> None:
        self._record_engines(report)

    def _record_engines(self, report: ReportBuilder) -> None:
        for role, spec in self._specs.items():
            report.record_engine(role, spec)
