"""A model file refers to nothing but itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redust.models import shipped_folder
from redust.models.onnx_file import refers_outside

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def make_tensor(*, external: bool) -> Any:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "w")
    if external:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def make_model(place: str, *, external: bool) -> bytes:
    """A model with a tensor as initializer, in a node, in a branch of a node, or in a function."""
    tensor = make_tensor(external=external)
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    inner = helper.make_graph([constant], "branch", [], [])
    nodes = {
        "initializer": [],
        "node": [constant],
        "branch": [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        "function": [],
    }[place]
    graph = helper.make_graph(nodes, "g", [], [], initializer=[tensor] if place == "initializer" else [])
    functions = [helper.make_function("d", "f", [], ["w"], [constant], [])] if place == "function" else []
    content: bytes = helper.make_model(graph, functions=functions).SerializeToString()
    return content


@pytest.mark.parametrize("place", ["initializer", "node", "branch", "function"])
@pytest.mark.parametrize("external", [True, False])
def test_data_in_other_files_is_seen_wherever_it_hides(place: str, external: bool) -> None:
    assert refers_outside(make_model(place, external=external)) == external


def test_shipped_models_refer_to_nothing() -> None:
    for path in Path(shipped_folder("unet")).rglob("*.onnx"):
        assert not refers_outside(path.read_bytes())


@pytest.mark.parametrize("content", [b"\xff", b"junk" * 9, b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x2a" * 90])
def test_what_is_no_model_is_an_error_and_never_endless(content: bytes) -> None:
    with pytest.raises(ValueError, match="no ONNX file"):
        refers_outside(content)
