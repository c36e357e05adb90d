"""What a detector thinks of each pixel, put beside the light for a network that is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector
from redust.core.logits import shift_logits
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.training.data import Key
from redust.training.generative.samples import Sample, Tensors


class Attention:
    """Asks a detector, as restoring does.

    Parameters
    ----------
    name
        Of a detector, or the path of a model folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._asked: tuple[int, Detector] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the detector: a process that loads data opens its own."""
        return self.__dict__ | {"_asked": None}

    @property
    def detector(self) -> Detector:
        """The detector of this process: sessions of ONNX Runtime do not outlive a fork."""
        if self._asked is None or self._asked[0] != os.getpid():
            self._asked = os.getpid(), make_detector(self.name, threads=1, weights=Weights.auto)
        return self._asked[1]

    @property
    def fingerprint(self) -> str:
        """What decides its maps, as far as it is known: a network's weights, a name otherwise."""
        card = self.detector.spec.card
        return f" {sorted(card.sha256.values())}" if card else f" {self.name}"

    def map_of(self, light: Light) -> DamageMap:
        """Light (H, W, 3) float32 in 0..1 to a damage map (H, W) float32 in 0..1."""
        return detect_damage(self.detector, light)

    def beside(self, make: Callable[[int], Sample]) -> Callable[[int], Sample]:
        """Samples with the map as a fourth channel of what is given."""

        def made(number: int) -> Sample:
            sample = make(number)
            return replace(sample, given=np.dstack([sample.light, self.map_of(sample.light)]))

        return made


class AttendedPatches(Dataset[Tensors]):
    """Patches with the damage map as a fourth channel of what is given.

    Parameters
    ----------
    patches
        Of light alone.
    attention
        What is asked.
    doubt
        Log odds by which each map is moved down at random, mean and deviation: a detector is surer of pictures it has
        learned from than of those it will meet.
    seed
        Of the run.
    """

    def __init__(self, patches: Dataset[Tensors], attention: Attention, doubt: float, seed: int) -> None:
        self.patches = patches
        self.attention = attention
        self.doubt = doubt
        self.seed = seed

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`redust.training.generative.samples.Sample.tensors`."""
        given, clean, where = self.patches[key]
        damage = self.attention.map_of(np.ascontiguousarray(given.permute(1, 2, 0).numpy()))
        if self.doubt:
            damage = shift_logits(damage, np.random.default_rng([self.seed, key[0], 3]).normal(-self.doubt, self.doubt))
        return torch.cat([given, torch.from_numpy(damage)[None]]), clean, where
