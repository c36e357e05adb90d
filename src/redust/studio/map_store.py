"""Damage maps on the disk: predicted once for a scan's bytes and a network, whatever is decided of them later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import redust
from redust.batch.storage import stat_file
from redust.core.arrays import DamageMap
from redust.core.engines import DetectorSpec, MapSpec
from redust.core.logits import QuantisedMap
from redust.decision.region_classifier import RegionThreshold, threshold_of
from redust.decision.sensitivity_steps import MarkedSteps, SensitivityScale
from redust.studio.sparse_array import open_sparse, trim_folder, write_sparse


@dataclass(frozen=True)
class MapKey:
    """What a damage map, and the steps at which it is marked, were made from.

    Parameters
    ----------
    input_sha256
        Of the scan's file.
    network
        Hash of the network and of what it is run with.
    judge
        Hash of the levels and of what judges regions.
    """

    input_sha256: str
    network: str
    judge: str


def key_of_engine(spec: MapSpec, input_sha256: str, infrared_files: Sequence[Path] = ()) -> MapKey:
    """The key of the maps of a scan by an engine.

    Parameters
    ----------
    infrared_files
        Files beside the scan that hold its infrared.
    """
    blur = spec.pre_blur.model_dump() if isinstance(spec, DetectorSpec) and spec.pre_blur else None
    threshold, scale = threshold_of(spec), SensitivityScale.of_engine(spec)
    shift = spec.prior_shift.model_dump() if spec.prior_shift else None
    judge = threshold.classifier.sha256 if isinstance(threshold, RegionThreshold) else shift
    stamps = [(path.name, *astuple(stat_file(path))) for path in infrared_files]
    network = _hash_json([redust.__version__, spec.name, spec.sha256, blur, *stamps])
    return MapKey(input_sha256, network, _hash_json([scale.shy, scale.normal, scale.eager, judge]))


class MapStore:
    """A folder of damage maps.

    Parameters
    ----------
    folder
        Made where it is missing.
    max_bytes
        Maps not used for longest are deleted beyond it.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def read_map(self, key: MapKey) -> DamageMap | QuantisedMap | None:
        """The damage map; None where it is not known."""
        damage = open_sparse(self._map_path(key))
        if damage is None:
            return None
        return QuantisedMap(damage) if damage.dtype == np.uint8 else damage

    def read_steps(self, key: MapKey) -> MarkedSteps | None:
        """At how many steps each pixel is marked, (H, W) uint8; None where it is not known."""
        return open_sparse(self._steps_path(key))

    def write_map(self, key: MapKey, damage: DamageMap | QuantisedMap) -> None:
        """Store a damage map."""
        self._write(self._map_path(key), damage.bins if isinstance(damage, QuantisedMap) else damage)

    def write_steps(self, key: MapKey, marked_steps: MarkedSteps) -> None:
        """Store the steps."""
        self._write(self._steps_path(key), marked_steps)

    def _write(self, path: Path, array: NDArray[Any]) -> None:
        write_sparse(path, array)
        trim_folder(self._folder, self._max_bytes)

    def _map_path(self, key: MapKey) -> Path:
        return self._folder / key.input_sha256[:2] / f"{key.input_sha256}-{key.network[:16]}.npy"

    def _steps_path(self, key: MapKey) -> Path:
        name = f"{key.input_sha256}-{key.network[:16]}-{key.judge[:16]}.npy"
        return self._folder / key.input_sha256[:2] / name


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
