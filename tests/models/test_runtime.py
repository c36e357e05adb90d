"""What runs a network, and which weights: never another than chosen in silence."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import redust
from drawing import draw
from redust.core.errors import ModelError, UnknownEngine
from redust.core.settings import Provider, RestoreSettings, Weights
from redust.detectors import make_detector
from redust.detectors.onnx_detector import OnnxDetector
from redust.generators import make_generator
from redust.models import read_card, runtime, shipped_folder
from redust.models.card import ModelCard
from redust.pipeline import health
from redust.pipeline.pipeline import Pipeline

ScanFile = Callable[..., Path]
REAL = onnxruntime.InferenceSession


def rewrite(folder: Path, **changes: Any) -> None:
    ModelCard.model_validate(read_card(folder).model_dump() | changes).to_folder(folder)


def only_cpu(*arguments: Any, providers: list[Any], **others: Any) -> Any:
    """ONNX Runtime where a provider is built in, but its libraries are missing."""
    return REAL(*arguments, providers=providers[-1:], **others)


def fails(*arguments: Any, providers: list[Any], **others: Any) -> Any:
    if len(providers) > 1:
        raise runtime.FAILURES[1]("no device")
    return REAL(*arguments, providers=providers, **others)


class OnCuda:
    """ONNX Runtime as if there were a card."""

    def __init__(self, *arguments: Any, providers: list[Any], **others: Any) -> None:
        self.providers_chosen = providers
        self._real = REAL(*arguments, providers=providers[-1:], **others)

    def get_providers(self) -> list[str]:
        return [name for name, _ in self.providers_chosen]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def cuda_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    built = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: built)


def test_a_provider_that_is_not_offered_gives_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    spec = make_detector("unet", provider=Provider.cuda).spec
    assert spec.provider is Provider.cpu
    assert spec.warnings == (
        "The network runs on the CPU, not on cuda: the ONNX Runtime installed here offers cpu only. Install "
        "onnxruntime-gpu, in place of onnxruntime, and NVIDIA's CUDA and cuDNN, or leave --provider out.",
    )
    assert make_detector("unet").spec.warnings == ()


@pytest.mark.usefixtures("cuda_built_in")
@pytest.mark.parametrize(("broken", "words"), [(only_cpu, "could not load its libraries"), (fails, "no device")])
def test_a_provider_that_does_not_start_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Any], words: str
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", broken)
    detector = make_detector("unet", provider=Provider.cuda)
    assert detector.spec.provider is Provider.cpu
    assert words in detector.spec.warnings[0]
    assert detector.detect(np.zeros((64, 64, 3), np.float32)).shape == (64, 64)


@pytest.mark.usefixtures("cuda_built_in")
def test_a_provider_that_starts_is_used_and_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnCuda)
    detector = OnnxDetector(shipped_folder("unet"), provider=Provider.cuda)
    assert (detector.spec.provider, detector.spec.warnings) == (Provider.cuda, ())
    assert detector._session._session.providers_chosen[0] == ("CUDAExecutionProvider", {"use_tf32": "0"})


def test_the_report_tells_what_ran_the_network(
    scan_file: ScanFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    one = Pipeline(RestoreSettings(provider="openvino"))
    for name in ("a.tif", "b.tif"):
        report = one.restore(scan_file(name), mask_out=tmp_path / f"{name}.png")
        assert (report.provider, report.settings["provider"]) == ("cpu", "openvino")
        assert ["not on openvino" in warning for warning in report.warnings] == [True]
    assert len([line for line in caplog.messages if "not on openvino" in line]) == 1  # for the run, not for each scan
    report = Pipeline(RestoreSettings(provider="cuda", weights="int8", detector="tophat")).restore(
        scan_file(), mask_out=tmp_path / "c.png"
    )
    assert ["tophat runs on the CPU only" in report.warnings[0], "tophat has no weights" in report.warnings[1]] == [
        True,
        True,
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        redust.detect(draw(), provider="coreml", as_map=True)
    assert "not on coreml" in caplog.text


AS_GOOD = {"onnx": 0.8, "onnx-int8": 0.7951}
WORSE = {"onnx": 0.8, "onnx-int8": 0.7949}


@pytest.mark.parametrize(
    ("f1", "faster", "wanted", "kind"),
    [
        (AS_GOOD, True, "auto", "onnx-int8"),
        (AS_GOOD, False, "auto", "onnx"),
        (WORSE, True, "auto", "onnx"),
        ({}, True, "auto", "onnx"),
        ({"onnx-int8": 0.9}, True, "auto", "onnx"),
        (AS_GOOD, True, "float32", "onnx"),
        (WORSE, False, "int8", "onnx-int8"),
    ],
)
def test_int8_only_where_it_is_faster_and_as_good(
    model: Path, monkeypatch: pytest.MonkeyPatch, f1: dict[str, float], faster: bool, wanted: str, kind: str
) -> None:
    rewrite(model, f1_by_weights=f1)
    monkeypatch.setattr(runtime, "int8_is_faster", lambda: faster)
    assert OnnxDetector(model, weights=Weights(wanted)).spec.weights == kind


@pytest.mark.usefixtures("cuda_built_in")
def test_int8_is_not_chosen_for_a_card(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(model, f1_by_weights=AS_GOOD)
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnCuda)
    monkeypatch.setattr(runtime, "int8_is_faster", lambda: True)
    assert OnnxDetector(model, provider=Provider.cuda).spec.weights == "onnx"
    assert OnnxDetector(model).spec.weights == "onnx-int8"


def test_the_report_holds_the_hash_of_the_weights_used(scan_file: ScanFile, tmp_path: Path, model: Path) -> None:
    settings = RestoreSettings(detector=str(model), weights="int8")
    report = Pipeline(settings).restore(scan_file(), mask_out=tmp_path / "m.png")
    judge = read_card(model / "regions").sha256["onnx"]
    assert report.models == {"unet onnx-int8": read_card(model).sha256["onnx-int8"], "regions onnx": judge}


def test_weights_that_are_not_there_are_told(model: Path) -> None:
    card = read_card(model)
    rewrite(model, files={kind: name for kind, name in card.files.items() if kind != "onnx-int8"})
    with pytest.raises(ModelError, match="no onnx-int8 weights"):
        OnnxDetector(model, weights=Weights.int8)


@pytest.mark.parametrize(
    ("system", "machine", "flags", "faster"),
    [
        ("Linux", "x86_64", "flags : sse2 avx512_vnni", True),
        ("Linux", "x86_64", "flags : sse2 avx2", True),
        ("Linux", "x86_64", "flags : sse2 avx", False),
        ("Linux", "aarch64", "Features : fp asimddp", True),
        ("Linux", "x86_64", None, False),
        ("Darwin", "arm64", None, True),
        ("Darwin", "x86_64", None, False),
    ],
)
def test_which_processors_are_faster_with_bytes(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, flags: str | None, faster: bool
) -> None:
    def read(path: Path, **others: Any) -> str:
        if flags is None:
            raise FileNotFoundError
        return flags

    monkeypatch.setattr(runtime.platform, "system", lambda: system)
    monkeypatch.setattr(runtime.platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", read)
    assert runtime.int8_is_faster.__wrapped__() is faster


@pytest.mark.usefixtures("cuda_built_in")
def test_the_doctor_lists_what_can_run_networks() -> None:
    found = {finding.name: finding.state for finding in health._list_providers()}
    assert found == {
        "provider cpu": "ok",
        "provider cuda": "ok",
        "provider openvino": "absent",
        "provider coreml": "absent",
    }


def test_generators_take_the_same_choices() -> None:
    with pytest.raises(UnknownEngine):
        make_generator("nobody", provider=Provider.cuda, weights=Weights.int8)


def test_onnx_runtime_sends_no_telemetry() -> None:
    code = "import redust.models.runtime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout == "1\n"
