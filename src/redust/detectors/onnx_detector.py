"""A trained network as detector, run by ONNX Runtime."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Needs
from redust.core.settings import Provider, Weights
from redust.core.tiles import round_up
from redust.models import read_card, shipped_folder
from redust.models.runtime import open_model

_TILE = 768  # measured: 5 % slower than 1,024 for its larger share of halo, in 60 % of the memory
_WIDE_TILE = 1024  # for networks whose halo would else be more than half of what they are given
_WIDE_HALO = 128


class OnnxDetector:
    """A network from a model folder.

    Parameters
    ----------
    folder
        Holds ``card.json`` and the ONNX file it names. The network takes (N, C, H, W) float32 in 0..1
        and gives probabilities (N, 1, H, W).
    threads
        Threads of ONNX Runtime; all cores unless given.
    provider, weights
        What runs which weights; see :class:`redust.models.runtime.Session` and
        :func:`redust.models.runtime.open_model`.

    Raises
    ------
    ModelError
        If the card or the weights are missing, damaged, or ask for files outside the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int | None = None,
        provider: Provider = Provider.cpu,
        weights: Weights = Weights.auto,
    ) -> None:
        self.card, self._session = open_model(folder, "detect", threads=threads, provider=provider, weights=weights)
        self.name = self.card.name
        self.folder = folder
        self.kind, self.provider, self.remarks = self._session.kind, self._session.provider, self._session.remarks
        self.level = self.card.level
        self.levels = self.card.levels
        self.prior_shift = self.card.prior_shift
        self.pre_blur = self.card.pre_blur
        self._how: dict[str, Any] = {"threads": threads, "provider": provider, "weights": weights}
        if self.pre_blur is not None and self.pre_blur.network:
            read_card(folder / self.pre_blur.network)  # better missed now than amid a run
        size = self.card.fixed_size
        self.needs = Needs(
            multiple_of=self.card.stride,
            minimum=size or self.card.stride,
            context=self.card.halo,
            channels=(self.card.channels,),
            per_tile=_TILE if self.card.halo <= _WIDE_HALO else _WIDE_TILE,
            threadsafe=True,
            scales=self.card.scales,
            scale_weights=self.card.scale_weights,
        )

    @cached_property
    def blurred_detector(self) -> OnnxDetector:
        """What sees blurred scans in its place: the network that its card names for them, loaded now, or itself."""
        network = self.pre_blur.network if self.pre_blur else ""
        return OnnxDetector(self.folder / network, **self._how) if network else self

    def detect(self, light: Light) -> DamageMap:
        """Give the probability of damage; see :class:`redust.core.engines.Detector`."""
        return self._session.run(light)[..., 0]

    def rest(self) -> None:
        """Give back memory that is kept from one tile to the next, until there is another one."""
        side = round_up(self.needs.minimum, self.needs.multiple_of)
        self._session.run(np.zeros((side, side, self.card.channels), np.float32), then_rest=True)


def shipped_unet(
    *, threads: int | None = None, provider: Provider = Provider.cpu, weights: Weights = Weights.auto
) -> OnnxDetector:
    """The network that comes with ReDust."""
    return OnnxDetector(shipped_folder("unet"), threads=threads, provider=provider, weights=weights)
