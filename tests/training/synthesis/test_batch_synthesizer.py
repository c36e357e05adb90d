"""Whole batches: deterministic, honest, and with the statistics of the NumPy path."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from redust.core.errors import SettingsError  # noqa: E402
from redust.training.synthesis.batch import BatchSynthesizer  # noqa: E402
from redust.training.synthesis.batch_fields import Dice, blur, box_cover, discs, noise, relief  # noqa: E402
from redust.training.synthesis.batch_shapes import BATCH_SHAPES  # noqa: E402
from redust.training.synthesis.recipe import Recipe  # noqa: E402
from redust.training.synthesis.shapes import SHAPES  # noqa: E402
from redust.training.synthesis.synthesizer import Synthesizer  # noqa: E402

CANVAS = (96, 112)
PLAIN = dict.fromkeys(
    ("black_and_white", "sepia", "cast", "fading", "negative", "blur", "halftone", "grain", "soft_scan", "sharpened",
     "noise", "jpeg", "negatives"), 0.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors on many threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def dice(seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed))


def grounds(count: int, side: int = 64) -> torch.Tensor:
    """Smooth mid-grey pictures."""
    return 0.3 + 0.4 * torch.linspace(0, 1, side).expand(count, 3, side, side).contiguous()


def test_both_paths_know_the_same_kinds() -> None:
    assert list(BATCH_SHAPES) == list(SHAPES)


@pytest.mark.parametrize("kind", sorted(BATCH_SHAPES))
def test_every_shape_covers_about_as_much_as_the_numpy_path_draws(kind: str) -> None:
    covered = BATCH_SHAPES[kind](dice(), CANVAS, torch.full((24,), 1.0))
    assert covered.shape == (24, *CANVAS)
    assert covered.min() >= 0
    assert covered.max() <= 1
    share = float((covered >= 0.28).float().mean())
    drawn = np.mean([(SHAPES[kind](CANVAS, 1.0, np.random.default_rng(seed)) >= 0.28).mean() for seed in range(24)])
    assert 0.35 < share / drawn < 2.8


def test_the_same_seed_gives_the_same_batch_and_photos_stay() -> None:
    photos = grounds(3)
    before = photos.clone()
    first, second, other = (
        BatchSynthesizer().draw(photos, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )  # fmt: skip
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(photos, before)
    assert first[0].shape == photos.shape
    assert first[1].dtype == torch.uint8
    assert first[0].min() >= 0
    assert first[0].max() <= 1


def test_coverage_and_polarity_are_those_of_the_numpy_path() -> None:
    recipe = Recipe(clean=0.25, opacity_low=0.6, faint=0.0, relief=0.0, **PLAIN)
    photos = grounds(128, 64)
    damaged, target = BatchSynthesizer(recipe).draw(photos, torch.Generator().manual_seed(5))
    synthesizer = Synthesizer(recipe, seed=5)
    photo = photos[0].permute(1, 2, 0).numpy()
    pairs = [synthesizer.draw(photo, number) for number in range(128)]
    shares = target.eq(255).float().mean().item(), float(np.mean([(pair.target == 255).mean() for pair in pairs]))
    assert 0.6 < shares[0] / shares[1] < 1.6
    clean = target.amax(dim=(1, 2)).eq(0).float().mean().item(), np.mean([not pair.target.any() for pair in pairs])
    assert abs(clean[0] - clean[1]) < 0.12
    bright = [
        float(pair.damaged[pair.target == 255].mean() > pair.clean[pair.target == 255].mean())
        for pair in pairs if (pair.target == 255).any()
    ]  # fmt: skip
    assert abs(np.mean(bright) - share_bright(damaged, target)) < 0.2


def test_out_of_focus_and_translucent_damage_changes_light_less_steeply() -> None:
    photos, usual = grounds(32, 64), Recipe(clean=0.0, opacity_low=0.0, faint=0.0, relief=0.0, **PLAIN)
    soft = usual.model_copy(update={"defocus": 1.0, "translucent": 1.0})
    steepest = []
    for recipe in (usual, soft):
        damaged, _ = BatchSynthesizer(recipe).draw(photos, torch.Generator().manual_seed(5))
        steepest.append((damaged - photos).diff(dim=3).abs().amax(dim=(1, 2, 3)).mean().item())
    assert steepest[1] < 0.7 * steepest[0]


def test_dense_damage_is_darker_and_covering_damage_has_no_colour_of_the_ground() -> None:
    orange = torch.tensor([0.9, 0.5, 0.1])[:, None, None].expand(32, 3, 64, 64).clone()
    usual = Recipe(clean=0.0, bright=0.0, faint=0.0, relief=0.0, kinds={"dirt": 1.0}, **PLAIN)
    darkness, colour = {}, {}
    for name, options in {"usual": {}, "dense": {"dense": 1.0}, "covering": {"dense": 1.0, "covering": 1.0}}.items():
        damaged, target = BatchSynthesizer(usual.model_copy(update=options)).draw(
            orange, torch.Generator().manual_seed(5)
        )
        core = damaged.permute(0, 2, 3, 1)[target == 255]
        core = core[core[:, 0].argsort()][: len(core) // 5]  # where nothing of a soft rim is left
        darkness[name], colour[name] = core.mean().item(), (core[:, 0] - core[:, 2]).mean().item()
    assert darkness["dense"] < 0.8 * darkness["usual"]
    assert colour["covering"] < 0.7 * colour["dense"]


def share_bright(damaged: torch.Tensor, target: torch.Tensor) -> float:
    """Share of patches whose damage is brighter than the sound pixels of the same columns."""
    votes = []
    for picture, truth in zip(damaged.mean(dim=1), target, strict=True):
        marked, sound = truth == 255, truth == 0
        if not marked.any() or not sound.any(dim=0).all():
            continue
        under = (picture * sound).sum(dim=0) / sound.sum(dim=0)
        votes.append(float((picture - under)[marked].mean() > 0))
    return float(np.mean(votes))


def test_masks_are_honest() -> None:
    recipe = Recipe(clean=0.0, barely=8.0, **PLAIN)
    photos = torch.full((24, 3, 64, 64), 0.5)
    damaged, target = BatchSynthesizer(recipe).draw(photos, torch.Generator().manual_seed(0))
    for picture, truth in zip(damaged, target, strict=True):
        if not (truth == 0).any():
            continue
        ground = picture[:, truth == 0].median(dim=1).values[:, None]
        # Under the coverage that counts as a rim, light changes by little more than that share.
        assert (picture[:, truth == 0] - ground).abs().max() < 0.25
        if (truth == 255).any():
            assert (picture[:, truth == 255] - ground).abs().amax(dim=0).mean() > 5 / 255


def test_spots_lost_in_texture_are_not_judged_if_the_recipe_says_so() -> None:
    squares = torch.kron(torch.arange(8)[:, None] + torch.arange(8) & 1, torch.ones(8, 8))
    busy = (0.3 + 0.4 * squares).expand(8, 3, 64, 64)
    plain = PLAIN | {"clean": 0.0, "opacity_high": 0.4}
    judged = [
        int((BatchSynthesizer(Recipe(against_texture=times, **plain)).draw(ground, dice().generator)[1] == 255).sum())
        for ground in (busy, torch.full_like(busy, 0.5))
        for times in (0.0, 3.0)
    ]
    assert judged[0] > 0
    assert judged[1] == 0
    assert judged[3] == judged[2] > 0


def test_relief_leaves_what_is_not_covered_and_has_two_flanks() -> None:
    coverage = torch.zeros(8, 32, 32)
    coverage[:, 12:20, 12:20] = 1
    ratio = relief(dice(), coverage)
    assert not ratio[:, :8].any()
    assert (ratio.amin(dim=(1, 2)) < 0).any()
    assert (ratio.amax(dim=(1, 2)) > 0).any()


def test_clean_share_one_draws_nothing() -> None:
    _, target = BatchSynthesizer(Recipe(clean=1.0)).draw(grounds(5), torch.Generator().manual_seed(0))
    assert not target.any()


def test_what_does_not_fit_is_refused() -> None:
    generator = torch.Generator()
    with pytest.raises(TypeError, match="float32"):
        BatchSynthesizer().draw(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), generator)
    with pytest.raises(ValueError, match="N, 3, H, W"):
        BatchSynthesizer().draw(torch.zeros(1, 1, 32, 32), generator)
    with pytest.raises(ValueError, match="lie on"):
        BatchSynthesizer().draw(torch.zeros(1, 3, 32, 32, device="meta"), generator)
    with pytest.raises(SettingsError, match="no procedural kind"):
        BatchSynthesizer(Recipe(kinds={"overlays": 1.0}))


def test_a_line_thinner_than_a_pixel_covers_its_share() -> None:
    one = torch.ones(1)
    assert box_cover(torch.zeros(1), 0.3 * one, one).item() == pytest.approx(0.3)
    assert box_cover(torch.zeros(1), 5 * one, one).item() == pytest.approx(1.0)
    assert box_cover(torch.tensor([0.5]), one, one).item() == pytest.approx(0.5)
    assert box_cover(torch.tensor([3.0]), one, one).item() == 0


def test_discs_have_their_area_and_stop_at_the_edge() -> None:
    points = torch.tensor([[[20.0, 20.0]], [[0.0, 0.0]]])
    painted = discs(points, torch.full((2, 1), 8.0), torch.ones(2, 1), torch.ones(2), (40, 41), 7)
    area = painted.sum(dim=(1, 2))
    assert area[0].item() == pytest.approx(np.pi * 16, rel=0.05)
    assert area[1].item() == pytest.approx(area[0].item() / 4, rel=0.35)


def test_blur_is_per_picture_and_keeps_the_mean() -> None:
    light = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    blurred = blur(light, torch.tensor([1e-3, 1.5]))
    assert torch.allclose(blurred[0], light[0], atol=1e-6)
    assert blurred[1].std() < 0.5 * light[1].std()
    assert blurred[1].mean().item() == pytest.approx(light[1].mean().item(), abs=0.02)


def test_noise_varies_over_its_cell() -> None:
    rough, smooth = noise(dice(), (128, 128), torch.tensor([4.0, 40.0])).diff(dim=1).abs().mean(dim=(1, 2))
    assert rough > 4 * smooth


def test_optics_soften_the_damage_and_not_the_scene() -> None:
    ground = torch.full((12, 3, 64, 64), 0.5)
    plain = PLAIN | {"clean": 0.0, "opacity_low": 0.9}
    sharp, soft = (
        BatchSynthesizer(Recipe(optics=most, **plain)).draw(ground, dice().generator)[0] - ground for most in (0.0, 4.0)
    )
    assert soft.diff(dim=3).abs().max() <= sharp.diff(dim=3).abs().max()
    assert soft.diff(dim=3).abs().mean() < 0.9 * sharp.diff(dim=3).abs().mean()
    torch.testing.assert_close(soft.sum(), sharp.sum(), rtol=0.1, atol=0)
