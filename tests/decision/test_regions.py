"""Regions are those that one look at the whole mask would find, however it is cut into bands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import Mask
from redust.decision.regions import Regions


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Masks of any density and of up to 24 x 24 pixels."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    return random.random(shape) < draw(st.floats(0, 1))


def whole(mask: Mask) -> tuple[int, np.ndarray]:
    """What OpenCV finds in one go."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return count - 1, labels


@given(mask=masks(), rows=st.integers(1, 30))
def test_the_band_does_not_change_the_regions(mask: Mask, rows: int) -> None:
    count, expected = whole(mask)
    found = Regions(mask, rows)
    assert found.count == count
    labels = np.concatenate([labels for _, labels in found.bands()])
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), expected.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})  # one to one
    assert sorted(found.sizes()) == sorted(np.bincount(expected.ravel(), minlength=count + 1)[1:])


@given(mask=masks(), rows=st.integers(1, 30))
def test_boxes_hold_their_regions_just(mask: Mask, rows: int) -> None:
    found = Regions(mask, rows)
    labels = np.concatenate([labels for _, labels in found.bands()])
    for number, box in enumerate(found.boxes().tolist(), start=1):
        where = np.argwhere(labels == number)
        assert box == [*where.min(axis=0), *(where.max(axis=0) + 1)]


@given(mask=masks(), rows=st.integers(1, 30), seed=st.integers(0, 99))
def test_keeping_some_drops_the_others_whole(mask: Mask, rows: int, seed: int) -> None:
    found = Regions(mask, rows)
    wanted = np.random.default_rng(seed).random(found.count) < 0.5
    kept = found.keep(wanted)
    assert not (kept & ~mask).any()
    assert np.count_nonzero(kept) == found.sizes()[wanted].sum()
    assert Regions(kept).count == np.count_nonzero(wanted)


def test_a_horseshoe_is_one_region_though_its_ends_start_apart() -> None:
    mask = np.zeros((9, 5), np.bool_)
    mask[:, 0] = mask[:, 4] = mask[8] = True
    assert Regions(mask, 3).count == 1


@pytest.mark.parametrize("filled", [False, True])
def test_nothing_and_everything(filled: bool) -> None:
    found = Regions(np.full((700, 3), filled))
    assert found.count == filled
    assert found.sizes().tolist() == [2100] * filled
