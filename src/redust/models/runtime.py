"""Networks run by ONNX Runtime: the one place that opens its files and knows its failures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from redust.core.errors import EngineError, ModelError
from redust.models.card import ModelCard, read_card, weights

# ONNX Runtime's exceptions have no common base but Exception.
FAILURES = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
)


class Session:
    """An ONNX file, ready to be run; several threads may run it at once.

    Parameters
    ----------
    path
        Read whole: a model that keeps data in other files is refused, not followed.
    threads
        Threads of one run; all cores unless given.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot open it.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.log_severity_level = 3
        # Border tiles differ in size, and a memory plan for each would be kept: 20 % of the peak for no time.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except FAILURES as error:
            raise ModelError(f"{path} cannot be opened by ONNX Runtime: {error}. Copy the model again.") from error
        self._input = self._session.get_inputs()[0].name

    def run(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give planes (H, W, C) to the network; what it answers, (H, W, D).

        Raises
        ------
        EngineError
            If ONNX Runtime fails.
        """
        batch = np.ascontiguousarray(planes.transpose(2, 0, 1)[None])
        try:
            (answer,) = self._session.run(None, {self._input: batch})
        except FAILURES as error:
            raise EngineError(f"ONNX Runtime failed on {batch.shape}: {error}. Try a smaller --tile.") from error
        answered: NDArray[np.float32] = answer[0].transpose(1, 2, 0)
        return answered


def open_model(folder: Path, task: str, *, kind: str = "onnx", threads: int | None = None) -> tuple[ModelCard, Session]:
    """The card and the weights of a model folder.

    Raises
    ------
    ModelError
        If they are missing or damaged, or made for another task.
    """
    card = read_card(folder)
    if card.task != task:
        wanted = {"detect": "to detect", "fill": "to fill", "blind": "to restore blindly"}
        raise ModelError(
            f"The model {card.name} is made {wanted[card.task]}, not {wanted[task]}. Choose another, or train one "
            f"with redust train --task {task}."
        )
    return card, Session(weights(folder, kind), threads)
