"""The table of region features: as a plain loop over regions gives it, however the scan is cut into bands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.core.arrays import Mask, Pixels
from redust.core.logits import LogitBins
from redust.decision import region_features
from redust.decision.candidates import measure_tone
from redust.decision.region_features import FEATURES, RegionTable, measure_regions
from redust.decision.regions import Regions

SHAPE = (240, 200)


def marked_scan() -> tuple[Pixels, Mask, LogitBins]:
    """A scan with a bright disc, a dark line that crosses bands, and a map that is surer of the line."""
    rng = np.random.default_rng(2)
    scene = np.linspace(20, 235, SHAPE[0])[:, None, None]
    pixels = (scene + rng.normal(0, 3, (*SHAPE, 3))).clip(0, 255).astype(np.uint8)
    drawn = np.zeros(SHAPE, np.uint8)
    cv2.circle(drawn, (50, 60), 4, 1, -1)
    cv2.line(drawn, (120, 20), (130, 220), 2, 2)
    pixels[drawn == 1] = (200, 180, 150)
    pixels[drawn == 2] = 10
    return pixels, drawn > 0, np.where(drawn == 2, 120, np.where(drawn == 1, 90, 0)).astype(np.uint8)


def measure(rows: int = 512) -> tuple[Regions, dict[str, np.ndarray]]:
    pixels, mask, bins = marked_scan()
    regions = Regions(mask, rows)
    table = measure_regions(regions, pixels, bins, measure_tone(pixels))
    return regions, dict(zip(FEATURES, table.values.T, strict=True))


def test_columns_agree_with_a_loop_over_regions() -> None:
    pixels, mask, bins = marked_scan()
    _, columns = measure()
    tone = measure_tone(pixels)
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    for region in range(1, count):
        inside = labels == region
        near, far = (cv2.dilate(inside.view(np.uint8), np.ones((side, side), np.uint8)) > 0 for side in (5, 13))
        ring = far & ~near & ~mask
        contrast = tone.grey[inside].mean() - tone.grey[ring].mean()
        assert columns["area"][region - 1] == pytest.approx(np.log(inside.sum()), rel=1e-5)
        assert columns["map_max"][region - 1] == pytest.approx(bins[inside].max() / 10)
        assert columns["signed_contrast"][region - 1] == pytest.approx(contrast / 255, rel=1e-4)
        assert columns["spread"][region - 1] >= 0
        assert columns["ring_grey"][region - 1] == pytest.approx(tone.grey[ring].mean() / 255, rel=1e-4)


def test_a_line_is_longer_and_thinner_than_a_disc() -> None:
    _, columns = measure()
    disc, line = (0, 1) if columns["signed_contrast"][0] > 0 else (1, 0)
    assert np.exp(columns["length"][line]) == pytest.approx(200 * 4 / np.sqrt(12), rel=0.05)  # a bar by its moments
    assert columns["elongation"][line] > 3 > 0.3 > columns["elongation"][disc]
    assert columns["signed_contrast"][disc] > 0 > columns["signed_contrast"][line]
    assert columns["tint"][disc] > columns["tint"][line]


@pytest.mark.parametrize("rows", [7, 64])
def test_bands_do_not_change_the_table(rows: int) -> None:
    (whole, expected), (banded, columns) = measure(), measure(rows)
    assert whole.count == banded.count
    for name in FEATURES:
        np.testing.assert_allclose(columns[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_windows_do_not_change_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = measure()
    monkeypatch.setattr(region_features, "_WINDOW", 60)
    _, columns = measure()
    for name in FEATURES:
        np.testing.assert_allclose(columns[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_no_regions_make_an_empty_table() -> None:
    pixels, mask, bins = marked_scan()
    table = measure_regions(Regions(np.zeros_like(mask)), pixels, bins, measure_tone(pixels))
    assert table.values.shape == (0, len(FEATURES))
    assert table.has_evidence.shape == (0,)


def test_grey_scans_have_no_tint() -> None:
    pixels, mask, bins = marked_scan()
    grey = pixels[..., :1].copy()
    table = measure_regions(Regions(mask), grey, bins, measure_tone(grey))
    assert not table.values[:, FEATURES.index("tint")].any()


def test_evidence_is_the_map_and_contrast_together() -> None:
    values = np.zeros((3, len(FEATURES)), np.float32)
    values[:, FEATURES.index("map_max")] = 6.0, 4.0, 25.5
    values[:, FEATURES.index("hat_max")] = 0.0, 3.0, 0.0
    table = RegionTable(values)
    assert table.has_evidence.tolist() == [True, False, True]
    assert table.is_certain.tolist() == [False, False, True]
