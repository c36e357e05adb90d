"""A trained network becomes a model folder: safetensors, ONNX in float32 and INT8, and the card."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from redust.core.arrays import Light
from redust.core.atomic import whole_files
from redust.core.errors import TrainingError
from redust.models.card import CARD_NAME, ModelCard, sha256_of
from redust.models.networks import fuse_for_inference
from redust.training.network import save_weights

FILES = {"safetensors": "weights.safetensors", "onnx": "model.onnx", "onnx-int8": "model-int8.onnx"}
_INPUT, _OUTPUT, _OPSET = "light", "damage", 20
_AGREE = 1e-3
_FLOAT32_CONVS = 1  # where the network does not say how many stay float32
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


def export_detector(network: nn.Module, folder: Path, samples: Sequence[Light], facts: dict[str, Any]) -> ModelCard:
    """Write the model folder of a network that detects.

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
    _prepare_export(network)
    batches = [_to_batch(light, int(network.stride)) for light in samples]  # type: ignore[arg-type]
    fused = fuse_for_inference(network)
    float32_convs = int(getattr(fused, "float32_convs", _FLOAT32_CONVS))
    with whole_files(folder, CARD_NAME) as draft:
        save_weights(network, draft / FILES["safetensors"])
        write_onnx(Probability(fused).eval(), draft / FILES["onnx"], stride=int(network.stride))  # type: ignore[arg-type]
        _check_agreement(Probability(network).eval(), draft / FILES["onnx"], batches[0])
        write_int8(draft / FILES["onnx"], draft / FILES["onnx-int8"], batches, float32_convs)
        card = make_card(network, draft, FILES, facts)
        card.to_folder(draft)
    return card


def export_restorer(network: nn.Module, folder: Path, sample: Light, facts: dict[str, Any]) -> ModelCard:
    """Write the model folder of a network that returns light: one that fills, or restores without a mask.

    Parameters
    ----------
    network, folder, facts
        As for :func:`export_detector`, which says what is raised.
    sample : (H, W, C) float32
        An input of the network; sides are multiples of its stride.
    """
    _prepare_export(network)
    files = {kind: FILES[kind] for kind in ("safetensors", "onnx")}
    stride = int(network.stride)  # type: ignore[arg-type]
    with whole_files(folder, CARD_NAME) as draft:
        save_weights(network, draft / files["safetensors"])
        write_onnx(network, draft / files["onnx"], stride=stride, channels=sample.shape[2], output="restored")
        _check_agreement(network, draft / files["onnx"], _to_batch(sample, stride))
        card = make_card(network, draft, files, facts)
        card.to_folder(draft)
    return card


def _prepare_export(network: nn.Module) -> None:
    network.eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stubs


def make_card(network: nn.Module, folder: Path, files: dict[str, str], facts: dict[str, Any]) -> ModelCard:
    """The card of a network whose weight files, by kind, lie in `folder`."""
    mapped = ", and the damage map" if facts.get("attention") else ""
    return ModelCard(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        gflop_per_megapixel=gflop_per_megapixel(network),
        channels=3,
        normalisation=_NORMALISATION[facts.get("task", "detect")] + mapped,
        stride=int(network.stride),  # type: ignore[arg-type]
        halo=int(network.halo),  # type: ignore[arg-type]
        files=files,
        sha256={kind: sha256_of(folder / name) for kind, name in files.items()},
        **facts,
    )


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
    """Silence the exporter's progress messages, and its warnings of its own internals."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.__trace", "torch.export", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def write_int8(
    source: Path, target: Path, batches: Sequence[NDArray[np.float32]], float32_convs: int = _FLOAT32_CONVS
) -> None:
    """Quantise an ONNX file: INT8 per channel, quantise-dequantise pairs, calibrated on real pictures.

    Parameters
    ----------
    batches : (1, 3, H, W) float32 in 0..1
    float32_convs
        So many convolutions from the input stay float32: of the pixels themselves 8 bits of the brightest light would
        leave little in the shadows.
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
            op_types_to_quantize=[*_PRODUCTS, *_BETWEEN], nodes_to_exclude=_list_float32_nodes(nodes, float32_convs),
        )  # fmt: skip


def _list_float32_nodes(nodes: Sequence[Any], count: int) -> list[str]:
    """The first `count` convolutions, and all nodes after the last product of weights."""
    first = [node.name for node in nodes if node.op_type == "Conv"][:count]
    last = max(index for index, node in enumerate(nodes) if node.op_type in _PRODUCTS)
    return first + [node.name for node in nodes[last + 1 :]]


def _check_agreement(network: nn.Module, path: Path, batch: NDArray[np.float32]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {_INPUT: batch})
    with torch.no_grad():
        expected = network(torch.from_numpy(batch)).numpy()
    gap = float(np.abs(answer - expected).max())
    if not gap < _AGREE:
        raise TrainingError(
            f"The ONNX export differs from the network by {gap:.2g}. Keep the checkpoint, and report this with the "
            "versions of torch and onnxruntime."
        )


def gflop_per_megapixel(network: nn.Module) -> float:
    """Billions of floating-point operations per megapixel, a multiply-add counting as 2."""
    stride = int(network.stride)  # type: ignore[arg-type]
    side = max(1, 128 // stride) * stride
    counter, training = FlopCounterMode(display=False), network.training
    network.eval()  # counting must not move the statistics of batch norms
    with torch.no_grad(), counter:
        network(torch.zeros(1, getattr(network, "in_channels", 3), side, side))
    network.train(training)
    return round(counter.get_total_flops() / side**2 / 1e3, 2)


def _to_batch(light: Light, stride: int) -> NDArray[np.float32]:
    """Light (H, W, 3) as a batch of one, its sides brought to multiples of `stride` (repeated if too small)."""
    height, width = (max(1, length // stride) * stride for length in light.shape[:2])
    rows, columns = np.arange(height) % light.shape[0], np.arange(width) % light.shape[1]
    return np.ascontiguousarray(light[rows][:, columns].transpose(2, 0, 1)[None])
