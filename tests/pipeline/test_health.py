"""What the doctor looks at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from doubles import Runaway
from redust.core.errors import EngineError
from redust.core.settings import RestoreSettings
from redust.pipeline import health


def test_a_sound_installation_restores_a_scan() -> None:
    assert health.restore_sample().state == "ok"


@pytest.mark.usefixtures("plugins")
def test_a_fill_that_does_not_repair_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redust.pipeline.engines.make_inpainter", lambda name, radius: Runaway())
    finding = health.restore_sample()
    assert finding.state == "broken"
    assert "not repaired" in finding.detail


def test_an_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **choices: object) -> None:
        raise EngineError("No paint. Buy some.")

    monkeypatch.setattr("redust.pipeline.engines.make_inpainter", fail)
    assert health.restore_sample() == health.Finding("self-test", "broken", "No paint. Buy some.")


def test_everything_needed_is_looked_at() -> None:
    names = [finding.name for finding in health.check_installation()]
    assert {"redust", "Python", "machine", "numpy", "torch", "detector tophat", "fill fsr", "self-test"} <= set(names)


def test_weights_that_are_not_what_their_card_says_are_found(tmp_path: Path) -> None:
    folder, card = next(iter(health.shipped().items()))
    assert health._check_weights(folder, card).state == "ok"
    shutil.copytree(folder, tmp_path / card.name)
    (tmp_path / card.name / next(iter(card.files.values()))).write_bytes(b"other weights")
    assert health._check_weights(tmp_path / card.name, card).state == "broken"


def test_an_extra_that_is_missing_breaks_nothing_and_a_needed_package_does() -> None:
    assert health._check_extra("no-such-package", "train") == health.Finding(
        "no-such-package", "absent", "comes with: pip install 'redust[train]'"
    )
    assert health._check_package("no-such-package").state == "broken"


def test_the_default_engine_must_load_others_may_be_absent() -> None:
    usual = RestoreSettings().fill
    assert health._check_engine(health.Engine("fill", usual, True, problem="gone")).state == "broken"
    assert health._check_engine(health.Engine("fill", "other", False, problem="gone")).state == "absent"
    assert health._check_engine(health.Engine("generator", "attentive", True, problem="gone")).state == "absent"
