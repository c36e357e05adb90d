"""One training run as data: a TOML file; every field is also a flag of ``redust train``.

The sections are the tables of the file, the fields its keys; a field's description is its flag's help.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo

from redust.core.errors import SettingsError
from redust.core.settings_base import Settings, explain
from redust.core.toml_file import read_toml
from redust.models import shipped_folder

Share = Annotated[float, Field(ge=0, le=1)]


class Task(StrEnum):
    """What a network is trained to do."""

    detect = "detect"
    fill = "fill"
    generator = "generator"


ARCHITECTURES = {Task.detect: "unet", Task.fill: "gated", Task.generator: "attentive"}
"""The network of each task."""


class LossName(StrEnum):
    """The loss of a detector."""

    bce = "bce"
    bce_dice = "bce-dice"
    focal_tversky = "focal-tversky"
    cldice = "cldice"


class Precision(StrEnum):
    """Number format of the multiplications; the weights stay float32."""

    auto = "auto"
    float32 = "float32"
    bf16 = "bf16"


class Augmentation(StrEnum):
    """How strongly patches are augmented; each step includes the one before."""

    none = "none"
    flips = "flips"
    tone = "tone"
    full = "full"


class DataConfig(Settings):
    """Training data."""

    data: Annotated[
        Path | None,
        Field(
            description="Folder of pairs: images/ and masks/, or the thesis's layout. Task fill: the same; it learns "
            "from the undamaged pixels. Task generator: images/ and clean/, the same pictures without damage."
        ),
    ] = None
    mask_level: Annotated[
        int | None,
        Field(ge=1, le=255, description="Threshold for grey masks; unless given, masks hold 0, 128 (ignored) and 255."),
    ] = None
    photos: Annotated[Path | None, Field(description="Folder of undamaged photos to draw damage on.")] = None
    photos_share: Annotated[Share, Field(description="Share of patches from photos where pairs are given too.")] = 0.5
    recipe: Annotated[Path | None, Field(description="TOML file that says what damage is drawn on photos.")] = None
    material: Annotated[
        Path | None,
        Field(
            description="Folder of material. Besides --photos: shapes to draw on them too, overlays/, outlines/ "
            "(JSON), cracks.npz, folds/, transplant/ (pairs whose damage is pasted); any of them. Alone: scans to "
            "learn from as well, film/ and plates/ with masks, film_sound/, photos/."
        ),
    ] = None
    held_rolls: Annotated[
        tuple[str, ...],
        Field(description="With --material alone: how the names begin of the scans that select the best weights."),
    ] = ()
    overfit: Annotated[
        int | None, Field(ge=1, description="Train and validate on this many pairs: finds broken code and data.")
    ] = None
    patch: Annotated[
        int | None,
        Field(ge=16, le=2048, description="Patch side in pixels; unless given, what suits network and data."),
    ] = None
    patches_per_picture: Annotated[
        int | None,
        Field(ge=1, description="Patches per picture and epoch; unless given, as many as cover it, at most 64."),
    ] = None
    foreground_share: Annotated[
        Share, Field(description="Foreground oversampling: share of patches that are centred on damage.")
    ] = 0.5
    hard_negatives: Annotated[
        Share,
        Field(
            description="Hard-negative mining: at most this share of a batch is replaced by patches without damage in "
            "which the network marked some."
        ),
    ] = 0.0
    augment: Annotated[
        Augmentation,
        Field(description="none; flips (and quarter turns); tone: brightness and gamma too; full: all of it."),
    ] = Augmentation.full
    grey_share: Annotated[Share, Field(description="Share of patches that are made black-and-white.")] = 0.0
    workers: Annotated[int, Field(ge=0, le=256, description="Processes that prepare patches; 0 uses a thread.")] = 0

    @property
    def learns_from_material(self) -> bool:
        """Whether the scans to learn from are those of the material."""
        return self.material is not None and self.data is None and self.photos is None


class ModelConfig(Settings):
    """The network."""

    start: Annotated[
        str | None, Field(alias="from", description="Fine-tune this model: a name, or a model folder.")
    ] = None
    channels: Annotated[
        tuple[int, ...] | None, Field(description="Channels of each level; the network's own unless given.")
    ] = None
    attention: Annotated[
        str, Field(description="Task generator: the detector whose damage map is an input of the network.")
    ] = "unet"
    teacher: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda names: (names,) if isinstance(names, str) else names),
        Field(
            description="Task detect: distil this detector (a name or a model folder), averaged over flips and quarter "
            "turns. May be given several times: the mean of their logits is the target."
        ),
    ] = ()
    freeze_batchnorm: Annotated[
        bool, Field(description="Keep the running statistics of batch norm as they are in the model of --from.")
    ] = False

    model_config = Settings.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _check_freeze(self) -> Self:
        if self.freeze_batchnorm and self.start is None:
            raise ValueError("a new network has no statistics to freeze: name a model with --from, or leave it out")
        return self

    @property
    def teacher_folders(self) -> tuple[Path, ...]:
        """The model folders of the teachers."""
        return tuple(find_model_folder(name) for name in self.teacher)

    @property
    def start_folder(self) -> Path | None:
        """The folder of the model to start from."""
        return find_model_folder(self.start) if self.start is not None else None


def find_model_folder(name: str) -> Path:
    """The folder of a model that ships with ReDust, or else `name` as a path."""
    shipped = shipped_folder(name)
    return shipped if shipped.is_dir() else Path(name)


class LossConfig(Settings):
    """The loss."""

    loss: Annotated[LossName, Field(description="Task detect: the loss.")] = LossName.bce_dice
    region_weight: Annotated[
        Share, Field(description="Weight of the Dice or clDice term; the remainder is cross-entropy.")
    ] = 0.5
    prevalence_weighting: Annotated[
        Share,
        Field(
            description="Weight each patch in the cross-entropy by its damaged share to minus this power, so that a "
            "few specks count as much as a crumpled print; 0 weights all alike."
        ),
    ] = 0.0
    distillation_weight: Annotated[
        Share, Field(description="With a teacher: weight of its logits; the remainder goes to the masks.")
    ] = 1.0
    label_cleaning: Annotated[
        float,
        Field(
            ge=0,
            lt=0.5,
            description="With a teacher: ignore mask pixels whose label it gives a probability below this; 0 ignores "
            "none.",
        ),
    ] = 0.0
    adversarial_start: Annotated[
        Share,
        Field(description="Tasks fill and generator: share of the run after which the discriminator joins; 1: never."),
    ] = 0.5


class OptimiserConfig(Settings):
    """The optimiser: AdamW."""

    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate.")] = 2e-3
    weight_decay: Annotated[
        float, Field(ge=0, description="Decoupled weight decay (L2), none on norms and biases.")
    ] = 0.01
    batch_size: Annotated[int, Field(ge=1, description="Patches per step.")] = 16


class RunConfig(Settings):
    """How long, where, on what."""

    task: Annotated[
        Task, Field(description="Find damage (detect), fill masked pixels (fill), or restore without a mask.")
    ] = Task.detect
    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$", description="Name of the run and of its folders.")] = (
        "my-model"
    )
    out: Annotated[Path, Field(description="Folder for models/, results/ and runs/.")] = Path()
    card: Annotated[
        Path | None,
        Field(description="TOML file of what the model card says of the data: data, licence, summary, limits ..."),
    ] = None
    epochs: Annotated[int, Field(ge=1, description="Passes over the data.")] = 45
    budget_minutes: Annotated[
        float | None,
        Field(gt=0, description="Fit the run into this time, export and scoring included; it replaces --epochs."),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed of everything random.")] = 0
    precision: Annotated[Precision, Field(description="Number format; auto takes bf16 where the hardware has it.")] = (
        Precision.auto
    )
    accelerator: Annotated[str, Field(description="auto, cpu, gpu ...")] = "auto"
    threads: Annotated[int | None, Field(ge=1, description="CPU threads; all cores unless given.")] = None


class TrainConfig(Settings):
    """One training run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        if self.run.task is not Task.detect and self.model.teacher:
            raise ValueError(f"the task {self.run.task.value} has no teacher: leave it out")
        if self.loss.label_cleaning and not self.model.teacher:
            raise ValueError("label cleaning needs a teacher: give --teacher too")
        return self

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        data = self.data
        if data.data is None and data.photos is None and data.material is None:
            raise ValueError("there is no training data: give --data, a folder of pairs, --photos or --material")
        if data.learns_from_material:
            return self
        if data.photos is None and (data.recipe or data.material):
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
        tables = read_toml(path, "configuration") if path else {}
        for name, value in (flags or {}).items():
            section, field = find_field(name)
            tables.setdefault(section, {})[field.alias or name] = value
        try:
            return cls(**tables)
        except ValidationError as error:
            subject = f"The configuration {path}" if path else "This configuration"
            raise SettingsError(f"{subject} does not fit: {explain(error)}. See `redust train --help`.") from error

    def to_toml(self) -> str:
        """This configuration as a TOML file; what is not set is left out."""
        tables = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return "\n".join(_format_table(name, values) for name, values in tables.items())


def list_fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every field as (section, name, field); the names are unique across sections."""
    for section, info in TrainConfig.model_fields.items():
        kind = info.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, Settings)
        for name, field in kind.model_fields.items():
            yield section, name, field


def flag_settings() -> type[Settings]:
    """All fields in one flat class, from which flags are made; :meth:`TrainConfig.load` sorts them again."""
    flat: dict[str, Any] = {name: (field.annotation, field) for _, name, field in list_fields()}
    return create_model("TrainFlags", __base__=Settings, **flat)


def find_field(name: str) -> tuple[str, FieldInfo]:
    """The section that holds the field `name`, and the field."""
    return next((section, field) for section, key, field in list_fields() if key == name)


def _format_table(name: str, values: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {_format_value(value)}" for key, value in values.items())]) + "\n"


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_format_value, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
