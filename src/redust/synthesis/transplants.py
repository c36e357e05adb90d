"""Real damage, cut out of scans with masks and pasted onto other pictures.

The undamaged picture under each spot is estimated by inpainting; a spot is stored as the ratio of the two, as a
logarithm of linear light, with its soft edge.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Mask, to_light
from redust.core.errors import ScanError
from redust.core.labels import Truth
from redust.core.tiles import Rectangle
from redust.files import read_scan
from redust.files.pairs import find_splits
from redust.synthesis.appearance import to_linear
from redust.synthesis.painting import Canvas, blur_coverage, object_density

logger = logging.getLogger(__name__)

_MARGIN = 8  # sound pixels around a spot
_EDGE = 2  # pixels by which damage extends beyond its mask
_LARGEST = 400  # pixels: under a longer spot the estimate is too uncertain
_DARKEST = 0.01  # of full linear light: below it a ratio is noise
_CLEAR = 2.5  # least contrast of a spot, as a multiple of the noise around it


@dataclass(frozen=True)
class Spot:
    """One piece of real damage.

    Parameters
    ----------
    log_ratio : (h, w, C) float32
        Natural logarithm of light with damage over light without; fades to 0 at the edge. C is 1 or 3.
    damaged : (h, w) uint8
        255 where the mask says damage.
    """

    log_ratio: NDArray[np.float32]
    damaged: NDArray[np.uint8]


@dataclass(frozen=True)
class Transplants:
    """Real damage to paste: rotated, mirrored, scaled, in either polarity."""

    spots: tuple[Spot, ...]

    @classmethod
    def from_folder(cls, folder: Path, per_scan: int = 250) -> Transplants:
        """Cut the damage out of scans with masks.

        Parameters
        ----------
        folder
            ``images/`` and ``masks/``, or ``NAME.jpg`` beside ``NAME_mask.png``; 255 is damage, 128 ignored.
        per_scan
            At most this many spots of one scan, in random order.

        Raises
        ------
        ScanError
            If no clear spot is found.
        TrainingError
            If scans and masks do not pair up.
        """
        spots: list[Spot] = []
        for pair in find_splits(folder).train:
            if pair.mask is None:
                continue
            light, truth = to_light(read_scan(pair.picture).pixels), to_truth(_read_grey(pair.mask))
            if truth.shape != light.shape[:2]:
                raise ScanError(
                    f"{pair.mask} is {truth.shape}, {pair.picture} is {light.shape[:2]} (height, width). "
                    "Correct the mask, or remove both."
                )
            scan_spots = list(cut_spots(light, truth, per_scan))
            logger.info("%d clear spots in %s", len(scan_spots), pair.picture)
            spots.extend(scan_spots)
        if not spots:
            raise ScanError(f"No clear damage to cut out in {folder}. Give scans with masks that mark some.")
        return cls(tuple(spots))

    def paste_spots(self, canvas: Canvas, scale: float, rng: np.random.Generator) -> tuple[NDArray[np.float32], Mask]:
        """Paste one to a few spots on an empty canvas.

        Returns
        -------
        log_ratio : (H, W, 3) float32
        damaged : (H, W) bool
        """
        total, damaged = np.zeros((*canvas, 3), np.float32), np.zeros(canvas, np.bool_)
        sign = -1.0 if rng.random() < 0.35 else 1.0  # the other polarity, as on a negative
        # Spots have the resolution of their scan: stay close to it, whatever the scale of other layers.
        nominal = float(np.clip(scale, 0.5, 1.3))
        for _ in range(int(rng.integers(1, 9) * object_density(canvas) ** 0.8)):
            spot = self.spots[int(rng.integers(len(self.spots)))]
            _paste_spot(spot, total, damaged, sign * rng.uniform(0.7, 1.3), nominal * rng.uniform(0.7, 1.4), rng)
        return total, damaged


def _read_grey(path: Path) -> NDArray[np.float32]:
    """The first channel of a file, (H, W) float32 in 0..1."""
    plane: NDArray[np.float32] = to_light(read_scan(path).pixels)[..., 0]
    return plane


def to_truth(grey: NDArray[np.float32]) -> Truth:
    """A grey mask (H, W) in 0..1 as (H, W) uint8: 255 damage, 128 ignored, 0 background."""
    return np.where(grey > 0.75, np.uint8(255), np.where(grey > 0.25, np.uint8(128), np.uint8(0)))


def cut_spots(light: Light, truth: Truth, limit: int) -> Iterator[Spot]:
    """Cut the clear spots out of a scan.

    Parameters
    ----------
    light : (H, W, C) float32 in 0..1
    truth : (H, W) uint8
        255 damage, 128 ignored, 0 background.
    limit
        At most this many.

    Yields
    ------
    spot
        Damage that stands out of the noise around it, does not touch the border, and is small enough to estimate.
    """
    joined = cv2.dilate((truth == 255).astype(np.uint8), np.ones((3, 3), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    order = np.arange(1, count)
    np.random.default_rng(count).shuffle(order)  # spread over the scan, and reproducible
    accepted = 0
    for label in order:
        left, top, wide, tall = (int(value) for value in boxes[label][:4])
        window = _window_around(top, left, tall, wide, truth.shape)
        if window is None:
            continue
        spot = _cut_spot(light[window], truth[window], labels[window] == label)
        if spot is not None:
            accepted += 1
            yield spot
        if accepted == limit:
            return


def _window_around(top: int, left: int, tall: int, wide: int, shape: tuple[int, ...]) -> Rectangle | None:
    """A spot's box with its margin; None if it is too large or too near the border."""
    first_row, first_column = top - _MARGIN, left - _MARGIN
    last_row, last_column = top + tall + _MARGIN, left + wide + _MARGIN
    inside = first_row >= 0 and first_column >= 0 and last_row <= shape[0] and last_column <= shape[1]
    if not inside or max(tall, wide) > _LARGEST:
        return None
    return slice(first_row, last_row), slice(first_column, last_column)


def _cut_spot(light: Light, truth: Truth, region: Mask) -> Spot | None:
    """The spot in a window; None if its contrast is no higher than the noise around it.

    Parameters
    ----------
    light : (h, w, C) float32 in 0..1
    truth : (h, w) uint8
    region : (h, w) bool
        The region of this spot; other damage in the window is only excluded from the estimate.
    """
    damaged = region & (truth == 255)
    reach = cv2.dilate(region.astype(np.uint8), np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8))
    # Pixels that are not known to be sound are estimated, so they say nothing of the noise.
    unknown = np.maximum(reach, (truth > 0).astype(np.uint8))
    references = (unknown == 0) & (cv2.dilate(reach, np.ones((9, 9), np.uint8)) > 0)
    if references.sum() < 24:
        return None
    ground = np.stack([_inpaint_plane(light[..., channel], unknown) for channel in range(light.shape[2])], axis=2)
    ratio = _log_light(light) - _log_light(ground)
    # Error of the estimate where the true value is known.
    smooth = np.stack([blur_coverage(ground[..., channel], 2.0) for channel in range(light.shape[2])], axis=2)
    noise = (_log_light(light) - _log_light(smooth))[references].std()
    signal = abs(float(ratio[damaged].mean()))
    if signal < max(0.10, _CLEAR * float(noise)):
        return None
    soft = cv2.GaussianBlur(reach.astype(np.float32), (0, 0), 1.0)
    faded = (ratio * np.minimum(1, soft * 1.2)[..., None] * (soft > 0.1)[..., None]).astype(np.float32)
    return Spot(faded, np.where(damaged, np.uint8(255), np.uint8(0)))


def _log_light(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The natural logarithm of linear light, limited to 0.01 of full light."""
    return np.log(np.maximum(to_linear(light), np.float32(_DARKEST)))


def _inpaint_plane(plane: NDArray[np.float32], unknown: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Inpaint the unknown pixels of one plane (h, w)."""
    return cv2.inpaint(np.ascontiguousarray(plane), unknown, 3.0, cv2.INPAINT_NS).astype(np.float32)


def _paste_spot(
    spot: Spot, total: NDArray[np.float32], damaged: Mask, strength: float, zoom: float,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Rotate, mirror and scale one spot and add it at a random position, in place."""
    height, width = damaged.shape
    tall, wide = spot.damaged.shape
    matrix = cv2.getRotationMatrix2D((wide / 2, tall / 2), float(rng.uniform(0, 360)), zoom)
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
        matrix[:, 2] += matrix[:, 0] * -wide
    matrix[:, 2] += [rng.uniform(0, width) - wide / 2, rng.uniform(0, height) - tall / 2]
    ratio, mask = spot.log_ratio, spot.damaged
    if zoom < 0.8:  # antialiasing: thin damage would vanish
        ratio = cv2.GaussianBlur(ratio, (0, 0), 0.4 / zoom).reshape(ratio.shape).astype(np.float32)
    warped = cv2.warpAffine(ratio, matrix, (width, height), flags=cv2.INTER_LINEAR).reshape(height, width, -1)
    total += np.float32(strength) * warped.astype(np.float32)
    damaged |= cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR) >= 128
