"""What a detector, an inpainter and a generator are: protocols that state their needs as data.

An engine only computes. The house pads, tiles, converts, crops and composites for it
(:mod:`redust.detectors.run_detector`, :mod:`redust.inpainters.fill_damage`, :mod:`redust.generators.run_generator`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from redust.core.arrays import DamageMap, Light, Mask, Pixels
from redust.core.scales import check_scales


@dataclass(frozen=True)
class Needs:
    """What an engine needs of the arrays it is given.

    Parameters
    ----------
    multiple_of
        Height and width are multiples of this many pixels, and so are tile origins.
    minimum
        Least height and width in pixels.
    context
        Detector, generator: the halo, at least the radius in pixels beyond which a pixel has no influence.
        Inpainter: sound pixels it wants to see around a damaged region.
    channels
        Accepted channel counts. A detector that takes only 1 gets the luma; one that takes only 3
        gets grey repeated. An inpainter or generator that takes only 1 is called once per channel.
    depths
        Inpainters only: accepted dtype names. A scan of another depth is refused, never converted
        in silence; built-in engines accept all three.
    per_tile
        Preferred tile side in pixels, None if it does not matter. An inpainter that states one gets all
        the damage of such a square at a time, one that does not each region by itself.
    threadsafe
        Whether several threads may call it at once.
    scales
        Detectors only: the factors by which the scan is shrunk before the detector sees it, 1 among them. It is asked
        at each, and the mean of its logits counts.
    scale_weights
        How much the logits at each of the `scales` count, adding up to 1; all the same unless given.
    attention
        Generators only: a detector's damage map is wanted beside the light, as one more channel.
    attention_shift
        Log odds by which that map is raised before: above 0 for a generator that does better when told too much.
    """

    multiple_of: int = 1
    minimum: int = 1
    context: int = 0
    channels: tuple[int, ...] = (1, 3)
    depths: tuple[str, ...] = ("uint8", "uint16", "float32")
    per_tile: int | None = None
    threadsafe: bool = True
    scales: tuple[int, ...] = (1,)
    scale_weights: tuple[float, ...] = ()
    attention: bool = False
    attention_shift: float = 0.0

    def __post_init__(self) -> None:
        check_scales(self.scales, self.scale_weights)

    def weight_of(self, scale: int) -> float:
        """How much the logits at one of the scales count."""
        return (
            dict(zip(self.scales, self.scale_weights, strict=True))[scale]
            if self.scale_weights
            else 1 / len(self.scales)
        )


@runtime_checkable
class Detector(Protocol):
    """Gives an opinion on every pixel.

    It may also have ``levels``, by the names of :class:`redust.core.settings.Sensitivity` (see :func:`levels_of`), and
    an ``prior_shift``, by which they follow the scan (see :class:`redust.core.prior_shift.PriorShift`), and a
    ``pre_blur``, by which it sees soft scans blurred (see :class:`redust.core.pre_blur.PreBlur`), itself or by the
    detector ``blurred_detector``. It may have a method ``rest``, called when it is not asked for a while.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> Needs: ...

    @property
    def level(self) -> float:
        """The level at which its map is cut unless the user says otherwise, 0..1."""
        ...

    def detect(self, light: Light) -> DamageMap:
        """Say how likely each pixel is damaged.

        Parameters
        ----------
        light : (H, W, C) float32 in 0..1
            A tile with its halo, C and size as `needs` states. It must not be written to.

        Returns
        -------
        damage : (H, W) float32 in 0..1
        """
        ...


@runtime_checkable
class Inpainter(Protocol):
    """Fills masked pixels from what surrounds them."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> Needs: ...

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one region.

        Parameters
        ----------
        pixels : (H, W, C) uint8, uint16 or float32
            A damaged region with context. It must not be written to.
        mask : (H, W) bool
            True where to fill. At least one pixel is True and one False.

        Returns
        -------
        filled : (H, W, C), dtype of `pixels`
            Only the masked pixels of it are used.
        """
        ...


@runtime_checkable
class Generator(Protocol):
    """Restores what it sees, without being told where the damage is."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> Needs: ...

    @property
    def level(self) -> float:
        """The change of light, 0..1, from which on a pixel is taken from it unless the user says otherwise."""
        ...

    def generate(self, light: Light) -> Light:
        """Give the light as it would be without damage.

        Parameters
        ----------
        light : (H, W, C) float32 in 0..1
            A tile with its halo, C and size as `needs` states; (H, W, C + 1) if `needs.attention`, the last being the
            damage map. It must not be written to.

        Returns
        -------
        restored : (H, W, C) float32
        """
        ...


def levels_of(detector: Detector | Generator) -> Mapping[str, float]:
    """An engine's levels by the name of their sensitivity; empty if it has but one level."""
    levels: Mapping[str, float] = getattr(detector, "levels", {})
    return levels
