"""Samples of networks that return light: the same for a number, in a network's layout, mixed as configured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from redust.core.arrays import Light, Mask
from redust.files.pairs import Library, PairPaths
from redust.training.config import Augmentation, TrainConfig
from redust.training.loader import Key
from redust.training.samples import (
    HeldPhotos,
    HeldSamples,
    MixedPatches,
    PhotoPatches,
    Sample,
    Tensors,
    choose_validation_side,
)
from training_samples import changed, write_pairs, write_photos


def keep_light(light: Light, damaged: Mask, number: int) -> Sample:
    """A sample whose input is its light; the number is its second channel."""
    numbers = np.full(damaged.shape, number % 1000, np.float32)
    return Sample(np.dstack([light, numbers]), light, damaged)


@pytest.fixture
def photos(tmp_path: Path) -> Library:
    folder = write_photos(tmp_path / "photos", 2)
    return Library([PairPaths(path.stem, path) for path in sorted(folder.iterdir())], None)


@pytest.fixture
def damaged_photos(tmp_path: Path) -> Library:
    write_pairs(tmp_path / "images", tmp_path / "masks", range(1))
    return Library([PairPaths("0", tmp_path / "images/0.png", tmp_path / "masks/0.png")], None)


def test_a_sample_becomes_planes_of_float32() -> None:
    rng = np.random.default_rng(0)
    inputs, clean = rng.random((6, 9, 4)).astype(np.float32), rng.random((6, 9, 3)).astype(np.float32)
    sample = Sample(inputs, clean, rng.random((6, 9)) < 0.5)
    tensors = sample.to_tensors()
    assert [tuple(tensor.shape) for tensor in tensors] == [(4, 6, 9), (3, 6, 9), (1, 6, 9)]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    np.testing.assert_array_equal(tensors[0].numpy().transpose(1, 2, 0), inputs)
    np.testing.assert_array_equal(tensors[2][0].numpy() > 0, sample.damaged)
    np.testing.assert_array_equal(sample.light, inputs[..., :3])


@given(height=st.integers(1, 900), width=st.integers(1, 900), stride=st.sampled_from([1, 8, 16]))
def test_a_validation_side_suits_network_and_picture(height: int, width: int, stride: int) -> None:
    side = choose_validation_side((height, width, 3), stride)
    assert side % stride == 0
    assert stride <= side <= 256
    assert side <= max(stride, min(height, width))
    assert side + stride > min(256, height, width)


def test_a_patch_is_decided_by_its_number_and_the_seed(config: TrainConfig, photos: Library) -> None:
    patches = PhotoPatches(config, 32, photos, keep_light)
    first = patches[5, 0]
    assert all(torch.equal(tensor, repeated) for tensor, repeated in zip(first, patches[5, 0], strict=True))
    assert not torch.equal(first[1], patches[6, 0][1])
    seeded = PhotoPatches(changed(config, seed=1), 32, photos, keep_light)
    assert not torch.equal(first[1], seeded[5, 0][1])
    assert first[1].shape == (3, 32, 32)


def test_items_beyond_the_photos_begin_anew(config: TrainConfig, photos: Library) -> None:
    patches = PhotoPatches(changed(config, augment=Augmentation.none), 32, photos, keep_light)
    assert torch.equal(patches[5, 0][1], patches[5, 2][1])
    assert not torch.equal(patches[5, 0][1], patches[5, 1][1])


def test_what_was_damaged_is_filled_before_it_is_learned_from(config: TrainConfig, damaged_photos: Library) -> None:
    config = changed(config, augment=Augmentation.none)
    pixels, truth = damaged_photos[0]
    found = 0
    for number in range(4):
        _, clean, damaged = PhotoPatches(config, 32, damaged_photos, keep_light)[number, 0]
        if damaged.any():
            found += 1
            assert clean.max() < 235 / 255  # the spots are 250 of 255
    assert pixels[truth == 255].min() == 250
    assert found


def test_held_samples_are_made_once_and_each_is_another(photos: Library) -> None:
    calls: list[int] = []
    held = HeldPhotos(photos, keep_light, 8)

    def make(index: int) -> Sample:
        calls.append(index)
        return held(index)

    samples = HeldSamples(make, 3)
    assert samples[0] is samples[0]
    assert calls == [0]
    assert samples[2].inputs.shape == (64, 64, 4)
    assert (samples[1].clean != samples[0].clean).any()
    assert (samples[2].inputs != samples[0].inputs).any()  # the number of another sample
    np.testing.assert_array_equal(samples[0].clean, HeldSamples(held, 3)[0].clean)


@pytest.mark.parametrize("count", [1, 2])
def test_a_few_photos_give_eight_samples_at_least(photos: Library, count: int) -> None:
    few = Library(photos.pairs[:count], None)
    assert len(HeldSamples.of_photos(HeldPhotos(few, keep_light, 8))) == 8
    many = Library(photos.pairs * 5, None)
    assert len(HeldSamples.of_photos(HeldPhotos(many, keep_light, 8))) == 20


class Constant(Dataset[Tensors]):
    """Samples of one value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __getitem__(self, key: Key) -> Tensors:
        return (torch.full((1,), self.value),) * 3


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_two_kinds_are_mixed_by_their_share_and_the_same_way_each_time(share: float) -> None:
    mixed = MixedPatches(Constant(1.0), Constant(0.0), share, seed=4)
    drawn = [float(mixed[number, 0][0]) for number in range(1000)]
    assert np.mean(drawn) == pytest.approx(share, abs=0.05)
    assert drawn == [float(mixed[number, 7][0]) for number in range(1000)]  # the picture does not matter
    if 0 < share < 1:
        assert drawn != [float(MixedPatches(Constant(1.0), Constant(0.0), share, 5)[n, 0][0]) for n in range(1000)]
