"""A trained network as detector, run by ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from redust.core.arrays import DamageMap, Light
from redust.core.engines import Needs
from redust.core.errors import EngineError, ModelError
from redust.models import shipped_folder
from redust.models.card import read_card, weights

# ONNX Runtime's exceptions have no common base but Exception.
_FAILURES = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
)

_TILE = 768  # measured: 5 % slower than 1,024 for its larger share of halo, in 60 % of the memory


class NetworkDetector:
    """A network from a model folder.

    Parameters
    ----------
    folder
        Holds ``card.json`` and the ONNX file it names. The network takes (N, C, H, W) float32 in 0..1
        and gives probabilities (N, 1, H, W).
    threads
        Threads of ONNX Runtime; all cores unless given.
    kind
        Which weight file: ``"onnx"`` (float32) or ``"onnx-int8"``.

    Raises
    ------
    ModelError
        If the card or the weights are missing, damaged, or ask for files outside the folder.
    """

    def __init__(self, folder: Path, *, threads: int | None = None, kind: str = "onnx") -> None:
        self.card = read_card(folder)
        if self.card.task != "detect":
            raise ModelError(f"The model {self.card.name} is made to {self.card.task}, not to detect. Choose another.")
        self.name = self.card.name
        self.folder = folder
        self.kind = kind
        self.level = self.card.level
        self.levels = self.card.levels
        size = self.card.fixed_size
        self.needs = Needs(
            multiple_of=self.card.stride,
            minimum=size or self.card.stride,
            context=self.card.halo,
            channels=(self.card.channels,),
            per_tile=_TILE,
            threadsafe=True,
        )
        self._session = _session(weights(folder, kind), threads)
        self._input = self._session.get_inputs()[0].name

    def detect(self, light: Light) -> DamageMap:
        """Give the probability of damage; see :class:`redust.core.engines.Detector`."""
        batch = np.ascontiguousarray(light.transpose(2, 0, 1)[None])
        try:
            (found,) = self._session.run(None, {self._input: batch})
        except _FAILURES as error:
            raise EngineError(f"The network {self.name} failed on a tile: {error}. Try a smaller --tile.") from error
        damage: DamageMap = found[0, 0]
        return damage


def shipped_unet(*, threads: int | None = None) -> NetworkDetector:
    """The network that comes with ReDust."""
    return NetworkDetector(shipped_folder("unet"), threads=threads)


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """Open an ONNX file from its bytes: a model that keeps data in other files is refused, not followed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.log_severity_level = 3
    # Border tiles differ in size, and a memory plan for each would be kept: 20 % of the peak for no time.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise ModelError(f"{path} cannot be opened by ONNX Runtime: {error}. Copy the model again.") from error
