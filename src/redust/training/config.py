"""One training run as data: what it learns from, which network, how. A TOML file; every field is also a flag.

The sections are the tables of the file, the fields its keys; a field's description is its flag's help.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo

from redust.core.errors import SettingsError
from redust.core.settings import Settings, explain
from redust.models import shipped_folder

Share = Annotated[float, Field(ge=0, le=1)]


class Task(StrEnum):
    """What a network is trained to do."""

    detect = "detect"
    fill = "fill"
    generator = "generator"


class Architecture(StrEnum):
    """The networks that can be trained."""

    unet = "unet"
    unet_thesis = "unet-thesis"
    cnn = "cnn"
    gated = "gated"
    residual = "residual"
    attentive = "attentive"


ARCHITECTURES = {
    Task.detect: (Architecture.unet, Architecture.unet_thesis, Architecture.cnn),
    Task.fill: (Architecture.gated,),
    Task.generator: (Architecture.attentive, Architecture.residual),
}
"""The networks for each task, the usual one first."""


class LossName(StrEnum):
    """What is minimised."""

    bce = "bce"
    bce_dice = "bce-dice"
    focal_tversky = "focal-tversky"
    cldice = "cldice"


class Precision(StrEnum):
    """Number format of the multiplications; the weights stay float32."""

    auto = "auto"
    float32 = "float32"
    bf16 = "bf16"
    fp16 = "fp16"


class Schedule(StrEnum):
    """How the learning rate goes after warming up."""

    cosine = "cosine"
    constant = "constant"


class DataConfig(Settings):
    """What is learned from."""

    data: Annotated[
        Path | None,
        Field(
            description="Folder of pairs: images/ and masks/, or the thesis's layout; for the task fill the same, of "
            "which what is sound is learned from; for the task generator images/ and clean/, the pictures repaired."
        ),
    ] = None
    mask_level: Annotated[
        int | None,
        Field(ge=1, le=255, description="Cut grey masks here; unless given, masks hold 0, 128 (not judged) and 255."),
    ] = None
    photos: Annotated[Path | None, Field(description="Folder of undamaged photos to draw damage on.")] = None
    photos_share: Annotated[Share, Field(description="Share of patches drawn on photos where pairs are given too.")] = (
        0.5
    )
    recipe: Annotated[Path | None, Field(description="TOML file that says what damage is drawn on photos.")] = None
    overlays: Annotated[Path | None, Field(description="Folder of alpha shapes to draw on photos too.")] = None
    outlines: Annotated[tuple[Path, ...], Field(description="Files of outlined artefacts to draw on photos too.")] = ()
    cracks: Annotated[Path | None, Field(description="File of crack shapes to draw on photos too.")] = None
    folds: Annotated[
        Path | None, Field(description="Folder of grey pictures of folds and rings to darken photos with too.")
    ] = None
    transplant: Annotated[
        Path | None, Field(description="Folder of scans with masks whose real damage is pasted on photos too.")
    ] = None
    val_share: Annotated[
        float, Field(gt=0, lt=1, description="Share of the training pairs kept back to choose the best epoch by.")
    ] = 0.1
    train_size: Annotated[int | None, Field(ge=1, description="Learn from this many pairs only.")] = None
    overfit: Annotated[
        int | None,
        Field(ge=1, description="Learn this many pairs by heart and score on the same: finds broken code and data."),
    ] = None
    patch: Annotated[
        int | None,
        Field(ge=16, le=2048, description="Patch side in pixels; unless given, what suits network and data."),
    ] = None
    patches_per_picture: Annotated[
        int | None,
        Field(ge=1, description="Patches per picture and epoch; unless given, as many as cover it, at most 64."),
    ] = None
    focus: Annotated[Share, Field(description="Share of patches that are laid on damage.")] = 0.5
    reuse: Annotated[
        int,
        Field(
            ge=0,
            description="Task fill: draw and krige so many patches, each when it is first needed, then use them again, "
            "mirrored and turned; 0 draws every patch anew.",
        ),
    ] = 2000
    cache_megabytes: Annotated[float, Field(ge=0, description="Pictures kept in memory, in megabytes.")] = 2000.0
    workers: Annotated[int, Field(ge=0, le=256, description="Processes that prepare patches; 0 uses the main one.")] = 0


class AugmentConfig(Settings):
    """How pictures and masks are varied together."""

    augment: Annotated[bool, Field(description="Vary the patches at all.")] = True
    rotations: Annotated[
        tuple[float, ...], Field(description="Angles in degrees, either way; half of the patches stay upright.")
    ] = (10.0, 15.0, 20.0)
    flips: Annotated[bool, Field(description="Mirror patches and turn them by quarters.")] = True
    brightness: Annotated[Share, Field(description="Brighten or darken by at most this share of full light.")] = 0.1
    gamma: Annotated[float, Field(ge=0, le=3, description="Bend tones by at most this factor, in octaves.")] = 0.5
    noise: Annotated[Share, Field(description="Add noise up to this standard deviation.")] = 0.03
    blur: Annotated[float, Field(ge=0, le=10, description="Blur up to this standard deviation in pixels.")] = 0.7
    jpeg: Annotated[int, Field(ge=1, le=100, description="Compress down to this JPEG quality; 100 never does.")] = 60
    grey: Annotated[
        Share, Field(description="Make this share of the patches black-and-white, by their luma or a single channel.")
    ] = 0.0
    doubt: Annotated[
        float,
        Field(
            ge=0,
            le=5,
            description="Network attentive: log odds by which the map is moved down at random, mean and deviation.",
        ),
    ] = 0.8


def _model_folder(name: str) -> Path:
    shipped = shipped_folder(name)
    return shipped if shipped.is_dir() else Path(name)


class ModelConfig(Settings):
    """Which network."""

    architecture: Annotated[
        Architecture,
        Field(description="The network to train; unless given, gated for the task fill, attentive for blind."),
    ] = Architecture.unet
    start: Annotated[
        str | None,
        Field(alias="from", description="Fine-tune: start from this model (a name or a model folder)."),
    ] = None
    channels: Annotated[
        tuple[int, ...] | None, Field(description="Channels of each level; the network's own unless given.")
    ] = None
    side: Annotated[int | None, Field(ge=36, description="Cell side of the network cnn; 100 unless given.")] = None
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of features dropped while training.")] = 0.0
    finish: Annotated[
        int | None,
        Field(ge=0, le=4, description="Network unet: convolutions at the end; its own number (2) unless given."),
    ] = None
    scales: Annotated[
        tuple[int, ...] | None,
        Field(
            description="Network unet: factors by which pictures are shrunk before it sees them, 1 among them; the "
            "mean of its logits counts. 1 alone unless given, or as the model it starts from."
        ),
    ] = None

    blocks: Annotated[
        tuple[int, ...] | None,
        Field(
            description="Network unet: how many residual blocks at an eighth, and at a sixteenth of the resolution; "
            "none unless given, or as the model it starts from."
        ),
    ] = None

    attention: Annotated[
        str,
        Field(description="Network attentive: the detector (a name or a model folder) whose damage map it is told."),
    ] = "unet"

    teacher: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
        Field(
            description="Task detect: learn from what this detector (a name or a model folder) says of each patch, "
            "turned and mirrored, besides the masks; of several, the mean. It may be the model the run starts from."
        ),
    ] = ()
    teacher_looks: Annotated[
        int, Field(ge=1, le=8, description="How many of the eight turns each teacher is asked for in each step.")
    ] = 2
    keep_statistics: Annotated[
        bool,
        Field(
            description="Leave what batch norms know of their inputs as it is in the model the run starts from, and "
            "learn with that: for small batches, and for pairs unlike the scans that the network is for."
        ),
    ] = False

    model_config = Settings.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _statistics_of_a_model(self) -> Self:
        if self.keep_statistics and self.start is None:
            raise ValueError("a new network has no statistics to keep: name a model to start from, or leave it out")
        return self

    @property
    def teacher_folders(self) -> tuple[Path, ...]:
        """The folders of the detectors that are learned from."""
        return tuple(_model_folder(one) for one in self.teacher)

    @property
    def start_folder(self) -> Path | None:
        """The folder of the model to start from: one that ships with ReDust, or a path."""
        return _model_folder(self.start) if self.start is not None else None

    @property
    def attention_folder(self) -> Path | None:
        """The folder of the detector that the network attentive is told the map of; None for any other network.

        None too for a detector that is no network.
        """
        folder = _model_folder(self.attention)
        return folder if self.architecture is Architecture.attentive and folder.is_dir() else None


class LossConfig(Settings):
    """What is minimised."""

    loss: Annotated[LossName, Field(description="The loss.")] = LossName.bce_dice
    positive_weight: Annotated[
        float, Field(gt=0, description="Weight of damaged pixels against sound ones in the cross-entropy.")
    ] = 1.0
    mix: Annotated[Share, Field(description="Share of the Dice or clDice term; the rest is cross-entropy.")] = 0.5
    balance: Annotated[
        Share,
        Field(
            description="Cross-entropy: let each patch count by its damaged share to this power, the less the more, "
            "so that a few specks on a plate weigh as much as a crumpled print; 0 counts all pixels alike. A teacher's "
            "opinions count likewise, by what it is sure of."
        ),
    ] = 0.0
    false_positives: Annotated[
        Share, Field(description="Tversky: weight of false alarms; the rest goes to misses.")
    ] = 0.3
    focus_power: Annotated[float, Field(gt=0, description="Tversky: power that stresses hard patches.")] = 0.75
    teaching: Annotated[
        Share,
        Field(description="Share of the teacher's opinion in the loss, where there is one; the rest are the masks."),
    ] = 1.0
    frequency: Annotated[
        float, Field(ge=0, description="Tasks fill and blind: weight of the difference of the spectra.")
    ] = 0.1
    relative: Annotated[
        Share,
        Field(
            description="Tasks fill and blind: count differences relative to the detail around them plus this much of "
            "full light, so that even ground is not forgotten over strong texture; 0 counts them as they are."
        ),
    ] = 0.0
    adversarial: Annotated[
        float, Field(ge=0, description="Tasks fill and blind: weight of the discriminator; 0 trains without one.")
    ] = 0.002
    adversarial_start: Annotated[
        Share, Field(description="Tasks fill and blind: share of the run after which the discriminator joins.")
    ] = 0.5
    discriminator_channels: Annotated[
        int, Field(ge=1, description="Tasks fill and blind: channels of the discriminator's first layer.")
    ] = 32
    discriminator_rate: Annotated[
        float, Field(gt=0, description="Tasks fill and blind: learning rate of the discriminator, as a factor.")
    ] = 0.5


class OptimiserConfig(Settings):
    """How it is minimised: AdamW."""

    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate.")] = 2e-3
    weight_decay: Annotated[
        float, Field(ge=0, description="Decoupled weight decay (L2), none on norms and biases.")
    ] = 0.01
    schedule: Annotated[Schedule, Field(description="How the learning rate goes after warming up.")] = Schedule.cosine
    warmup: Annotated[Share, Field(description="Share of the run in which the learning rate rises.")] = 0.05
    batch_size: Annotated[int, Field(ge=1, description="Patches per step and device.")] = 16
    gradient_clip: Annotated[float, Field(ge=0, description="Largest norm of the gradient; 0 leaves it alone.")] = 1.0
    ema: Annotated[
        float, Field(ge=0, lt=1, description="Decay of the averaged weights that are scored and shipped; 0 for none.")
    ] = 0.998


class RunConfig(Settings):
    """How long, where, on what."""

    task: Annotated[
        Task,
        Field(
            description="What is learned: to find damage (detect), to fill masked pixels (fill), to restore without a "
            "mask (blind)."
        ),
    ] = Task.detect
    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$", description="Name of the run and of its folders.")] = (
        "my-model"
    )
    out: Annotated[Path, Field(description="Where models/, results/ and runs/ are put.")] = Path()
    epochs: Annotated[int, Field(ge=1, description="Times each patch is seen.")] = 45
    budget_minutes: Annotated[
        float | None,
        Field(gt=0, description="Fit the whole run into this time: the learning rate falls by the clock."),
    ] = None
    patience: Annotated[
        int | None, Field(ge=1, description="Stop after this many validations without a better one.")
    ] = None
    validate_every: Annotated[float, Field(gt=0, description="Validate every so many epochs.")] = 1.0
    save_minutes: Annotated[float, Field(ge=0, description="Save the state at least this often.")] = 5.0
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Decides everything random.")] = 0
    precision: Annotated[Precision, Field(description="Number format; auto takes bf16 where the hardware has it.")] = (
        Precision.auto
    )
    accelerator: Annotated[str, Field(description="auto, cpu, gpu ...")] = "auto"
    devices: Annotated[int, Field(ge=1, description="Devices to train on; several run in parallel (DDP).")] = 1
    threads: Annotated[int | None, Field(ge=1, description="CPU threads; all cores unless given.")] = None
    samples: Annotated[int, Field(ge=0, le=64, description="Validation pictures drawn with their predictions.")] = 8
    tophat: Annotated[bool, Field(description="Score the classical detector on the same pictures at the end.")] = True


class TrainConfig(Settings):
    """One training run."""

    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="before")
    @classmethod
    def _usual_network(cls, tables: Any) -> Any:
        """The architecture follows from the task unless it is given."""
        run, model = tables.get("run", {}), tables.get("model", {})
        task = run.get("task") if isinstance(run, dict) else run.task
        if task in tuple(Task) and isinstance(model, dict) and "architecture" not in model:
            return tables | {"model": model | {"architecture": ARCHITECTURES[Task(task)][0]}}
        return tables

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        task, architecture = self.run.task, self.model.architecture
        if architecture not in ARCHITECTURES[task]:
            usual = ", ".join(one.value for one in ARCHITECTURES[task])
            raise ValueError(f"the network {architecture.value} is not made to {task.value}: choose {usual}")
        if task is Task.detect:
            return self
        if self.model.teacher:
            raise ValueError(f"the task {task.value} has no teacher: leave it out")
        if self.run.devices > 1 or self.run.precision is Precision.fp16:
            raise ValueError(f"the task {task.value} trains on one device, in float32 or bf16")
        return self

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if self.data.data is None and self.data.photos is None:
            raise ValueError("there is nothing to learn from: give --data, a folder of pairs, or --photos")
        data = self.data
        drawn = (data.recipe, data.overlays, data.cracks, data.folds, data.transplant, *data.outlines)
        if data.photos is None and any(drawn):
            raise ValueError("a recipe and material are there to draw on photos: give --photos too")
        return self

    @classmethod
    def load(cls, path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Self:
        """Read a TOML file; flags, by their field's name, win over it.

        Raises
        ------
        SettingsError
            If the file cannot be read, or a key is unknown, or a value out of bounds.
        """
        tables = _read_toml(path) if path else {}
        for name, value in (flags or {}).items():
            tables.setdefault(section_of(name), {})[_field(name).alias or name] = value
        try:
            return cls(**tables)
        except ValidationError as error:
            where = f"The configuration {path}" if path else "This configuration"
            raise SettingsError(f"{where} does not fit: {explain(error)}. See `redust train --help`.") from error

    def to_toml(self) -> str:
        """This configuration as a TOML file; what is not set is left out."""
        tables = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return "\n".join(_table(name, values) for name, values in tables.items())


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"The configuration {path} cannot be read: {error}. Check the path and the TOML."
        ) from error


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every field as (section, name, field); the names are unique across sections."""
    for section, info in TrainConfig.model_fields.items():
        kind = info.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, Settings)
        for name, field in kind.model_fields.items():
            yield section, name, field


def flag_settings() -> type[Settings]:
    """All fields in one flat class, from which flags are made; :meth:`TrainConfig.load` sorts them again."""
    flat: dict[str, Any] = {name: (field.annotation, field) for _, name, field in fields()}
    return create_model("TrainFlags", __base__=Settings, **flat)


def section_of(name: str) -> str:
    """The section that holds the field `name`."""
    return next(section for section, other, _ in fields() if other == name)


def _field(name: str) -> FieldInfo:
    return next(field for _, other, field in fields() if other == name)


def _table(name: str, values: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
