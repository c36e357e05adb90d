from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from redust.core.arrays import Light
from redust.core.labels import Label
from redust.synthesis.film_chain import FilmChain, Mark, Medium, draw_chain
from redust.synthesis.film_marks import draw_marks
from redust.synthesis.film_stages import add_grain, expose_film, render_positive
from redust.synthesis.simulate_scan import damage_scan, label_change, simulate_scan
from redust.synthesis.synthesizer import Synthesizer

NEGATIVE = FilmChain(
    medium=Medium.colour_negative, inverted=True, pitch=7.0, contrast=-0.6, granularity=0.0, cloud=4.0, mtf_sigma=0.0,
    read_noise=0.0, shot_noise=0.0, levels=(0.0, 1.0), curve=0.0, unsharp=(1.0, 0.0), unsharp_small=(0.6, 0.0),
    shrink=1.0, quality=None,
)  # fmt: skip
SLIDE = replace(NEGATIVE, medium=Medium.slide, inverted=False, contrast=1.2)
GREY, MIDDLE = np.full((48, 48, 3), 0.45, np.float32), (24, 24)


def mark(transmittance: float = 0.1, *, torn: float = 0.0, size: int = 6) -> Mark:
    """A square of dust, or a flake of the emulsion, in the middle of 48 x 48."""
    coverage = np.zeros((48, 48), np.float32)
    coverage[24 - size // 2 : 24 + size // 2, 24 - size // 2 : 24 + size // 2] = 1
    return Mark(coverage, np.full(3, transmittance, np.float32), torn=torn)


def change(chain: FilmChain, damage: Mark) -> float:
    """By how much the mark brightens the middle of an even grey, in 0..1."""
    rng = np.random.default_rng(0)
    damaged, _ = simulate_scan(GREY, [damage], chain, rng)
    clean, _ = simulate_scan(GREY, [], chain, np.random.default_rng(0))
    return float((damaged - clean)[MIDDLE].mean())


def test_a_perfect_chain_gives_the_scene_back() -> None:
    scene = np.random.default_rng(0).uniform(0.15, 0.95, (16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(render_positive(expose_film(scene, NEGATIVE), NEGATIVE), scene, atol=2e-3)


@pytest.mark.parametrize(
    ("chain", "sign"),
    [(NEGATIVE, 1), (replace(NEGATIVE, inverted=False), -1), (SLIDE, -1)],
    ids=["negative", "negative not inverted", "slide"],
)
def test_dust_is_bright_on_an_inverted_negative_and_dark_else(chain: FilmChain, sign: int) -> None:
    assert sign * change(chain, mark()) > 0.12


@pytest.mark.parametrize(("chain", "sign"), [(NEGATIVE, -1), (SLIDE, 1)], ids=["negative", "slide"])
def test_where_the_emulsion_is_gone_it_is_the_other_way_round(chain: FilmChain, sign: int) -> None:
    assert sign * change(chain, mark(torn=1.0)) > 0.2


def test_grain_follows_selwyns_law() -> None:
    film = expose_film(np.full((256, 256, 3), 0.5, np.float32), NEGATIVE)

    def deviation(pitch: float) -> float:
        grainy = add_grain(film, replace(NEGATIVE, granularity=6.0, pitch=pitch, cloud=0.1), np.random.default_rng(0))
        return float(np.log10(film / grainy)[..., 1].std())

    # 0.006 through a hole of 1,810 square micrometres; less where little is developed.
    assert 0.7 < deviation(10.0) / (0.006 * np.sqrt(1810 / 100)) <= 1.0
    assert deviation(5.0) == pytest.approx(2 * deviation(10.0), rel=0.05)


def test_the_file_is_shrunk_and_its_truth_with_it() -> None:
    chain = replace(NEGATIVE, shrink=3.0, quality=90)
    light, truth = simulate_scan(GREY, [mark(size=12)], chain, np.random.default_rng(0))
    assert light.shape == (16, 16, 3)
    assert truth.shape == (16, 16)
    assert 14 <= (truth == Label.damage).sum() <= 26
    assert light.dtype == np.float32
    assert 0 <= light.min() <= light.max() <= 1


def test_what_nobody_sees_is_not_judged() -> None:
    _, truth = simulate_scan(GREY, [mark(0.98)], NEGATIVE, np.random.default_rng(0))
    assert not (truth == Label.damage).any()
    noisy = GREY + np.random.default_rng(0).normal(0, 0.1, GREY.shape).astype(np.float32)
    faint = noisy + 0.06 * mark().coverage[..., None]
    assert not (label_change(faint, noisy) == Label.damage).any()
    assert (label_change(noisy + 0.4 * mark().coverage[..., None], noisy) == Label.damage).sum() >= 36


def test_a_real_scan_is_changed_under_its_marks_alone() -> None:
    scan = np.random.default_rng(0).uniform(0.3, 0.6, (48, 48, 3)).astype(np.float32)
    drawn, truth = damage_scan(scan, [mark()], NEGATIVE)
    sound = mark().coverage == 0
    assert np.array_equal(drawn[sound], scan[sound])
    assert (drawn[~sound] > scan[~sound]).mean() > 0.9
    assert (truth[~sound] == Label.damage).mean() > 0.8
    brighter, _ = damage_scan(scan, [mark(torn=1.0)], SLIDE)
    assert brighter[MIDDLE].mean() > scan[MIDDLE].mean()


def test_a_chain_is_drawn_and_repeated() -> None:
    def draw(seed: int) -> tuple[Light, object]:
        rng = np.random.default_rng(seed)
        chain = draw_chain(rng, largest_shrink=3.0)
        side = chain.scan_side(32)
        scene = np.full((side, side, 3), 0.4, np.float32)
        marks = list(draw_marks((side, side), chain, Synthesizer(), rng))
        return simulate_scan(scene, marks, chain, rng)[0], chain

    chains = set()
    for seed in range(12):
        light, chain = draw(seed)
        assert light.shape == (32, 32, 3)
        assert np.array_equal(light, draw(seed)[0])
        chains.add(chain.medium)
        assert 1.0 <= chain.shrink <= 3.0
    assert len(chains) >= 3
