"""Choose how a detector views a scan: as it is or blurred, with or without test-time augmentation.

On soft, grainy scans a network trained on many sharp photos is more certain, and more often right, if they are blurred
a little; on sharp ones it is the other way round. Nothing that was measured on scans beforehand tells which they are;
the uncertainty of the damage map does (decision 36). So the detector runs on a few probe tiles of the scan both ways.

The probe tiles do not depend on the tile size, and they are few: one for each twelve megapixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from redust.core.arrays import DamageMap, Pixels, check_pixels
from redust.core.engines import Detector
from redust.core.tiles import Rectangle
from redust.detectors.run_detector import predict_patch
from redust.detectors.wrappers import BlurredDetector, DetectorWrapper, augment_detector, blur_detector

_SIDE = 512  # of a probe tile, in pixels
_PIXELS_PER_PROBE = 12_000_000
_ENOUGH = 1000.0  # expected damaged pixels: further probes would hardly change the choice
# Uncertainty of a typical scan, and the damaged pixels for which it counts: without damage nothing is decided.
_TYPICAL_UNCERTAINTY, _TYPICAL_WEIGHT = 0.3, 200.0
# Steps of a sequence that spreads points evenly, however many (R2: M. Roberts, The unreasonable effectiveness of
# quasirandom sequences, 2018).
_ROW_STEP, _COLUMN_STEP = 0.7548776662466927, 0.5698402909980532


@dataclass
class UncertaintyMeter:
    """Mean Bernoulli variance of a detector's probabilities, per expected damaged pixel.

    A pixel with probability p has the variance p (1 - p): 0 where the detector is certain either way. The sum of
    these is divided by the sum of p, the expected number of damaged pixels.
    """

    variance: float = _TYPICAL_UNCERTAINTY * _TYPICAL_WEIGHT
    expected: float = _TYPICAL_WEIGHT

    def add_map(self, damage: DamageMap) -> None:
        """Count a damage map (H, W) float32 in 0..1."""
        self.variance += float((damage * (1 - damage)).sum(dtype=float))
        self.expected += float(damage.sum(dtype=float))

    @property
    def ratio(self) -> float:
        """Variance per expected damaged pixel, 0..1."""
        return self.variance / self.expected


def choose_view(detector: Detector, pixels: Pixels, *, blur: float | None = None, tta: int = 1) -> Detector:
    """The detector with the blur and test-time augmentation that a scan gets.

    Parameters
    ----------
    detector
        Any.
    pixels : (H, W, C) uint8, uint16 or float32
        The scan.
    blur
        Sigma of the blur in pixels, 0 for none. Unless given, a detector with a pre-blur
        (:class:`redust.core.engines.PreBlur`) uses it where that lowers its uncertainty.
    tta
        Views of each tile; see :func:`redust.detectors.wrappers.augment_detector`.

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    SettingsError
        If `tta` is not 1, 2, 4 or 8.
    """
    sigma = choose_blur_sigma(detector, pixels) if blur is None else blur
    return augment_detector(blur_detector(detector, sigma), tta)


def describe_view(detector: Detector) -> tuple[float, Detector]:
    """How a detector from :func:`choose_view` views the scan.

    Returns
    -------
    sigma
        Of the blur in pixels; 0 for none.
    detector
        The one that computes in the end.
    """
    while isinstance(detector, DetectorWrapper):
        if isinstance(detector, BlurredDetector):
            return detector.sigma, detector.blurred_detector
        detector = detector.detector
    return 0.0, detector


def choose_blur_sigma(detector: Detector, pixels: Pixels) -> float:
    """The sigma of a detector's pre-blur if it lowers the uncertainty on a scan, else 0.

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    """
    check_pixels(pixels)
    pre_blur = detector.spec.pre_blur
    if pre_blur is None:
        return 0.0
    sharp, soft, blurred = UncertaintyMeter(), UncertaintyMeter(), BlurredDetector(detector, pre_blur.sigma)
    for rectangle in probe_tiles((pixels.shape[0], pixels.shape[1])):
        sharp.add_map(predict_patch(detector, pixels[rectangle]))
        soft.add_map(predict_patch(blurred, pixels[rectangle]))
        if sharp.expected - _TYPICAL_WEIGHT >= _ENOUGH:
            break
    detector.release_memory()  # another may run from here on
    return pre_blur.sigma if soft.ratio < pre_blur.max_uncertainty_ratio * sharp.ratio else 0.0


def probe_tiles(shape: tuple[int, int]) -> Iterator[Rectangle]:
    """Tiles of a scan to probe, from its middle outwards in no order a scene could follow.

    >>> list(probe_tiles((600, 1000)))
    [(slice(44, 556, None), slice(244, 756, None))]
    """
    height, width = shape
    for number in range(max(1, round(height * width / _PIXELS_PER_PROBE))):
        top = int((0.5 + number * _ROW_STEP) % 1 * max(0, height - _SIDE + 1))
        left = int((0.5 + number * _COLUMN_STEP) % 1 * max(0, width - _SIDE + 1))
        yield slice(top, min(top + _SIDE, height)), slice(left, min(left + _SIDE, width))
