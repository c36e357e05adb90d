"""A trained network becomes a model folder: safetensors, ONNX in float32 and INT8, and the card."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from redust.core.arrays import Light
from redust.core.atomic import whole_files
from redust.core.errors import TrainingError
from redust.models.card import CARD_NAME, ModelCard, sha256_of
from redust.models.networks import to_run
from redust.training.keeper import save_weights
from redust.training.opinion import scales_of

FILES = {"safetensors": "weights.safetensors", "onnx": "model.onnx", "onnx-int8": "model-int8.onnx"}
_INPUT, _OUTPUT, _OPSET = "light", "damage", 20
_AGREE = 1e-3
_EXACT = 1  # convolutions that stay float32 where the network does not say how many
_PRODUCTS = ("Conv", "MatMul", "Gemm")  # of weights
# Left in float32 between products, each of these would need what is before it in eight bits that hold negative numbers
# too, and time to be converted there and back: 1.3 times that of the whole network.
_BETWEEN = ("Relu", "Add", "Resize", "Concat", "MaxPool")
_NORMALISATION = {
    "detect": "light in 0..1, R G B; grey is repeated",
    "fill": "light in 0..1, R G B, filled by kriging where masked, and the mask, 0 or 1; grey is repeated",
    "generator": "light in 0..1, R G B; grey is repeated",
}


class Probability(nn.Module):
    """A network that ends in probabilities, as detectors expect it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, light: Tensor) -> Tensor:
        """Light (N, 3, H, W) in 0..1 to probabilities (N, 1, H, W)."""
        return torch.sigmoid(self.network(light))


def export_model(network: nn.Module, folder: Path, samples: Sequence[Light], facts: dict[str, Any]) -> ModelCard:
    """Write a model folder.

    Parameters
    ----------
    network
        Trained; on the CPU.
    folder
        Made if it is missing.
    samples : (H, W, 3) float32 in 0..1
        Real pictures, which calibrate the INT8 weights; sides are cut to multiples of the stride.
    facts
        What the card says besides what is known here (name, summary, architecture, data ...).

    Raises
    ------
    TrainingError
        If ONNX Runtime does not give what the network gives.
    TargetError
        When the disk is full or the folder may not be written to; what it held stays.
    """
    network.eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    stride = int(network.stride)  # type: ignore[arg-type]
    batches = [_batch(shrunk(one, factor), stride) for one in samples for factor in scales_of(network)]
    running = to_run(network)
    exact = int(getattr(running, "exact_convolutions", _EXACT))
    with whole_files(folder, CARD_NAME) as part:
        save_weights(network, part / FILES["safetensors"])
        write_onnx(Probability(running).eval(), part / FILES["onnx"], stride=stride)
        _check_agreement(Probability(network).eval(), part / FILES["onnx"], batches[0])
        write_int8(part / FILES["onnx"], part / FILES["onnx-int8"], batches, exact)
        card = card_of(network, part, FILES, facts)
        card.to_folder(part)
    return card


def card_of(network: nn.Module, folder: Path, files: dict[str, str], facts: dict[str, Any]) -> ModelCard:
    """The card of a network whose weight files, by kind, lie in `folder`."""
    told = ", and the damage map" if facts.get("attention") else ""
    return ModelCard(
        parameters=sum(one.numel() for one in network.parameters()),
        gflop_per_megapixel=gflop_per_megapixel(network),
        scales=scales_of(network),
        channels=3,
        normalisation=_NORMALISATION[facts.get("task", "detect")] + told,
        stride=int(network.stride),  # type: ignore[arg-type]
        halo=int(network.halo),  # type: ignore[arg-type]
        files=files,
        sha256={kind: sha256_of(folder / name) for kind, name in files.items()},
        **facts,
    )


def export_restorer(network: nn.Module, folder: Path, sample: NDArray[np.float32], facts: dict[str, Any]) -> ModelCard:
    """Write a model folder of a network that gives light: one that fills, or restores blindly.

    Parameters
    ----------
    network
        Trained; on the CPU.
    folder
        Made if it is missing.
    sample : (1, C, H, W) float32
        What the network takes; sides are multiples of its stride.
    facts
        As for :func:`export_model`.

    Raises
    ------
    TrainingError
        If ONNX Runtime does not give what the network gives.
    TargetError
        When the disk is full or the folder may not be written to; what it held stays.
    """
    network.eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs
    files = {kind: FILES[kind] for kind in ("safetensors", "onnx")}
    stride = int(network.stride)  # type: ignore[arg-type]
    with whole_files(folder, CARD_NAME) as part:
        save_weights(network, part / files["safetensors"])
        write_onnx(network, part / files["onnx"], stride=stride, channels=sample.shape[1], output="restored")
        _check_agreement(network, part / files["onnx"], sample)
        card = card_of(network, part, files, facts)
        card.to_folder(part)
    return card


def write_onnx(network: nn.Module, path: Path, *, stride: int, channels: int = 3, output: str = _OUTPUT) -> None:
    """Write a network as float32 ONNX that takes any height and width its stride divides."""
    example = torch.zeros(1, channels, 2 * stride, 3 * stride)
    height, width = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("columns", min=1, max=4096)
    shapes = ({2: stride * height, 3: stride * width},)
    with _quiet_exporter():
        program = torch.onnx.export(
            network.eval(), (example,), dynamo=True, opset_version=_OPSET, dynamic_shapes=shapes,
            input_names=[_INPUT], output_names=[output], verbose=False,
        )  # fmt: skip
    assert program is not None
    program.save(path, external_data=False)
    path.with_name(path.name + ".data").unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter from telling that it works, and from warning of its own internals."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.__trace", "torch.export", "onnxscript", "onnx_ir")
    ]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    for one, level in zip(loggers, levels, strict=True):
        one.setLevel(level)


def write_int8(source: Path, target: Path, batches: Sequence[NDArray[np.float32]], exact: int = _EXACT) -> None:
    """Quantise an ONNX file: INT8 per channel, quantise-dequantise pairs, calibrated on real pictures.

    Parameters
    ----------
    batches : (1, 3, H, W) float32 in 0..1
    exact
        So many convolutions from the beginning stay float32: they see the pixels themselves, of which 8 bits of the
        brightest light would leave little in the shadows.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[NDArray[np.float32]] = iter(batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {_INPUT: batch}

    with tempfile.TemporaryDirectory() as name:
        ready = Path(name) / "ready.onnx"
        quant_pre_process(source, ready, skip_symbolic_shape=True)  # folds batch norms into convolutions
        nodes = list(onnx.load(ready).graph.node)
        quantize_static(
            ready, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=[*_PRODUCTS, *_BETWEEN], nodes_to_exclude=_exact_nodes(nodes, exact),
        )  # fmt: skip


def _exact_nodes(nodes: Sequence[Any], exact: int) -> list[str]:
    """The first `exact` convolutions, and all after the last product of weights: what is left to do for the answer."""
    first = [node.name for node in nodes if node.op_type == "Conv"][:exact]
    last = max(place for place, node in enumerate(nodes) if node.op_type in _PRODUCTS)
    return first + [node.name for node in nodes[last + 1 :]]


def _check_agreement(network: nn.Module, path: Path, batch: NDArray[np.float32]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {_INPUT: batch})
    with torch.no_grad():
        expected = network(torch.from_numpy(batch)).numpy()
    gap = float(np.abs(found - expected).max())
    if not gap < _AGREE:
        raise TrainingError(
            f"The ONNX export differs from the network by {gap:.2g}. Keep the checkpoint, and report this with the "
            "versions of torch and onnxruntime."
        )


def gflop_per_megapixel(network: nn.Module) -> float:
    """Billions of floating-point operations per megapixel at all scales, a multiply-add counting as 2."""
    stride = int(network.stride)  # type: ignore[arg-type]
    side = max(1, 128 // stride) * stride
    counter, training = FlopCounterMode(display=False), network.training
    network.eval()  # counting must not move the statistics of batch norms
    with torch.no_grad(), counter:
        network(torch.zeros(1, getattr(network, "in_channels", 3), side, side))
    network.train(training)
    total = counter.get_total_flops() * sum(1 / factor**2 for factor in scales_of(network))
    return round(total / side**2 / 1e3, 2)


def shrunk(light: Light, factor: int) -> Light:
    """Light (H, W, 3) with each side shrunk by `factor`; what is left over at the end is dropped."""
    height, width = (max(1, length // factor) for length in light.shape[:2])
    kept = light[: height * factor, : width * factor]
    small = cv2.resize(kept, (width, height), interpolation=cv2.INTER_AREA) if factor > 1 else light
    return np.asarray(small, np.float32)


def _batch(light: Light, stride: int) -> NDArray[np.float32]:
    """Light (H, W, 3) as a batch of one, its sides brought to multiples of `stride` (repeated if too small)."""
    height, width = (max(1, length // stride) * stride for length in light.shape[:2])
    rows, columns = np.arange(height) % light.shape[0], np.arange(width) % light.shape[1]
    return np.ascontiguousarray(light[rows][:, columns].transpose(2, 0, 1)[None])
