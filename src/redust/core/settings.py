"""Every choice, written once. Flags, keywords, web form and TOML presets all come from these classes.

``ScanSettings`` says how scans are read and written, ``DetectSettings`` how a mask is made,
``RepairSettings`` how it is filled, ``RestoreSettings`` all of it.
A field's description is the flag's help text; its bounds are the form's bounds.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from redust.core.settings_base import Settings, parse_share

TTA_COUNTS = (1, 2, 4, 8)
"""Views of a test-time augmentation: whole sets of flips and rotations."""


class Polarity(StrEnum):
    """Which damage to keep, by its contrast with its surroundings."""

    both = "both"
    bright = "bright"
    dark = "dark"


class Film(StrEnum):
    """What a scan shows."""

    auto = "auto"
    positive = "positive"
    negative = "negative"


class DamagedFiles(StrEnum):
    """What becomes of a scan whose file is not all there."""

    refuse = "refuse"
    keep = "keep"


class Method(StrEnum):
    """How a scan is restored."""

    mask = "mask"
    generator = "generator"


class Sensitivity(StrEnum):
    """How readily damage is marked: each step is a false-positive rate on undamaged pictures."""

    shy = "shy"
    normal = "normal"
    eager = "eager"


class DamageClass(StrEnum):
    """What damage is, by its shape."""

    dust = "dust"  # and dirt, pinholes
    hair = "hair"  # and fibres, lint
    scratch = "scratch"  # and lines along the film's travel
    crack = "crack"  # and creases
    stain = "stain"  # and missing parts


class Provider(StrEnum):
    """What runs networks."""

    cpu = "cpu"
    cuda = "cuda"
    openvino = "openvino"
    coreml = "coreml"


class Weights(StrEnum):
    """Which of a network's weights are used."""

    auto = "auto"
    float32 = "float32"
    int8 = "int8"


class ScanSettings(Settings):
    """How scans are read and written, and how the machine is used."""

    threads: Annotated[
        int | None,
        Field(ge=1, le=1024, description="Threads to use; all cores unless given. It does not change the result."),
    ] = None
    page: Annotated[
        int | Literal["all"],
        Field(description="Page of a multi-page TIFF to work on, counted from 1; `all` repairs every page."),
    ] = 1
    max_megapixels: Annotated[
        float, Field(gt=0, description="Refuse scans of more megapixels than this, before decoding them.")
    ] = 1000.0
    damaged_files: Annotated[
        DamagedFiles,
        Field(description="A JPEG whose coded data is cut: `refuse` it, or `keep` and restore what is there."),
    ] = DamagedFiles.refuse
    overwrite: Annotated[bool, Field(description="Replace results that exist already; never a scan itself.")] = False
    allow_loss: Annotated[
        bool, Field(description="Go on when the target's format cannot hold something the scan carries.")
    ] = False

    @field_validator("page", mode="plain")
    @classmethod
    def _check_page(cls, page: Any) -> int | Literal["all"]:
        if page == "all":
            return "all"
        if isinstance(page, bool) or not str(page).isdecimal() or int(page) < 1:
            raise ValueError("a page is a number, counted from 1, or all")
        return int(page)

    @property
    def first_page(self) -> int:
        """The page to read first, counted from 0."""
        return 0 if self.page == "all" else self.page - 1

    @classmethod
    def from_preset(cls, path: Path, **choices: Any) -> Self:
        """Build from a TOML preset for `restore`; keywords given here win over it.

        One preset serves all commands: what only `restore` knows is checked, then left out.
        """
        preset = RestoreSettings.preset_choices(path)
        known = {name: value for name, value in preset.items() if name in cls.model_fields}
        return cls.of(**cls._overruled(known, choices))


class DetectSettings(ScanSettings):
    """How a scan becomes a mask."""

    rivals: ClassVar[frozenset[str]] = frozenset({"level", "sensitivity"})

    detector: Annotated[
        str, Field(description="The detector: a name that `redust models` lists, or a model's folder.")
    ] = "unet"
    film: Annotated[
        Film,
        Field(
            description="What the scan shows. A negative that is not inverted is shown to the detector as a positive; "
            "what is repaired stays the file's own. `auto` knows colour negatives by their orange mask."
        ),
    ] = Film.auto
    infrared: Annotated[
        str,
        Field(
            description="Infrared, which shows dust on colour film: `auto` uses the scan's own, or that of a file "
            "beside it such as scan_IR.tif; `off` leaves it out; `channel` takes an alpha channel for infrared; else "
            "the FILE that holds it."
        ),
    ] = "auto"
    level: Annotated[
        float | None,
        Field(
            ge=0.0,
            le=1.0,
            description="Threshold of the damage map, applied exactly: pixels at or above it count as damaged; lower "
            "finds more. Unless given, the detector that ships has its regions judged, others their own level.",
        ),
    ] = None
    sensitivity: Annotated[
        Sensitivity | None,
        Field(
            description="How readily damage is marked, in place of a level: shy, normal or eager. The card of the "
            "model, or of its regions, says how often sound pictures are marked at each. Normal unless given."
        ),
    ] = None
    frame_scratches: Annotated[
        bool,
        Field(description="Also detect scratches that run straight through the whole scan, along the film's travel."),
    ] = True
    tta: Annotated[
        int,
        Field(
            ge=1,
            le=8,
            description="Test-time augmentation: average the detector over 1, 2, 4 or 8 flips and rotations of each "
            "tile; N times as slow.",
        ),
    ] = 1
    blur: Annotated[
        float | None,
        Field(
            ge=0,
            le=3,
            description="Blur the detector's input by this many pixels (sigma), 0 for none; the restored scan stays "
            "sharp. Unless given, soft and grainy scans are blurred where that lowers the detector's uncertainty.",
        ),
    ] = None
    grow: Annotated[
        int,
        Field(ge=0, le=64, description="Dilate the mask by this many pixels: the soft rim of a speck is damaged too."),
    ] = 2
    min_size: Annotated[int, Field(ge=1, description="Ignore damaged regions of fewer pixels than this.")] = 1
    max_size: Annotated[int | None, Field(ge=1, description="Ignore damaged regions of more pixels than this.")] = None
    polarity: Annotated[Polarity, Field(description="Keep only damage brighter or darker than its surroundings.")] = (
        Polarity.both
    )
    only: Annotated[
        tuple[DamageClass, ...],
        Field(description="Repair only damage of this class; may be given several times. All classes unless given."),
    ] = ()
    skip: Annotated[
        tuple[DamageClass, ...], Field(description="Do not repair damage of this class; may be given several times.")
    ] = ()
    max_tile_coverage: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Over-detection guard: do not repair squares of about 768 pixels of which more than this share "
            "is marked. 1 accepts everything.",
        ),
    ] = 0.05
    guard: Annotated[
        bool, Field(description="Scene guard: do not repair what looks like lettering or like the pupils of a face.")
    ] = True
    tile: Annotated[
        int | None,
        Field(ge=64, le=16384, description="Tile side in pixels: it changes memory and time, not the result."),
    ] = None
    provider: Annotated[
        Provider,
        Field(
            description="Execution provider of the network, where the installed ONNX Runtime has it (see `redust "
            "doctor`); the CPU, with a warning, where it does not."
        ),
    ] = Provider.cpu
    weights: Annotated[
        Weights,
        Field(
            description="The network's weights; auto takes int8 where that is faster and, by the model's card, as good."
        ),
    ] = Weights.auto

    @field_validator("only", "skip", mode="before")
    @classmethod
    def _one_class_is_a_list(cls, classes: Any) -> Any:
        return (classes,) if isinstance(classes, str) else classes

    @field_validator("tta")
    @classmethod
    def _check_tta(cls, tta: int) -> int:
        if tta not in TTA_COUNTS:
            raise ValueError(f"tta cannot be {tta}: choose 1, 2, 4 or 8")
        return tta

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError(f"max_size ({self.max_size}) is below min_size ({self.min_size})")
        return self

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if set(self.only or DamageClass) <= set(self.skip):
            raise ValueError("only and skip leave no class of damage")
        return self

    @model_validator(mode="after")
    def _check_level(self) -> Self:
        if self.level is not None and self.sensitivity is not None:
            raise ValueError(
                f"level ({self.level:g}) and sensitivity ({self.sensitivity}) exclude each other; give one of them"
            )
        return self


class RepairSettings(ScanSettings):
    """How masked pixels are filled."""

    fill: Annotated[str, Field(description="The fill: a name that `redust models` lists, or a model's folder.")] = (
        "kriging"
    )
    fill_radius: Annotated[
        float,
        Field(gt=0, le=100, description="Neighbourhood in pixels for the fills telea and navier-stokes."),
    ] = 3.0
    recover_translucent: Annotated[
        bool,
        Field(
            description="Recover the image under translucent damage: hairs out of focus, stains, thick soft strokes. "
            "Opaque damage is filled from its surroundings."
        ),
    ] = True
    grain: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the surroundings' grain that filled pixels get: 0 none, 1 all of it."),
    ] = 0.5
    mark_source_type: Annotated[
        bool,
        Field(
            description="Say in the result's XMP (IPTC digital source type) that an algorithm altered it, or a trained "
            "network where one fills. All other metadata stays."
        ),
    ] = False


class RestoreSettings(DetectSettings, RepairSettings):
    """Find and repair."""

    method: Annotated[
        Method,
        Field(
            description="Detect damage and fill it (mask), or restore the whole scan with a network and keep pixels "
            "that it changed by at least the level (generator)."
        ),
    ] = Method.mask
    generator: Annotated[
        str,
        Field(
            description="The network of the method generator: a name that `redust models` lists, or a model's folder."
        ),
    ] = "attentive"
    max_change: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="Leave a scan alone, for review, of which more than this share would be changed, such as 2%.",
        ),
        BeforeValidator(parse_share),
    ] = None
    everywhere: Annotated[
        bool, Field(description="With the method generator: keep its whole answer, also where no damage is detected.")
    ] = False

    @model_validator(mode="after")
    def _check_everywhere(self) -> Self:
        if self.everywhere and self.method is not Method.generator:
            raise ValueError("everywhere belongs to the method generator; say so, or leave it out")
        return self

    @classmethod
    def covering(cls, settings: ScanSettings) -> RestoreSettings:
        """The same choices with everything else at its default."""
        return cls(**settings.model_dump())
