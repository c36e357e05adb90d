"""How a detector is to see a scan: as it is or blurred, once or several times, as asked for or as suits the scan.

A network that learned much from sharp photos is surer of what it sees on soft, grainy scans if they are blurred a
little, and right more often; on sharp ones it is the other way round. Nothing that was measured on scans beforehand
tells which they are. Afterwards it shows: less is left in doubt (decision 36). So the detector is asked about a few
squares of the scan in both ways.

The squares do not depend on the tile size, and they are few: one for each twelve megapixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from redust.core.arrays import DamageMap, Pixels, check_pixels
from redust.core.engines import Detector
from redust.core.pre_blur import pre_blur_of
from redust.core.tiles import Place
from redust.detectors.blur import BlurredDetector, blur_detector
from redust.detectors.run_detector import predict_patch
from redust.detectors.tta import augment_detector
from redust.detectors.wrapper import DetectorWrapper

_SIDE = 512  # of a square, in pixels
_PIXELS_PER_SQUARE = 12_000_000
_ENOUGH = 1000.0  # damaged pixels expected in what was seen: more squares would hardly change the choice
_USUAL, _WEIGHT = 0.3, 200.0  # doubt of a usual scan, and for how many damaged pixels it counts: none decides nothing
# Steps of a sequence that spreads points evenly, however many (R2: M. Roberts, The unreasonable effectiveness of
# quasirandom sequences, 2018).
_DOWN, _ACROSS = 0.7548776662466927, 0.5698402909980532


@dataclass
class UncertaintyMeter:
    """How unsure a detector is of the damage it sees, by its own chances.

    A pixel with the chance p is damaged with the variance p (1 - p): nothing where it is sure of either. The sum of
    these is compared with the sum of p, the damaged pixels it expects.
    """

    variance: float = _USUAL * _WEIGHT
    expected: float = _WEIGHT

    def add(self, damage: DamageMap) -> None:
        """Take in what a detector says, (H, W) float32 in 0..1."""
        self.variance += float((damage * (1 - damage)).sum(dtype=float))
        self.expected += float(damage.sum(dtype=float))

    @property
    def share(self) -> float:
        """Per damaged pixel, 0..1."""
        return self.variance / self.expected


def choose_view(detector: Detector, pixels: Pixels, *, blur: float | None = None, tta: int = 1) -> Detector:
    """The detector as it is to see a scan.

    Parameters
    ----------
    detector
        Any.
    pixels : (H, W, C) uint8, uint16 or float32
        The scan.
    blur
        Sigma in pixels by which it sees the scan blurred, 0 for as it is. Unless given, a detector that has a
        ``pre_blur`` (:class:`redust.core.pre_blur.PreBlur`) sees it in the way that leaves it less in doubt.
    looks
        How often it is asked; see :func:`redust.detectors.tta.augment_detector`.

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    SettingsError
        If `looks` is no whole set of turns.
    """
    sigma = choose_blur_sigma(detector, pixels) if blur is None else blur
    return augment_detector(blur_detector(detector, sigma), tta)


def describe_view(detector: Detector) -> tuple[float, Detector]:
    """How a detector from :func:`choose_view` sees the scan.

    Returns
    -------
    sigma
        In pixels, by which the scan is blurred; 0 for as it is.
    detector
        What sees it in the end.
    """
    while isinstance(detector, DetectorWrapper):
        if isinstance(detector, BlurredDetector):
            return detector.sigma, detector.seen_by
        detector = detector.detector
    return 0.0, detector


def choose_blur_sigma(detector: Detector, pixels: Pixels) -> float:
    """The sigma of a detector's pre_blur if it leaves it less in doubt about a scan, else 0.

    Raises
    ------
    EngineError
        If the detector fails or breaks its contract.
    """
    check_pixels(pixels)
    rule = pre_blur_of(detector)
    if rule is None:
        return 0.0
    sharp, soft, blurred_by = UncertaintyMeter(), UncertaintyMeter(), BlurredDetector(detector, rule.sigma)
    for place in probe_tiles((pixels.shape[0], pixels.shape[1])):
        sharp.add(predict_patch(detector, pixels[place]))
        soft.add(predict_patch(blurred_by, pixels[place]))
        if sharp.expected - _WEIGHT >= _ENOUGH:
            break
    if rest := getattr(detector, "rest", None):
        rest()  # another may be asked from here on
    return rule.sigma if soft.share < rule.max_uncertainty_ratio * sharp.share else 0.0


def probe_tiles(shape: tuple[int, int]) -> Iterator[Place]:
    """Places of a scan to look at, from its middle outwards in no order a scene could follow.

    >>> list(probe_tiles((600, 1000)))
    [(slice(44, 556, None), slice(244, 756, None))]
    """
    height, width = shape
    for number in range(max(1, round(height * width / _PIXELS_PER_SQUARE))):
        top = int((0.5 + number * _DOWN) % 1 * max(0, height - _SIDE + 1))
        left = int((0.5 + number * _ACROSS) % 1 * max(0, width - _SIDE + 1))
        yield slice(top, min(top + _SIDE, height)), slice(left, min(left + _SIDE, width))
