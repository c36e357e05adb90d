"""Networks run by ONNX Runtime: the one place that opens its files and knows its failures."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from redust.core.errors import EngineError, ModelError
from redust.core.settings import Provider, Weights
from redust.core.threads import count_cores
from redust.models.card import FLOAT32, INT8, ModelCard, read_card
from redust.models.card import weights_path as find_weights
from redust.models.onnx_file import refers_outside

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

# ONNX Runtime's names, how each is set up, and the package that brings it.
_CPU: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})
_PROVIDERS: dict[Provider, tuple[str, dict[str, Any]]] = {
    Provider.cpu: _CPU,
    Provider.cuda: ("CUDAExecutionProvider", {"use_tf32": "0"}),  # ten bits of a product are not enough
    Provider.openvino: ("OpenVINOExecutionProvider", {}),
    Provider.coreml: ("CoreMLExecutionProvider", {}),
}
PACKAGES = {
    Provider.cpu: "onnxruntime",
    Provider.cuda: "onnxruntime-gpu, in place of onnxruntime, and NVIDIA's CUDA and cuDNN",
    Provider.openvino: "onnxruntime-openvino, in place of onnxruntime",
    Provider.coreml: "onnxruntime on macOS",
}


@cache
def _share_arena() -> bool:
    """Make the memory that all sessions of this process share; whether there is one.

    That of a session of its own begins with a block as large as it happens to need first, which is never given back.
    """
    shrinkable = onnxruntime.OrtArenaCfg({
        "initial_chunk_size_bytes": 1 << 20, "arena_extend_strategy": -1, "max_mem": 0,
        "max_dead_bytes_per_chunk": -1, "initial_growth_chunk_size_bytes": -1,
    })  # fmt: skip
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    try:
        onnxruntime.create_and_register_allocator(memory, shrinkable)
    except FAILURES:  # another part of the program has made one, or there is none of this kind here
        return False
    return True


def available_providers() -> list[Provider]:
    """The providers that the ONNX Runtime installed here was built with."""
    offered = set(onnxruntime.get_available_providers())
    return [provider for provider, (name, _) in _PROVIDERS.items() if name in offered]


class Session:
    """An ONNX file, ready to be run; several threads may run it at once.

    Parameters
    ----------
    path
        Read whole: a model that keeps data in other files is refused, not followed.
    threads
        Threads of one run; all cores unless given.
    provider
        What is to run it; the CPU runs it where that is not possible.
    weights
        The kind of the weights, as the card names it.

    Attributes
    ----------
    provider
        What runs it.
    warnings
        Why that is not the chosen provider; empty if it is.

    Raises
    ------
    ModelError
        If ONNX Runtime cannot open it.
    """

    def __init__(
        self, path: Path, threads: int | None = None, provider: Provider = Provider.cpu, weights: str = FLOAT32
    ) -> None:
        self.weights, self.provider = weights, Provider.cpu
        self.warnings: list[str] = []
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or count_cores()
        options.log_severity_level = 3
        # Border tiles differ in size, and a memory plan for each would be kept: 20 % of the peak for no time.
        options.enable_mem_pattern = False
        if _share_arena():
            options.add_session_config_entry("session.use_env_allocators", "1")
        content = _read_model(path)
        self._session = self._open_on_provider(content, options, provider)
        if self._session is None:
            try:
                self._session = onnxruntime.InferenceSession(content, options, providers=[_CPU])
            except FAILURES as error:
                raise ModelError(f"{path} cannot be opened by ONNX Runtime: {error}. Copy the model again.") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; ReDust runs models with one of each. "
                "Export it again."
            )
        self._input = inputs[0].name

    def _open_on_provider(self, content: bytes, options: Any, provider: Provider) -> Any:
        """The network on another provider than the CPU; None, and a warning, where that is not possible."""
        if provider is Provider.cpu:
            return None
        name, choices = _PROVIDERS[provider]
        why = f"the ONNX Runtime installed here offers {', '.join(available_providers())} only"
        if provider in available_providers():
            try:
                session = onnxruntime.InferenceSession(content, options, providers=[(name, choices), _CPU])
            except FAILURES as error:
                why = f"ONNX Runtime says: {error}"
            else:
                if name in session.get_providers():  # it leaves out, in silence, what it has no libraries for
                    self.provider = provider
                    return session
                why = "ONNX Runtime could not load its libraries"
        self.warnings.append(
            f"The network runs on the CPU, not on {provider}: {why}. Install {PACKAGES[provider]}, or leave "
            "--provider out."
        )
        return None

    def run(self, planes: NDArray[np.float32], *, release_memory: bool = False) -> NDArray[np.float32]:
        """Run the network on planes (H, W, C); its answer, (H, W, D).

        `release_memory` gives memory back that is held from one run to the next.

        Raises
        ------
        EngineError
            If ONNX Runtime fails.
        """
        batch = np.ascontiguousarray(planes.transpose(2, 0, 1)[None])
        options = onnxruntime.RunOptions()
        if release_memory and self.provider is Provider.cpu:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            answer = self._session.run(None, {self._input: batch}, options)[0]
        except FAILURES as error:
            advice = "Try a smaller --tile" + (", or --provider cpu." if self.provider is not Provider.cpu else ".")
            raise EngineError(f"ONNX Runtime failed on {batch.shape}: {error}. {advice}") from error
        if not isinstance(answer, np.ndarray) or answer.ndim != 4 or answer.dtype != np.float32:
            raise EngineError(
                f"The network's answer is no float32 array of 4 axes (1, C, H, W), but {_describe_array(answer)}. "
                "Export the model again."
            )
        planes_out: NDArray[np.float32] = answer[0].transpose(1, 2, 0)
        return planes_out

    def run_table(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run trees on the rows of a table (N, D); their answer, (N, E) float32.

        Raises
        ------
        EngineError
            If ONNX Runtime fails, or the answer has another shape.
        """
        try:
            answer = self._session.run(None, {self._input: np.ascontiguousarray(rows)})[0]
        except FAILURES as error:
            raise EngineError(f"ONNX Runtime failed on a table {rows.shape}: {error}. Fit the model again.") from error
        if not isinstance(answer, np.ndarray) or answer.shape[:1] != rows.shape[:1] or answer.ndim != 2:
            raise EngineError(f"The trees' answer is {_describe_array(answer)}, not (N, E). Fit the model again.")
        scores: NDArray[np.float32] = answer
        return scores


def _read_model(path: Path) -> bytes:
    """The content of an ONNX file that refers to no other."""
    content = path.read_bytes()
    try:
        outside = refers_outside(content)
    except ValueError as error:
        raise ModelError(f"{path} cannot be read: {error}. Copy the model again.") from error
    if outside:
        raise ModelError(f"{path} keeps data in other files, which may be anybody's. Export it as a single file.")
    return content


def _describe_array(answer: Any) -> str:
    return f"{answer.dtype} {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__


def open_model(
    folder: Path,
    task: str,
    *,
    threads: int | None = None,
    provider: Provider = Provider.cpu,
    weights: Weights = Weights.float32,
) -> tuple[ModelCard, Session]:
    """The card and the weights of a model folder.

    Parameters
    ----------
    task
        What the model must be made for.
    threads, provider
        See :class:`Session`.
    weights
        ``auto`` takes INT8 where the card says that they are as good, this processor is known to be faster with
        them, and it is the processor that runs them.

    Raises
    ------
    ModelError
        If they are missing or damaged, or made for another task.
    """
    card = read_card(folder)
    if card.task != task:
        purposes = {
            "detect": "to detect",
            "regions": "to judge regions",
            "fill": "to fill",
            "generator": "to restore without a mask",
        }
        raise ModelError(
            f"The model {card.name} is made {purposes[card.task]}, not {purposes[task]}. Choose another, or train one "
            f"with redust train --task {task}."
        )
    kind = _choose_weights(card, weights, on_cpu=provider is Provider.cpu or provider not in available_providers())
    return card, Session(find_weights(folder, kind), threads, provider, kind)


def _choose_weights(card: ModelCard, weights: Weights, *, on_cpu: bool) -> str:
    """Which weight file of a model."""
    if weights is Weights.auto:
        return INT8 if on_cpu and card.int8_is_as_good and int8_is_faster() else FLOAT32
    return INT8 if weights is Weights.int8 else FLOAT32


@cache
def int8_is_faster() -> bool:
    """Whether this processor multiplies bytes faster than floats: 1.2 times with AVX2 alone, more with dot products."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    try:
        known = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:  # a system that does not tell
        return False
    return bool(known & {"avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
