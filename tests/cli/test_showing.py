"""`models` and `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redust.pipeline import health

Command = Callable[..., Any]


def test_models_lists_every_engine_plugins_included(redust_command: Command) -> None:
    ended = redust_command("models")
    assert ended.code == 0
    for name in ("unet", "tophat", "bright", "fsr", "telea", "navier-stokes", "mean"):
        assert name in ended.out
    assert "the default" in ended.out


def test_doctor_says_when_something_is_broken(redust_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [health.Finding("self-test", "ok", "fine"), health.Finding("torch", "absent", "pip install it")]
    monkeypatch.setattr(health, "examine", lambda: iter(findings))
    ended = redust_command("doctor")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "Everything works.")
    findings.append(health.Finding("weights of unet", "broken", "Copy the model again."))
    ended = redust_command("doctor")
    assert ended.code == 1
    assert "broken  weights of unet: Copy the model again." in ended.out
