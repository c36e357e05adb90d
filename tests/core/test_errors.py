"""The errors form the tree that the module draws."""

from __future__ import annotations

import re

import pytest

from redust.core import errors

DRAWN = re.findall(r"^[│ ]*(?:[├└]── )?([A-Z]\w+) +(?:exit code )?(\d)", errors.__doc__ or "", re.MULTILINE)
CLASSES = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


def test_the_drawing_is_complete() -> None:
    assert {name for name, _ in DRAWN} == set(CLASSES)


@pytest.mark.parametrize(("name", "code"), DRAWN)
def test_exit_codes_are_as_drawn(name: str, code: str) -> None:
    assert CLASSES[name].exit_code == int(code)


def test_indentation_is_descent() -> None:
    path: list[type] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│ ]*(?:[├└]── )?)([A-Z]\w+) +(?:exit code )?\d", line)
        if match:
            depth = len(match[1]) // 4 - 1
            path[depth:] = [CLASSES[match[2]]]
            assert path[-1].__base__ is (path[-2] if depth else Exception)
