"""What an engine is: a class that computes, and a frozen dataclass, its spec, that states what it needs and offers.

The package pads, tiles, converts, crops and composites for it (:mod:`redust.detectors.run_detector`,
:mod:`redust.inpainters.fill_damage`, :mod:`redust.generators.run_generator`). Engines are described by their spec
alone: nothing else is read from them. A class that inherits from a protocol gets its default methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from redust.core.errors import EngineError
from redust.core.settings import Provider, Sensitivity

if TYPE_CHECKING:  # model cards need specs, and the command line loads no NumPy before it works
    from redust.core.arrays import DamageMap, Light, Mask, Pixels

_ROUNDING = 1e-6


class PriorShift(BaseModel):
    """How a detector's threshold follows the share of damaged pixels in a scan (Saerens et al., 2002).

    :mod:`redust.decision.threshold` applies it.

    Parameters
    ----------
    prior
        Share of damaged pixels, 0..1, for which the levels hold as they are.
    exponent
        Power by which the odds follow the share estimated on a scan: 0 not at all, 1 in proportion.
    minority_exponent
        Power by which the odds of the rarer polarity (dark or bright) follow its share of the scan's damage: 0 not
        at all.
    max_prior
        Share, 0..1, above which levels fall no further: much marked area is as often texture as damage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prior: Annotated[float, Field(gt=0, lt=1)]
    exponent: Annotated[float, Field(ge=0, le=1)]
    minority_exponent: Annotated[float, Field(ge=0, le=4)] = 0.0
    max_prior: Annotated[float, Field(gt=0, le=1)] = 1.0


class PreBlur(BaseModel):
    """How a detector may blur a scan first, where that lowers its uncertainty.

    :mod:`redust.detectors.choose_view` applies it.

    Parameters
    ----------
    sigma
        Of the Gaussian, in pixels.
    max_uncertainty_ratio
        The scan is blurred if the uncertainty falls below this share, 0..1, of that without blur.
    network
        Folder, inside the model's, of a network trained on blurred scans that detects on them instead; empty if the
        same network does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma: Annotated[float, Field(gt=0, le=3)]
    max_uncertainty_ratio: Annotated[float, Field(gt=0, le=1)] = 0.97
    network: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")] = ""


def pre_blur_at(sigma: float, current: PreBlur | None) -> PreBlur | None:
    """A pre-blur by `sigma` pixels with the network of the current one; None for 0."""
    return PreBlur(sigma=sigma, network=current.network if current else "") if sigma else None


def check_scales(scales: Sequence[int], weights: Sequence[float]) -> None:
    """Refuse scales that are not different factors with 1 among them, and weights that do not match them.

    Raises
    ------
    ValueError
        Saying which.
    """
    if 1 not in scales or len(set(scales)) < len(scales):
        raise ValueError("scales are different factors, 1 among them")
    if weights and (len(weights) != len(scales) or min(weights) <= 0 or abs(sum(weights) - 1) > _ROUNDING):
        raise ValueError("scale_weights are one positive share for each of the scales, adding up to 1")


@dataclass(frozen=True)
class Needs:
    """What an engine needs of its input arrays.

    Parameters
    ----------
    multiple_of
        Height and width are multiples of this many pixels, and so are tile origins.
    minimum
        Smallest height and width in pixels.
    context
        Detector, generator: the halo, at least the radius in pixels beyond which a pixel has no influence.
        Inpainter: undamaged pixels it needs around a damaged region.
    channels
        Accepted channel counts. A detector that takes only 1 gets the luma; one that takes only 3 gets grey
        repeated. An inpainter or generator that takes only 1 is called once per channel.
    depths
        Inpainters only: accepted dtype names. A scan of another depth is refused, never converted in silence;
        built-in engines accept all three.
    per_tile
        Preferred tile side in pixels, None if it does not matter. An inpainter with one gets all the damage of such
        a square at a time, an inpainter without one gets each region by itself.
    threadsafe
        Whether several threads may call it at once.
    scales
        Detectors only: factors by which the scan is downscaled, 1 among them. The detector runs at each of them, and
        the mean of the logits counts.
    scale_weights
        Weight of the logits at each of the `scales`, adding up to 1; equal unless given.
    attention
        Generators only: whether it takes a detector's damage map as one more channel of the light.
    attention_shift
        Log odds added to that map first; above 0 for a generator that does better with too much marked.
    infrared
        Detectors only: whether it takes what infrared tells as one more channel of the light, 0..1: 0 for no density
        besides the dyes', 0.5 for so much that damage is proven. It works only on scans with an infrared plane.
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
    infrared: bool = False

    def __post_init__(self) -> None:
        check_scales(self.scales, self.scale_weights)
        if self.infrared and len(self.scales) > 1:
            raise ValueError("a detector that takes infrared runs at one scale")

    def weight_of(self, scale: int) -> float:
        """Weight of the logits at one of the scales, 0..1."""
        if not self.scale_weights:
            return 1 / len(self.scales)
        return dict(zip(self.scales, self.scale_weights, strict=True))[scale]


class Card(Protocol):
    """The part of a model card (:class:`redust.models.card.ModelCard`) that reports need."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What every engine states about itself.

    Parameters
    ----------
    name
        Its name in reports and messages.
    needs
        What it needs of its input arrays.
    card
        The card of its weights; None for an engine without weights.
    folder
        The folder of its model; None for an engine without one.
    weights
        Which of the card's weight files it runs, such as ``"onnx-int8"``; None for an engine without weights.
    provider
        What runs its network; None for an engine that only runs on the CPU.
    warnings
        Sentences about choices it could not follow; they go into the report.
    """

    name: str
    needs: Needs = Needs()
    card: Card | None = None
    folder: Path | None = None
    weights: str | None = None
    provider: Provider | None = None
    warnings: tuple[str, ...] = ()

    @property
    def sha256(self) -> dict[str, str]:
        """The hash of each weight file it runs, by ``name kind``; of all of the card's where it does not say which."""
        hashes = self.card.sha256.items() if self.card is not None else ()
        return {f"{self.name} {kind}": digest for kind, digest in hashes if self.weights in (None, kind)}


@dataclass(frozen=True, kw_only=True)
class MapSpec(EngineSpec):
    """What an engine states whose answer becomes a damage map.

    Parameters
    ----------
    level
        Default threshold of its damage map, 0..1.
    levels
        Thresholds by sensitivity; empty if there is but one. That of ``normal`` is `level`.
    prior_shift
        How the threshold follows the scan; None if it does not.
    """

    level: float = 0.5
    levels: Mapping[Sensitivity, float] = field(default_factory=dict)
    prior_shift: PriorShift | None = None

    def level_for(self, sensitivity: Sensitivity | None) -> float:
        """The threshold for a sensitivity; the default where there is none for it."""
        return self.level if sensitivity is None else self.levels.get(sensitivity, self.level)


@dataclass(frozen=True, kw_only=True)
class DetectorSpec(MapSpec):
    """What a detector states about itself.

    Parameters
    ----------
    pre_blur
        How it may blur scans first; None if it never does by itself.
    regions
        The model folder of what judges the regions of its maps; None to threshold them by pixel.
    open_blurred
        Opens the detector that serves blurred scans; None if this one does.
    """

    pre_blur: PreBlur | None = None
    regions: Path | None = None
    open_blurred: Callable[[], Detector] | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratorSpec(MapSpec):
    """What a generator states about itself; `level` is the smallest change of light, 0..1, that counts as repair."""


@dataclass(frozen=True, kw_only=True)
class InpainterSpec(EngineSpec):
    """What an inpainter states about itself."""


@runtime_checkable
class Detector(Protocol):
    """Estimates for every pixel how likely it is damaged."""

    spec: DetectorSpec

    def detect(self, light: Light) -> DamageMap:
        """Predict the damage map of a tile.

        Parameters
        ----------
        light : (H, W, C) float32 in 0..1
            A tile with its halo, C and size as `spec.needs` states; (H, W, C + 1) if `needs.infrared`. It must not be
            written to.

        Returns
        -------
        damage : (H, W) float32 in 0..1
        """
        ...

    def release_memory(self) -> None:
        """Give back memory that is held from one call to the next; by default there is none."""
        return


@runtime_checkable
class Inpainter(Protocol):
    """Fills masked pixels from what surrounds them."""

    spec: InpainterSpec

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one window.

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
    """Restores a scan without a mask (blind inpainting)."""

    spec: GeneratorSpec

    def generate(self, light: Light) -> Light:
        """Predict the light of a tile without damage.

        Parameters
        ----------
        light : (H, W, C) float32 in 0..1
            A tile with its halo, C and size as `spec.needs` states; (H, W, C + 1) if `needs.attention`, the last
            channel being the damage map. It must not be written to.

        Returns
        -------
        restored : (H, W, C) float32
        """
        ...


_PROMISES: dict[type, tuple[str, type[EngineSpec], tuple[str, ...]]] = {
    Detector: ("detector", DetectorSpec, ("detect", "release_memory")),
    Inpainter: ("fill", InpainterSpec, ("fill",)),
    Generator: ("generator", GeneratorSpec, ("generate",)),
}


def missing_promise(engine: object, protocol: type) -> str:
    """The first thing that an engine lacks of :class:`Detector`, :class:`Inpainter` or :class:`Generator`; or empty."""
    kind, spec, methods = _PROMISES[protocol]
    members = set(dir(engine))
    if "spec" not in members or not isinstance(engine.spec, spec):  # type: ignore[attr-defined]
        return f"the {kind} has no `spec`: state a redust.core.engines.{spec.__name__}"
    lacking = [name for name in methods if name not in members]
    advice = f"define it, or inherit from redust.core.engines.{protocol.__name__}"
    return f"the {kind} has no method `{lacking[0]}`: {advice}" if lacking else ""


def check_engine(engine: object, protocol: type) -> None:
    """Refuse an object that is no engine of this protocol.

    Raises
    ------
    EngineError
        Naming what it lacks.
    """
    if lacking := missing_promise(engine, protocol):
        raise EngineError(f"{type(engine).__name__} cannot be used: {lacking}. Tell its author, or choose another.")
