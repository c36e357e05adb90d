"""Facts that travel with weights."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from redust.core.atomic import whole_file
from redust.core.engines import PreBlur, PriorShift, check_scales
from redust.core.errors import ModelError, TargetError
from redust.core.settings import Sensitivity

CARD_NAME = "card.json"
FLOAT32, INT8 = "onnx", "onnx-int8"  # kinds of weight files
_INT8_TOLERANCE = 0.005  # of f1

_MAX_BYTES = 1_000_000  # of a card

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Side: TypeAlias = Annotated[int, Field(ge=1, le=2048)]


class ModelCard(BaseModel):
    """What a model is, what it was made from, how good it is.

    A model is a folder: ``card.json`` beside one or more weight files it names. Weights without a card, or
    whose sha256 differs from the card's, are refused.

    ``level`` is the default threshold of its maps. ``levels`` are those by sensitivity, ``normal`` being ``level``;
    ``false_positive_rates`` the shares of pixels they mark on the undamaged pictures that ``calibrated_on`` describes.
    All three are empty where the model was not calibrated.

    ``prior_shift`` says how the threshold follows the scan (:class:`redust.core.engines.PriorShift`); without one it
    is the same for every scan.

    ``pre_blur`` says by how much the network may blur a scan first where that lowers its uncertainty
    (:class:`redust.core.engines.PreBlur`); without one it never does.

    ``scales`` are the factors by which a scan is downscaled for the network; the mean of the logits counts, weighted
    by ``scale_weights`` where there are any. ``gflop_per_megapixel`` is that of all of them together.

    ``attention`` names the detector whose damage map a generator takes as input, its log odds raised by
    ``attention_shift``; empty if it takes none.

    ``f1_by_weights`` is the f1 of ``onnx`` and of ``onnx-int8`` on the same pictures, at the card's level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    task: Literal["detect", "regions", "fill", "generator"] = "detect"
    summary: str
    architecture: str
    options: dict[str, Any] = {}
    parameters: Annotated[int, Field(ge=0)]
    gflop_per_megapixel: float | None = None
    channels: Literal[1, 3] = 3
    normalisation: str
    scales: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(max_length=8)] = (1,)
    scale_weights: tuple[Share, ...] = ()
    attention: str = ""
    attention_shift: Annotated[float, Field(ge=-5, le=5)] = 0.0
    stride: Annotated[int, Field(ge=1, le=256)] = 1
    halo: Annotated[int, Field(ge=0, le=1024)]
    patch: Side | None = None
    fixed_size: Side | None = None
    level: Share = 0.5
    levels: dict[Sensitivity, Share] = {}
    prior_shift: PriorShift | None = None
    pre_blur: PreBlur | None = None
    regions: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")] = ""
    false_positive_rates: dict[Sensitivity, Share] = {}
    calibrated_on: str = ""
    f1_by_weights: dict[str, Share] = {}
    files: dict[str, str]
    sha256: dict[str, str]
    resolution: str = ""
    data: list[str] = []
    licence: str = ""
    metrics: dict[str, dict[str, float]] = {}
    cost: str = ""
    limits: list[str] = []
    made_with: str = ""

    @property
    def int8_is_as_good(self) -> bool:
        """Whether the INT8 weights were measured, and their f1 is at most 0.005 below that of float32."""
        if not {FLOAT32, INT8} <= self.f1_by_weights.keys() or INT8 not in self.files:
            return False
        return self.f1_by_weights[INT8] >= self.f1_by_weights[FLOAT32] - _INT8_TOLERANCE

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        check_scales(self.scales, self.scale_weights)
        return self

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        if not self.levels:
            return self
        if set(self.levels) != set(Sensitivity):
            raise ValueError("levels has not one level for each sensitivity")
        if self.levels[Sensitivity.normal] != self.level:
            raise ValueError("levels has another level for normal than level says")
        if not self.levels[Sensitivity.eager] <= self.level <= self.levels[Sensitivity.shy]:
            raise ValueError("levels are not in order from eager to shy")
        return self

    def to_folder(self, folder: Path) -> None:
        """Write ``card.json`` into `folder`; it appears whole or not at all, for a model without one is lost.

        Raises
        ------
        ModelError
            If it cannot be written.
        """
        path = folder / CARD_NAME
        try:
            with whole_file(path, overwrite=True) as file:
                file.write(f"{self.model_dump_json(indent=2)}\n".encode())
        except TargetError as error:
            raise ModelError(f"{path} cannot be written. {error}") from error


def read_card(folder: Path) -> ModelCard:
    """Read the card of the model in `folder`.

    Raises
    ------
    ModelError
        If there is none, or it is not a card.
    """
    path = folder / CARD_NAME
    try:
        if not os.path.isfile(path):  # also a device, which might never end
            raise FileNotFoundError(path)
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ModelError(f"{path} is too large for a model card. Train or copy the model again.")
        return ModelCard.model_validate_json(content)
    except OSError as error:
        raise ModelError(
            f"{folder} holds no {CARD_NAME}. Name a folder that `redust train` made, or copy the whole model again."
        ) from error
    except ValidationError as error:
        raise ModelError(
            f"{path} is no model card ({_describe_faults(error)}). Train or copy the model again."
        ) from error


def _describe_faults(error: ValidationError) -> str:
    """The first fault, and how many there are."""
    first = error.errors()[0]
    field = ".".join(str(step) for step in first["loc"])
    message = f"{field}: {first['msg']}" if field else str(first["msg"])
    return message if error.error_count() == 1 else f"{message}; {error.error_count()} faults"


def weights_path(folder: Path, kind: str) -> Path:
    """The checked weight file of one kind (``"onnx"``, ``"onnx-int8"``, ``"safetensors"``).

    Raises
    ------
    ModelError
        If the card names none, the file is missing, leaves the folder, or its sha256 is not the card's.
    """
    card = read_card(folder)
    if kind not in card.files:
        raise ModelError(f"The model {card.name} has no {kind} weights, only {', '.join(card.files)}. Export it again.")
    path = folder / card.files[kind]
    if not is_inside(path, folder):
        raise ModelError(f"The card of {card.name} points outside its folder. Do not use this model.")
    if not os.path.isfile(path):
        raise ModelError(f"{path} is missing. Install ReDust again, or copy the whole model folder.")
    if sha256_of(path) != card.sha256.get(kind):
        raise ModelError(f"{path} is not what its card describes (sha256 differs). Copy the model again.")
    return path


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path that a card names lies directly in the card's folder, links followed."""
    return "\0" not in str(path) and os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
