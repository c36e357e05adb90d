"""A model file refers to nothing but itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def search(content: bytes) -> bool | str:
    """Whether a model refers outside, or why it is no model."""
    try:
        return refers_outside(content)
    except ValueError as error:
        return str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_searched_to_their_end_or_refused(content: bytes) -> None:
    assert search(content) in (True, False, "it is no ONNX file, or cut short")


@given(cut=st.integers(1, 60))
def test_a_model_that_is_cut_short_never_gains_a_reference(cut: int) -> None:
    assert search(make_model("node", external=False)[:-cut]) in (False, "it is no ONNX file, or cut short")


def test_messages_nested_without_end_are_refused() -> None:
    message = b""
    for _ in range(200):  # graph, node, attribute, graph ...
        for number in (6, 5, 1):
            message = bytes([number << 3 | 2]) + varint(len(message)) + message
    with pytest.raises(ValueError, match="nested too deeply"):
        refers_outside(b"\x3a" + varint(len(message)) + message)


def varint(value: int) -> bytes:
    """An integer as protobuf writes it."""
    coded = b""
    while value > 127:
        coded, value = coded + bytes([value & 127 | 128]), value >> 7
    return coded + bytes([value])
