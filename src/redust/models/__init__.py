"""Networks, weights and their cards."""

from __future__ import annotations

from pathlib import Path

from redust.models.card import ModelCard, read_card

__all__ = ["ModelCard", "read_card", "shipped", "shipped_folder"]

_WEIGHTS = Path(__file__).parent / "weights"


def shipped_folder(name: str) -> Path:
    """Where the model `name` that comes with the package lies."""
    return _WEIGHTS / name


def shipped() -> list[ModelCard]:
    """The cards of all models that come with the package, by name."""
    return [read_card(path.parent) for path in sorted(_WEIGHTS.glob("*/card.json"))]
