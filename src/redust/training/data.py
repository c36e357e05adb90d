"""Training data of any task: pictures held back for validation, size and number of patches, what draws damage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from redust.core.errors import ScanError, SettingsError, TrainingError
from redust.core.tiles import round_up
from redust.files.pairs import Library, PairPaths
from redust.synthesis.synthesizer import Synthesizer
from redust.training.config import ARCHITECTURES, DataConfig, TrainConfig

CACHE_MEGABYTES = 2000.0
VALIDATION_NUMBERS = 2**40  # no training patch ever has one of these numbers

_DEFAULT_PATCH = 192
_MAX_PATCHES = 64
_VALIDATION_SHARE, _MAX_VALIDATION = 0.1, 100


@dataclass(frozen=True)
class TrainingData:
    """Data that a run trains on and is measured on.

    Parameters
    ----------
    patches, patch, items
        A dataset by keys, the side of a patch, patches per epoch. What a patch holds depends on the task.
    validation
        What selects the best weights, by number; what an item holds depends on the task.
    test
        Pairs that are only measured at the end; empty if the folder has none.
    sha256
        Of all files and of how masks are cut.
    facts
        Sentences for the model card.
    """

    patches: Any
    patch: int
    items: int
    validation: Any
    test: tuple[PairPaths, ...]
    sha256: str
    facts: list[str]


def split_validation(
    pairs: tuple[PairPaths, ...], config: TrainConfig, train_size: int | None = None
) -> tuple[tuple[PairPaths, ...], tuple[PairPaths, ...]]:
    """Split into pairs to train on, at most `train_size`, and pairs that select the best weights.

    Raises
    ------
    TrainingError
        If there are too few.
    """
    order = np.random.default_rng(config.run.seed).permutation(len(pairs))
    mixed = [pairs[index] for index in order]
    if config.data.overfit:
        few = tuple(mixed[: config.data.overfit])
        return few, few
    if len(pairs) < 2:
        raise TrainingError(
            "One picture is too few: some are kept back to choose the best weights by. "
            "Add pictures, or learn it by heart with --overfit 1."
        )
    held = min(max(1, round(_VALIDATION_SHARE * len(pairs))), _MAX_VALIDATION)
    return tuple(mixed[held:][:train_size]), tuple(mixed[:held])


def choose_patch(config: TrainConfig, stride: int, area: float) -> int:
    """The patch side for a network of this `stride` and pictures of this mean `area` in pixels.

    Raises
    ------
    SettingsError
        If the configured side does not suit the network.
    """
    side = config.data.patch
    if side is None:
        return round_up(min(int(area**0.5), _DEFAULT_PATCH), stride)
    if side % stride:
        raise SettingsError(
            f"The network {ARCHITECTURES[config.run.task]} takes patches whose side is a multiple of {stride}, "
            f"not {side}. Say --patch {round_up(side, stride)}."
        )
    return side


def count_patches(data: DataConfig, patch: int, area: float) -> int:
    """How many patches of a picture make an epoch: about as many as cover it."""
    return data.patches_per_picture or int(np.clip(np.ceil(area / patch**2), 1, _MAX_PATCHES))


def measure_area(pictures: Library) -> float:
    """Mean pixels per picture; each is read, so that a bad one is known before training starts."""
    return float(np.mean([pictures[index][1].size for index in range(len(pictures))]))


def make_synthesizer(data: DataConfig, seed: int) -> Synthesizer:
    """The synthesizer of damage on photos, by the recipe and the material of the configuration.

    Raises
    ------
    TrainingError
        If material cannot be used.
    """
    try:
        return Synthesizer.from_files(recipe=data.recipe, seed=seed, **_find_material(data.material))
    except (ScanError, OSError) as error:
        raise TrainingError(f"The material to draw with cannot be used: {error}") from error


def _find_material(folder: Path | None) -> dict[str, Any]:
    """The material in a folder, by the keywords of :meth:`Synthesizer.from_files`."""
    if folder is None:
        return {}
    paths: dict[str, Any] = {
        "overlays": folder / "overlays",
        "cracks": folder / "cracks.npz",
        "folds": folder / "folds",
        "transplant": folder / "transplant",
    }
    material = {name: path for name, path in paths.items() if path.exists()}
    if outlines := sorted((folder / "outlines").glob("*.json")):
        material["outlines"] = outlines
    if (folder / "cracks/cracks.npz").exists():
        material["cracks"] = folder / "cracks/cracks.npz"
    if not material and not (folder / "film").is_dir():
        raise TrainingError(
            f"{folder} holds no material. Put overlays/, outlines/ with JSON files, cracks.npz, folds/ or transplant/ "
            "into it."
        )
    return material
