"""What an ONNX file refers to outside itself, read before ONNX Runtime opens it.

ONNX Runtime follows external data below the current folder, whatever it is and unchecked by any sha256. Only the few
fields of the format (https://onnx.ai/onnx/repo-docs/IR.html) that lead to tensors are read here.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protobuf

# The fields that hold messages with tensors, by message: field number -> message.
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_MAX_DEPTH = 60


def refers_outside(content: bytes) -> bool:
    """Whether any tensor of an ONNX model lies in another file.

    Parameters
    ----------
    content
        The model's file.

    Raises
    ------
    ValueError
        If it is no ONNX file.
    """
    return _refers_outside(memoryview(content), "Model", 0)


def _refers_outside(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("messages are nested too deeply")
    for number, value in _iter_fields(message):
        if kind == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)):
            return True
        child = _CHILDREN[kind].get(number)
        if child is not None and isinstance(value, memoryview) and _refers_outside(value, child, depth + 1):
            return True
    return False


def _iter_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The numbers and values of a message's fields; fixed values are left out."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type)
        if wire_type == _BYTES:
            size, position = _read_varint(message, position)
        if size is None or position + size > len(message):
            raise ValueError("it is no ONNX file, or cut short")
        if wire_type == _BYTES:
            yield number, message[position : position + size]
        position += size


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("it is no ONNX file, or cut short")
