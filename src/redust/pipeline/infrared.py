"""Infrared and the detector's damage map, joined: what infrared proves is damage, what it denies is spared.

Infrared denies a mark where it shows nothing at all within reach: neither dust, which is dark in it, nor scratched
emulsion, which is often brighter than the film. Scratches through the whole frame stay whatever it shows: a shallow one
takes dye away and leaves the film as clear to infrared as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.errors import ScanError
from redust.core.report import InfraredReport
from redust.core.scan import Scan
from redust.core.settings import DetectSettings, Sensitivity
from redust.core.tiles import tiles, window
from redust.decision.regions import Regions
from redust.detectors.frame_scratches import Line, pixels_of_line
from redust.detectors.infrared import InfraredDetector
from redust.detectors.infrared_evidence import InfraredEvidence, measure_infrared
from redust.detectors.run_detector import ReadChannel, iter_damage_tiles
from redust.files.infrared import AUTO, CHANNEL, OFF, find_infrared
from redust.inpainters.infrared_division import InfraredDust, divide_dust
from redust.pipeline.engines import log_warnings
from redust.pipeline.report_builder import ReportBuilder

_SILENT, _PROVEN, _DENIED = 0, 1, 2
_REACH = 5  # pixels: evidence as far from a mark confirms it
_CONFIRMING = 0.55  # of the threshold that proves damage
_SIDE = 1024  # pixels: of a window; it does not change the answer


@dataclass(frozen=True, eq=False)
class InfraredView:
    """What infrared says of one scan; nothing where it has none or it is left out.

    Parameters
    ----------
    evidence
        What was measured; its refusal says why the plane is left out, if it is.
    verdict : (H, W) uint8, optional
        0 nothing, 1 damage is proven, 2 damage is denied; None where the detector goes by infrared itself.
    """

    evidence: InfraredEvidence | None = None
    verdict: NDArray[np.uint8] | None = None

    @property
    def channel(self) -> ReadChannel | None:
        """Reads the evidence for a detector that takes infrared."""
        return None if self.evidence is None else self.evidence.channel

    @property
    def warnings(self) -> list[str]:
        """Why the plane is left out, if it is."""
        return [self.evidence.refusal] if self.evidence is not None and self.evidence.refusal else []

    def spare_lines(self, lines: Sequence[Line]) -> None:
        """Do not deny what lies on lines through the whole frame."""
        if self.verdict is None:
            return
        for line in lines:
            rows, columns = pixels_of_line(line, (self.verdict.shape[0], self.verdict.shape[1]))
            values = self.verdict[rows, columns]
            self.verdict[rows, columns] = np.where(values == _DENIED, np.uint8(_SILENT), values)

    def join_map(self, damage: DamageMap) -> DamageMap:
        """A damage map (H, W), 1 where infrared proves damage and 0 where it denies it, in place."""
        if self.verdict is not None:
            damage[self.verdict == _PROVEN] = 1
            damage[self.verdict == _DENIED] = 0
        return damage

    def join_mask(self, candidates: Mask) -> Mask:
        """Candidates (H, W) without those denied and with all that is proven."""
        if self.verdict is None:
            return candidates
        return np.asarray((self.verdict == _PROVEN) | (candidates & (self.verdict != _DENIED)))

    def divide_dust(self, pixels: Pixels, filled: Pixels, mask: Mask) -> None:
        """Improve a fill by what translucent dust shows, in place; see :mod:`redust.inpainters.infrared_division`."""
        evidence = self.evidence
        if evidence is not None and not evidence.refusal:
            dust = InfraredDust(evidence.deviation, evidence.threshold, evidence.noise)
            divide_dust(pixels, filled, mask, dust)

    def record(self, report: ReportBuilder, candidates: Mask) -> None:
        """Report what the detector marks, (H, W) bool, and what infrared says of it."""
        if self.evidence is None:
            return
        facts = InfraredReport(
            source=self.evidence.source,
            used=not self.evidence.refusal,
            crosstalk=round(self.evidence.crosstalk, 4),
            noise=round(self.evidence.noise, 5),
            threshold=self.evidence.threshold,
            shift=(round(self.evidence.shift[0], 2), round(self.evidence.shift[1], 2)),
            **_count_regions(self.verdict, candidates),
        )
        report.set(infrared=facts)
        report.add_warnings(self.warnings, logged=True)


def _count_regions(verdict: NDArray[np.uint8] | None, candidates: Mask) -> dict[str, int]:
    """Regions that infrared proves, that the detector marks, and those of the latter that are denied as a whole."""
    detected = Regions(candidates)
    if verdict is None:
        return {"detector_regions": detected.count}
    sound = np.ones(detected.count + 1, np.bool_)
    for rows, labels in detected.bands():
        sound[labels[verdict[rows] != _DENIED]] = False
    return {
        "regions": Regions(verdict == _PROVEN).count,
        "detector_regions": detected.count,
        "spared_regions": int(np.count_nonzero(sound[1:])),
    }


class InfraredJudge:
    """Measures the infrared plane of scans, and keeps what it says as long as the scan itself is kept."""

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self._evidence: WeakKeyDictionary[Scan, InfraredEvidence | None] = WeakKeyDictionary()
        self._verdicts: WeakKeyDictionary[Scan, NDArray[np.uint8]] = WeakKeyDictionary()

    def view(self, scan: Scan, *, judge: bool = True) -> InfraredView:
        """What infrared says of a scan.

        Parameters
        ----------
        judge
            Whether it proves and denies; a detector that goes by infrared itself only reads it.

        Raises
        ------
        ScanError
            If the plane that the settings name is not there, or does not show the same area.
        """
        if scan not in self._evidence:
            self._evidence[scan] = read_evidence(scan, self._settings)
            log_warnings(InfraredView(self._evidence[scan]).warnings)
        evidence = self._evidence[scan]
        if evidence is None or evidence.refusal or not judge:
            return InfraredView(evidence)
        if scan not in self._verdicts:
            self._verdicts[scan] = judge_pixels(scan, evidence, self._settings.sensitivity)
        return InfraredView(evidence, self._verdicts[scan])


def read_evidence(scan: Scan, settings: DetectSettings) -> InfraredEvidence | None:
    """Find and measure the infrared plane of a scan; None if there is none or it is to be left out.

    Raises
    ------
    ScanError
        If the plane that was named is not there, or does not show the same area.
    """
    infrared = find_infrared(scan, settings.infrared, max_megapixels=settings.max_megapixels)
    if infrared is None:
        return None
    evidence = measure_infrared(scan.pixels, infrared)
    if evidence.misfit and settings.infrared not in (AUTO, CHANNEL, OFF):
        raise ScanError(evidence.refusal)
    return evidence


def judge_pixels(scan: Scan, evidence: InfraredEvidence, sensitivity: Sensitivity | None = None) -> NDArray[np.uint8]:
    """Whether infrared proves damage, denies it, or neither: (H, W) uint8 as :class:`InfraredView` has it."""
    detector = InfraredDetector()
    level = np.float32(detector.spec.level_for(sensitivity))
    verdict = np.empty(scan.shape, np.uint8)
    _mark_denied(evidence, verdict)
    one_channel = scan.pixels[..., :1]  # it goes by infrared alone
    for rectangle, damage in iter_damage_tiles(detector, one_channel, infrared=evidence.channel):
        verdict[rectangle][damage >= level] = _PROVEN
    return verdict


def _mark_denied(evidence: InfraredEvidence, verdict: NDArray[np.uint8]) -> None:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _REACH + 1, 2 * _REACH + 1))
    confirming = np.float16(_CONFIRMING * evidence.threshold)
    for tile in tiles(verdict.shape, _SIDE, halo=_REACH):
        deviation = np.abs(window(evidence.deviation, tile))
        confirmed = ~(deviation < confirming)  # where nothing is known, too
        widened = cv2.dilate(confirmed.view(np.uint8), disc)[tile.core_in_window]
        verdict[tile.core] = np.where(widened, np.uint8(_SILENT), np.uint8(_DENIED))
