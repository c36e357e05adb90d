"""Pairs, layers, recipes and plans: the same by seed, within their bounds, and independent of what does not matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redust.core.arrays import Light
from redust.core.errors import SettingsError, TargetExists
from redust.core.labels import Label
from redust.synthesis.holes import draw_holes
from redust.synthesis.layers import Layer
from redust.synthesis.recipe import KINDS, MATERIAL, Recipe
from redust.synthesis.scanner_simulation import sharpen, simulate_scanner
from redust.synthesis.shapes import SHAPES
from redust.synthesis.synthesizer import Synthesizer, local_deviation
from redust.synthesis.transplants import to_truth
from redust.synthesis.write_pairs import Plan, Record, gather_photos
from training_samples import write_photos

QUIET = {"soft_scan": 0.0, "sharpened": 0.0, "noise": 0.0, "jpeg": 0.0}
seeds = st.integers(0, 2**32 - 1)


def ramp(height: int = 64, width: int = 72) -> Light:
    """A soft photo (H, W, 3) in 0.2..0.7."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    light = 0.2 + 0.3 * rows / height + 0.2 * columns / width
    return np.repeat(light[..., None], 3, axis=2).astype(np.float32)


@settings(max_examples=12)
@given(seed=seeds, number=st.integers(0, 10**6))
def test_a_pair_is_in_range_and_background_is_changed_by_no_more_than_a_faint_rim(seed: int, number: int) -> None:
    pair = Synthesizer(Recipe(clean=0.0, **QUIET), seed=seed).draw(ramp(), number)
    for picture in (pair.damaged, pair.clean):
        assert picture.dtype == np.float32
        assert 0 <= picture.min() <= picture.max() <= 1
    assert set(np.unique(pair.target)) <= set(Label)
    # Coverage of 0.08 is ignored; white that is as faint, on black, is 0.32 of encoded light.
    changed = np.abs(pair.damaged - pair.clean).max(axis=2) > 0.4
    assert (pair.target[changed] != Label.background).all()
    assert set(pair.kinds) <= set(KINDS)


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_a_layer_of_each_kind_is_the_same_for_a_seed(kind: str) -> None:
    synthesizer = Synthesizer(Recipe(kinds={kind: 1.0}))
    first, again = (synthesizer.draw_layer(kind, (48, 60), 1.0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.coverage, again.coverage)
    assert first.kind == kind
    assert not (first.damaged & ~first.edge).any()  # what is damaged is at least ignored


def test_a_kind_without_material_is_not_drawn_and_alone_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no material\. Give the material \(--overlays"):
        Synthesizer(Recipe(kinds=dict.fromkeys(MATERIAL, 1.0)))
    synthesizer = Synthesizer(Recipe(clean=0.0, kinds={"dust": 1.0, "cracks": 1000.0}))
    assert {kind for number in range(6) for kind in synthesizer.draw(ramp(), number).kinds} == {"dust"}
    assert Synthesizer(Recipe(clean=1.0, kinds={"cracks": 1.0})).draw(ramp(), 0).kinds == ()
    assert [synthesizer.has_material(kind) for kind in ("dust", "cracks")] == [True, False]
    assert list(synthesizer.material()) == []


@pytest.mark.parametrize("margin", [0, 1, 3])
def test_a_margin_grows_the_mask_by_so_many_pixels(margin: int) -> None:
    recipe = Recipe(clean=0.0, negatives=0.0, kinds={"dust": 1.0}, **QUIET)
    narrow, wide = (
        Synthesizer(recipe.model_copy(update={"margin": pixels}), seed=2).draw(ramp(), 1).target == Label.damage
        for pixels in (0, margin)
    )
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    assert narrow.any()
    np.testing.assert_array_equal(wide, cv2.dilate(narrow.astype(np.uint8), disc) > 0)


@given(coverage=seeds.map(lambda seed: np.random.default_rng(seed).random((9, 12)).astype(np.float32)))
def test_blending_leaves_pixels_without_coverage_bit_by_bit(coverage: np.ndarray) -> None:
    coverage[coverage < 0.5] = 0
    light = ramp(9, 12)
    Layer.from_coverage("dust", coverage).blend_over(light, np.random.default_rng(0), Recipe(relief=0.0))
    np.testing.assert_array_equal(light[coverage == 0], ramp(9, 12)[coverage == 0])
    assert 0 <= light.min() <= light.max() <= 1


@given(seed=seeds, height=st.integers(32, 90), width=st.integers(32, 90))
def test_holes_leave_something_to_fill_from(seed: int, height: int, width: int) -> None:
    mask = draw_holes((height, width), np.random.default_rng(seed))
    assert mask.shape == (height, width)
    assert mask.any()
    assert not mask.all()


@given(light=seeds.map(lambda seed: np.random.default_rng(seed).random((20, 24, 3)).astype(np.float32)), seed=seeds)
def test_a_scanner_keeps_size_and_range_and_its_input(light: Light, seed: int) -> None:
    before = light.copy()
    scanned = simulate_scanner(light, np.random.default_rng(seed))
    np.testing.assert_array_equal(light, before)
    assert (scanned.shape, scanned.dtype) == (light.shape, np.float32)
    assert 0 <= scanned.min() <= scanned.max() <= 1
    np.testing.assert_array_equal(scanned, simulate_scanner(light, np.random.default_rng(seed)))


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.2])
def test_sharpening_leaves_even_light_alone(amount: float) -> None:
    even = np.full((12, 12, 3), 0.4, np.float32)
    np.testing.assert_allclose(sharpen(even, 0.8, amount), even, atol=1e-6)
    np.testing.assert_allclose(sharpen(ramp(), 0.8, 0.0), ramp(), atol=1e-6)


def test_deviation_is_that_of_the_window_around_each_pixel() -> None:
    assert local_deviation(np.full((40, 40), 0.3, np.float32)).max() < 1e-3
    rng = np.random.default_rng(0)
    noise = rng.normal(0.5, 0.1, (60, 60)).astype(np.float32)
    assert local_deviation(noise)[20:40, 20:40].mean() == pytest.approx(0.1, rel=0.05)


def test_greys_of_a_mask_are_damage_ignored_or_background() -> None:
    greys = np.array([[0.0, 0.25, 0.26, 0.75, 0.76, 1.0]], np.float32)
    assert to_truth(greys).tolist() == [[0, 0, 128, 128, 255, 255]]


@given(photos=st.integers(1, 7), count=st.integers(1, 40))
def test_every_photo_is_used_about_as_often_as_any_in_one_run(photos: int, count: int) -> None:
    paths = tuple(Path(f"{number}.png") for number in range(photos))
    plan = Plan(paths, Synthesizer(), count)
    used = [plan.photo(number) for number in range(count)]
    assert used == sorted(used, key=paths.index)
    times = [used.count(path) for path in paths]
    assert max(times) - min(times) <= 1
    assert len({plan.name(number) for number in range(count)}) == count


def test_a_plan_has_another_fingerprint_for_all_that_changes_its_pairs(tmp_path: Path) -> None:
    photos = gather_photos([write_photos(tmp_path / "photos", 2)])
    plan = Plan(photos, Synthesizer(seed=1), 4, 48)
    others = [
        replace(plan, count=5),
        replace(plan, size=None),
        replace(plan, photos=photos[:1]),
        replace(plan, synthesizer=Synthesizer(seed=2)),
        replace(plan, synthesizer=Synthesizer(Recipe(clean=0.5), seed=1)),
    ]
    prints = [each.fingerprint() for each in (plan, *others)]
    assert len(set(prints)) == len(prints)
    assert plan.fingerprint() == replace(plan).fingerprint()


def test_photos_are_gathered_once_in_order_without_hidden_or_other_files(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 2)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / ".cache").mkdir()
    (folder / ".cache/a.png").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    assert gather_photos([folder, folder / "1.png"]) == (folder / "0.png", folder / "1.png")
    assert gather_photos([folder / "1.png", folder]) == (folder / "1.png", folder / "0.png")
    with pytest.raises(SettingsError, match="lies among the results"):
        gather_photos([folder / "1.png"], leave_out=folder)


@given(name=st.text(min_size=1), kinds=st.lists(st.sampled_from(KINDS), max_size=3))
def test_a_record_is_one_line_of_json(name: str, kinds: list[str]) -> None:
    line = Record(name, 1, "photo.png", 0, "abc", kinds=tuple(kinds)).to_json_line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_a_recipe_is_written_to_a_new_file_alone(tmp_path: Path) -> None:
    recipe = Recipe(clean=0.5, kinds={"dust": 2.0, "hair-short": 0.5})
    recipe.write(tmp_path / "recipe.toml")
    assert Recipe.from_preset(tmp_path / "recipe.toml") == recipe
    with pytest.raises(TargetExists):
        recipe.write(tmp_path / "recipe.toml")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"kinds": {"rust": 1.0}}, "there is no kind rust; the kinds are dust"),
        ({"kinds": {"dust": 0.0}}, "no kind has a weight above 0"),
        ({"hard": {"birds": 1.0}}, "there is no kind birds"),
        ({"scale_low": 2.0, "scale_high": 1.0}, "scale_low .* is above scale_high"),
        ({"opacity_low": 0.9, "opacity_high": 0.2}, "opacity_low .* is above opacity_high"),
        ({"soft_scan": 0.6, "sharpened": 0.6}, "add up to more than 1"),
        ({"black_and_white": 0.5, "sepia": 0.3, "cast": 0.3}, "add up to more than 1"),
        ({"layers": 0}, "layers"),
        ({"grain": 1.5}, "grain"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_the_reason(choices: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Recipe.of(**choices)
