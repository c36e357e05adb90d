"""Networks, weights and their cards."""

from __future__ import annotations

import os
from pathlib import Path

from redust.core.errors import ModelError
from redust.models.card import CARD_NAME, ModelCard, read_card

__all__ = ["ModelCard", "read_card", "shipped", "shipped_folder", "shipped_for"]

# ONNX Runtime reads this when it is imported, which only happens below this package; without it, it sends usage data.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_WEIGHTS = Path(__file__).parent / "weights"


def shipped_folder(name: str) -> Path:
    """The folder of the model `name` that comes with the package."""
    return _WEIGHTS / name


def shipped_for(name: str, task: str, flag: str) -> Path:
    """The folder of the model `name`, if this package comes with one.

    Raises
    ------
    ModelError
        If it does not; says how to train one and which flag takes it.
    """
    folder = shipped_folder(name)
    if not (folder / CARD_NAME).is_file():
        raise ModelError(
            f"This ReDust comes without a model for the task {task}. Train one (redust train --task {task}) "
            f"and name its folder: {flag} models/NAME."
        )
    return folder


def shipped() -> dict[Path, ModelCard]:
    """The cards of all models that come with the package, by their folders."""
    return {path.parent: read_card(path.parent) for path in sorted(_WEIGHTS.rglob(CARD_NAME))}
