"""Facts that travel with weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redust.core.errors import ModelError

CARD_NAME = "card.json"


class ModelCard(BaseModel):
    """What a model is, what it was made from, how good it is.

    A model is a folder: ``card.json`` beside one or more weight files it names. Weights without a card, or
    whose sha256 differs from the card's, are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    task: Literal["detect", "fill", "blind"] = "detect"
    summary: str
    architecture: str
    options: dict[str, Any] = {}
    parameters: Annotated[int, Field(ge=0)]
    gflop_per_megapixel: float | None = None
    channels: Literal[1, 3] = 3
    normalisation: str
    stride: Annotated[int, Field(ge=1)] = 1
    halo: Annotated[int, Field(ge=0)]
    patch: int | None = None
    fixed_size: int | None = None
    level: Annotated[float, Field(ge=0, le=1)] = 0.5
    files: dict[str, str]
    sha256: dict[str, str]
    resolution: str = ""
    data: list[str] = []
    licence: str = ""
    metrics: dict[str, dict[str, float]] = {}
    cost: str = ""
    limits: list[str] = []
    made_with: str = ""

    def to_folder(self, folder: Path) -> None:
        """Write ``card.json`` into `folder`."""
        (folder / CARD_NAME).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> ModelCard:
    """Read the card of the model in `folder`.

    Raises
    ------
    ModelError
        If there is none, or it is not a card.
    """
    path = folder / CARD_NAME
    try:
        return ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{folder} holds no {CARD_NAME}. Name a folder that `redust train` made.") from error
    except ValidationError as error:
        raise ModelError(
            f"{path} is no model card ({error.error_count()} faults). Train or copy the model again."
        ) from error


def weights(folder: Path, kind: str) -> Path:
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
    if path.resolve().parent != folder.resolve():
        raise ModelError(f"The card of {card.name} points outside its folder. Do not use this model.")
    if not path.is_file():
        raise ModelError(f"{path} is missing. Install ReDust again, or copy the whole model folder.")
    if digest(path) != card.sha256.get(kind):
        raise ModelError(f"{path} is not what its card describes (sha256 differs). Copy the model again.")
    return path


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
