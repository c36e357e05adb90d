"""A trained network as detector, run by ONNX Runtime."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Detector, DetectorSpec, Needs
from redust.core.settings import Provider, Weights
from redust.core.tiles import round_up
from redust.models import ModelCard, read_card, shipped_folder
from redust.models.runtime import open_model

_TILE = 768  # measured: 5 % slower than 1,024 for its larger share of halo, in 60 % of the memory
_LARGE_TILE = 1024  # for networks whose halo would otherwise be more than half of the window
_LARGE_HALO = 128


class OnnxDetector(Detector):
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
        If the card or the weights are missing, damaged, or name files outside the folder.
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
        self._folder = folder
        self._runtime_options: dict[str, Any] = {"threads": threads, "provider": provider, "weights": weights}
        pre_blur = self.card.pre_blur
        has_blurred = pre_blur is not None and bool(pre_blur.network)
        if pre_blur is not None and has_blurred:
            read_card(folder / pre_blur.network)  # a missing one is an error now, not amid a run
        if self.card.regions:
            read_card(folder / self.card.regions)
        self.spec = DetectorSpec(
            name=self.card.name,
            needs=_needs_of(self.card),
            card=self.card,
            folder=folder,
            weights=self._session.weights,
            provider=self._session.provider,
            warnings=tuple(self._session.warnings),
            level=self.card.level,
            levels=self.card.levels,
            prior_shift=self.card.prior_shift,
            pre_blur=pre_blur,
            regions=folder / self.card.regions if self.card.regions else None,
            open_blurred=self._open_blurred if has_blurred else None,
        )

    def _open_blurred(self) -> Detector:
        return self._blurred_detector

    @cached_property
    def _blurred_detector(self) -> OnnxDetector:
        """The network that serves blurred scans, loaded when first needed."""
        assert self.card.pre_blur is not None
        return OnnxDetector(self._folder / self.card.pre_blur.network, **self._runtime_options)

    def detect(self, light: Light) -> DamageMap:
        """The probability of damage; see :class:`redust.core.engines.Detector`."""
        return self._session.run(light)[..., 0]

    def release_memory(self) -> None:
        """Give back memory that ONNX Runtime holds from one tile to the next."""
        side = round_up(self.spec.needs.minimum, self.spec.needs.multiple_of)
        self._session.run(np.zeros((side, side, self.card.channels), np.float32), release_memory=True)


def _needs_of(card: ModelCard) -> Needs:
    return Needs(
        multiple_of=card.stride,
        minimum=card.fixed_size or card.stride,
        context=card.halo,
        channels=(card.channels,),
        per_tile=_TILE if card.halo <= _LARGE_HALO else _LARGE_TILE,
        threadsafe=True,
        scales=card.scales,
        scale_weights=card.scale_weights,
    )


def shipped_unet(
    *, threads: int | None = None, provider: Provider = Provider.cpu, weights: Weights = Weights.auto
) -> OnnxDetector:
    """The network that comes with ReDust."""
    return OnnxDetector(shipped_folder("unet"), threads=threads, provider=provider, weights=weights)
