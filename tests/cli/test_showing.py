"""`models` and `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redust.core.engines import PreBlur, PriorShift
from redust.pipeline import health

Command = Callable[..., Any]


def test_models_lists_every_engine_plugins_included(redust_command: Command) -> None:
    ended = redust_command("models")
    assert ended.code == 0
    for name in ("unet", "tophat", "bright", "fsr", "telea", "navier-stokes", "mean"):
        assert name in ended.out
    assert "the default" in ended.out


def test_models_tells_what_every_shipped_file_is(redust_command: Command) -> None:
    out = redust_command("models").out
    cards = list(health.shipped().values())
    assert {"unet", "unet-soft"} <= {card.name for card in cards}
    for card in cards:
        assert f"{card.name}: " in out or card.name == "fill"  # a fill is named as --fill takes it
        assert all(f"sha256 of {kind}: {digest}\n" in out for kind, digest in card.sha256.items())


def test_models_tells_levels_by_sensitivity(redust_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    card = next(card for card in health.shipped().values() if card.name == "unet")
    plain = card.model_copy(update={"level": 0.8, "levels": {}})
    follow = PriorShift(prior=0.01, exponent=0.4)
    rates = {"eager": 0.000998, "normal": 9.91e-05}
    levels = card.model_copy(
        update={
            "levels": {"eager": 0.3, "normal": 0.8, "shy": 0.95}, "false_positive_rates": rates, "prior_shift": None,
            "pre_blur": None,
        }
    )  # fmt: skip
    following = levels.model_copy(update={"prior_shift": follow})
    soft = following.model_copy(update={"pre_blur": PreBlur(sigma=0.6)})
    found = [health.Engine("detector", "unet", True, 0.8, one) for one in (plain, levels, following, soft)]
    monkeypatch.setattr(health, "list_engines", lambda: found)
    out = redust_command("models").out
    assert "level 0.8 for every sensitivity (not calibrated)" in out
    assert "eager 0.3 (998 ppm of undamaged pictures), normal 0.8 (99.1 ppm of undamaged pictures), shy 0.95\n" in out
    assert "shy 0.95; they follow how dirty a scan is\n" in out
    assert "shy 0.95; they follow how dirty a scan is; soft and grainy scans are seen blurred\n" in out


def test_doctor_says_when_something_is_broken(redust_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [health.Finding("self-test", "ok", "fine"), health.Finding("torch", "absent", "pip install it")]
    monkeypatch.setattr(health, "check_installation", lambda: iter(findings))
    ended = redust_command("doctor")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "Everything works.")
    findings.append(health.Finding("weights of unet", "broken", "Copy the model again."))
    ended = redust_command("doctor")
    assert ended.code == 1
    assert "broken  weights of unet: Copy the model again." in ended.out
