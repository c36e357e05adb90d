"""What an engine states about itself, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from doubles import Bright, Dimmer, Mean
from redust.core.engines import (
    Detector,
    DetectorSpec,
    EngineSpec,
    Generator,
    Inpainter,
    MapSpec,
    Needs,
    PreBlur,
    PriorShift,
    check_engine,
    check_scales,
    pre_blur_at,
)
from redust.core.errors import EngineError
from redust.core.settings import Sensitivity


@pytest.mark.parametrize("scales", [(), (2,), (1, 1), (1, 2, 2), (0, 2)])
def test_scales_are_different_factors_with_1_among_them(scales: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 among them"):
        check_scales(scales, ())
    with pytest.raises(ValueError, match="1 among them"):
        Needs(scales=scales)


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.6), (1.5, -0.5), (1.0, 0.0), (0.2, 0.3, 0.5)])
def test_scale_weights_are_positive_shares_of_one(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="adding up to 1"):
        Needs(scales=(1, 3), scale_weights=weights)


def test_a_scale_has_its_weight_or_an_equal_share() -> None:
    weighted = Needs(scales=(3, 1), scale_weights=(0.25, 0.75))
    assert (weighted.weight_of(3), weighted.weight_of(1)) == (0.25, 0.75)
    equal = Needs(scales=(1, 2, 4))
    assert sum(equal.weight_of(scale) for scale in equal.scales) == pytest.approx(1)
    with pytest.raises(KeyError):
        weighted.weight_of(2)


def test_hashes_are_of_the_weights_that_run() -> None:
    card = SimpleNamespace(name="unet", sha256={"onnx": "a", "onnx-int8": "b"})
    assert EngineSpec(name="unet", card=card).sha256 == {"unet onnx": "a", "unet onnx-int8": "b"}
    assert EngineSpec(name="mine", card=card, weights="onnx-int8").sha256 == {"mine onnx-int8": "b"}
    assert EngineSpec(name="tophat").sha256 == {}


def test_a_sensitivity_without_a_level_has_the_default_one() -> None:
    spec = MapSpec(name="a", level=0.5, levels={Sensitivity.shy: 0.9})
    assert spec.level_for(None) == 0.5
    assert spec.level_for(Sensitivity.shy) == 0.9
    assert spec.level_for(Sensitivity.eager) == 0.5


@pytest.mark.parametrize(
    "fields",
    [{"prior": 0.0}, {"prior": 1.0}, {"exponent": -0.1}, {"exponent": 1.1}, {"minority_exponent": 5}, {"max_prior": 0}],
)
def test_a_prior_shift_is_of_shares_and_powers(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PriorShift(**{"prior": 0.01, "exponent": 0.4} | fields)


@pytest.mark.parametrize("fields", [{"sigma": 0.0}, {"sigma": 3.1}, {"network": "../other"}, {"network": "a/b"}])
def test_a_pre_blur_is_small_and_its_network_lies_in_the_model(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PreBlur(**{"sigma": 1.0} | fields)  # type: ignore[arg-type]


def test_a_blur_keeps_the_network_for_blurred_scans() -> None:
    assert pre_blur_at(0.7, PreBlur(sigma=1.0, network="soft")) == PreBlur(sigma=0.7, network="soft")
    assert pre_blur_at(0.7, None) == PreBlur(sigma=0.7)
    assert pre_blur_at(0.0, PreBlur(sigma=1.0)) is None


@pytest.mark.parametrize(
    ("engine", "protocol"),
    [(Bright(), Detector), (Mean(), Inpainter), (Dimmer(), Generator)],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_an_engine_passes_as_what_it_is_and_as_nothing_else(engine: object, protocol: type) -> None:
    check_engine(engine, protocol)
    for stranger in {Detector, Inpainter, Generator} - {protocol}:
        with pytest.raises(EngineError, match=r"cannot be used: .* Tell its author, or choose another"):
            check_engine(engine, stranger)


def test_a_missing_method_is_named() -> None:
    class NoMethods:
        spec = DetectorSpec(name="none")

    with pytest.raises(EngineError, match=r"NoMethods cannot be used: the detector has no method `detect`: define it"):
        check_engine(NoMethods(), Detector)
    with pytest.raises(EngineError, match=r"the detector has no `spec`: state a redust.core.engines.DetectorSpec"):
        check_engine(object(), Detector)
