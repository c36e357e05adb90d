"""Models of strangers that break their contract or ask for too much, and a runtime that would phone home."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redust.core.errors import EngineError, ModelError
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.pipeline.pipeline import Pipeline

onnx = pytest.importorskip("onnx")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
SCAN = Scan(np.full((70, 90, 3), 90, np.uint8))


def make_graph(kind: str) -> Any:
    """A graph that takes the mean of the channels, or breaks the contract in one way."""
    planes = [helper.make_tensor_value_info("x", FLOAT, ["n", 3, "h", "w"])]
    outputs = [helper.make_tensor_value_info("y", FLOAT, None)]
    mean = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=1)
    if kind == "two outputs":
        extra = helper.make_node("Identity", ["x"], ["z"])
        return helper.make_graph(
            [mean, extra], "g", planes, [*outputs, helper.make_tensor_value_info("z", FLOAT, None)]
        )
    if kind == "no input":
        constant = helper.make_node("Constant", [], ["y"], value=helper.make_tensor("c", FLOAT, [1], [1.0]))
        return helper.make_graph([constant], "g", [], outputs)
    if kind == "scalar":
        return helper.make_graph([helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)], "g", planes, outputs)
    if kind == "integers":
        cast = helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.INT32)
        whole_numbers = helper.make_tensor_value_info("y", onnx.TensorProto.INT32, None)
        return helper.make_graph([cast], "g", planes, [whole_numbers])
    if kind == "external":
        tensor = onnx.TensorProto(name="w", data_type=FLOAT, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="secret.bin")
        times = helper.make_node("Mul", ["m", "w"], ["y"])
        mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1)
        return helper.make_graph([mean, times], "g", planes, outputs, initializer=[tensor])
    return helper.make_graph([mean], "g", planes, outputs)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Makes the folder of a model with a graph of a kind and any facts in its card."""

    def make(kind: str = "sound", **facts: Any) -> Path:
        model = helper.make_model(make_graph(kind), opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        content = model.SerializeToString()
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "m.onnx").write_bytes(content)
        card = {
            "name": "mine", "summary": "s", "architecture": "x", "parameters": 1, "normalisation": "none", "halo": 0,
            "files": {"onnx": "m.onnx"}, "sha256": {"onnx": hashlib.sha256(content).hexdigest()},
        }  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card | facts))
        return folder

    return make


def detect_with(folder: Path) -> np.ndarray:
    return Pipeline(RestoreSettings(detector=str(folder), frame_scratches=False)).detect(SCAN)


def test_a_sound_stranger_is_welcome(make_model: Callable[..., Path]) -> None:
    np.testing.assert_allclose(detect_with(make_model()), 90 / 255, atol=1e-6)


@pytest.mark.parametrize("kind", ["two outputs", "no input", "scalar", "integers"])
def test_a_model_that_breaks_the_contract_is_explained(make_model: Callable[..., Path], kind: str) -> None:
    with pytest.raises((ModelError, EngineError), match="Export"):
        detect_with(make_model(kind))


def test_a_model_reads_no_other_file(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model("external")
    for place in (tmp_path, folder):
        (place / "secret.bin").write_bytes(np.ones(1, np.float32).tobytes())
        monkeypatch.chdir(place)
        with pytest.raises(ModelError, match="keeps data in other files"):
            detect_with(folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"halo": 10**6}, {"stride": 10**6}, {"fixed_size": 10**6}, {"scales": [1] * 10**5}, {"files": {"onnx": "a\0b"}},
        {"files": {"onnx": "../secret"}}, {"files": {"onnx": "x" * 300}}, {"pre_blur": {"sigma": 1, "network": ".."}},
        {"summary": "s" * 2_000_000},
    ],
)  # fmt: skip
def test_a_card_that_claims_the_absurd_is_refused(make_model: Callable[..., Path], facts: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        detect_with(make_model(**facts))


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"[" * 100_000, b""])
def test_a_card_that_is_no_text_is_refused(make_model: Callable[..., Path], content: bytes) -> None:
    folder = make_model()
    (folder / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match="is no model card"):
        detect_with(folder)


def test_a_card_that_never_ends_is_not_read(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "card.json").unlink()
    os.mkfifo(folder / "card.json")
    with pytest.raises(ModelError, match="holds no card"):
        detect_with(folder)


def test_onnx_runtime_phones_nobody(scan_file: Callable[..., Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = f"""
import os, psutil, redust
redust.restore({str(scan_file())!r}, {str(tmp_path / "o.tif")!r})
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
assert psutil.Process().net_connections() == []
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", program], env=environment | {"HOME": str(home)}, check=True)
    assert [path for path in home.rglob("*") if path.is_file()] == []
