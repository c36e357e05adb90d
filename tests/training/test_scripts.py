"""The scripts that make what the shipped networks are trained on."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_samples import write_pairs, write_photos

from redust.core.errors import TrainingError
from redust.core.settings import Sensitivity
from redust.models import read_card
from redust.models.networks import build
from redust.training.config import TrainConfig
from redust.training.synthesis.recipe import Recipe

ROOT = Path(__file__).parents[2]
PLAN = """
side = 48

[[portion]]
name = "drawn"
count = 3
recipe = "recipe.toml"
shrink = [1.0, 1.5]
smoothest_of = 3
scale = [1.0, 1.0]

[[portion]]
name = "plates"
count = 2
ground = "plates"
negative = 1.0

[[portion]]
name = "mistakes"
count = 1
ground = "mistakes"
"""


def run(script: str, *arguments: object, room: str = "scripts", fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / room / script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert bool(done.returncode) is fails, done.stderr
    return done.stderr if fails else done.stdout


def write_bench(bench: Path) -> Path:
    """A set with damage and one without, as benchmarks take them."""
    write_pairs(bench / "scratched" / "damaged", bench / "scratched" / "mask", range(2))
    write_pairs(bench / "clean" / "damaged", bench / "clean" / "mask", range(2, 4))
    for path in (bench / "clean" / "mask").iterdir():
        cv2.imwrite(str(path), np.zeros((40, 48), np.uint8))
    return bench


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*recipe.toml")), ids=lambda path: path.stem)
def test_recipes_are_recipes(path: Path) -> None:
    Recipe.from_preset(path)


@pytest.mark.parametrize("name", ["unet.toml", "seed.toml", "blind.toml"])
def test_configurations_are_configurations(name: str, pairs: Path) -> None:
    assert TrainConfig.load(ROOT / "configs" / name, {"data": pairs}).data.data == pairs


def test_what_is_wrong_with_a_plan_is_said_and_an_interruption_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    plainly, draw_pairs = (importlib.import_module(name) for name in ("plainly", "draw_pairs"))
    for text, why in (("side = 48\nportions = []\nportion = []", "no setting `portions`"), ("side", "no plan")):
        (tmp_path / "plan.toml").write_text(text)
        with pytest.raises(TrainingError, match=why):
            draw_pairs.read_plan(tmp_path / "plan.toml", tmp_path)
    with pytest.raises(TrainingError, match="no plan"):
        draw_pairs.read_plan(tmp_path / "none.toml", tmp_path)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        plainly.run(interrupted)
    assert ended.value.code == 130
    assert "interrupted" in capsys.readouterr().err


def test_pairs_are_drawn_by_a_plan_whatever_the_workers(tmp_path: Path) -> None:
    material = tmp_path / "material"
    write_photos(material / "photos", 2)
    write_pairs(material / "plates/images", material / "plates/masks", range(2))
    for path in (material / "plates").rglob("*.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (96, 80), interpolation=cv2.INTER_NEAREST))
    (tmp_path / "recipe.toml").write_text("clean = 0.0\nnegatives = 0.0\n[kinds]\ndust = 1.0\n")
    (tmp_path / "plan.toml").write_text(PLAN)
    for workers in (1, 2):
        run("draw_pairs.py", material, tmp_path / "plan.toml", "-o", tmp_path / str(workers), "--workers", workers)
    drawn = files(tmp_path / "1")
    assert drawn == files(tmp_path / "2")
    run("draw_pairs.py", material, tmp_path / "plan.toml", "-o", tmp_path / "3", "--clean")
    with_clean = files(tmp_path / "3")
    assert {name: with_clean[name] for name in drawn} == drawn
    assert set(with_clean) - set(drawn) == {name.replace("images", "clean") for name in drawn if "images" in name}
    assert with_clean["clean/mistakes-00000.png"] == drawn["images/mistakes-00000.png"]
    assert with_clean["clean/drawn-00000.png"] != drawn["images/drawn-00000.png"]
    assert len(drawn) == 12
    masks = {name: cv2.imread(str(tmp_path / "1" / name), 0) for name in drawn if name.startswith("masks")}
    assert all(mask.shape == (48, 48) for mask in masks.values())
    assert all(masks[f"masks/plates-0000{number}.png"].any() for number in range(2))
    assert any(masks[f"masks/drawn-0000{number}.png"].any() for number in range(3))
    assert not masks["masks/mistakes-00000.png"].any()
    plate = cv2.imread(str(tmp_path / "1/images/plates-00000.png"))
    assert plate[masks["masks/plates-00000.png"] == 255].mean() < 40  # white spots, as a negative


COURSE = """
batch = 4
side = 48
room = 64
kept = [0.0, 1.0]

[[learner]]
name = "large"
model = { channels = [32, 16, 16, 16], blocks = [1, 1] }
grown_from = { channels = [16, 8, 8, 8] }
latest = true

[[learner]]
name = "small"
model = { start = "START", scales = [1, 3] }
optimiser = { learning_rate = 1e-2, warmup = 0.0 }
shares = [0.75, 0.25]
teacher = "large"
taught_from = 0.0
"""


def test_several_learn_at_once_from_what_is_drawn_meanwhile(tmp_path: Path, model: Path) -> None:
    write_photos(tmp_path / "material/photos", 2)
    (tmp_path / "recipe.toml").write_text("clean = 0.0\nnegatives = 0.0\n[kinds]\ndust = 1.0\n")
    plan = PLAN[: PLAN.index("[[portion]]", PLAN.index("[[portion]]") + 1)]
    (tmp_path / "plan.toml").write_text(plan)
    (tmp_path / "course.toml").write_text(COURSE.replace("START", str(model)))
    drawn = ("--draw", tmp_path / "material", tmp_path / "plan.toml")
    out = tmp_path / "out"
    (tmp_path / "bad.toml").write_text(
        COURSE.replace("START", str(model)).replace('teacher = "large"', 'teacher = "tall"')
    )
    told = run("train_at_once.py", tmp_path / "bad.toml", "-o", out, "--minutes", 0.25, *drawn, fails=True)
    assert "a teacher stand above" in told
    told = run("train_at_once.py", tmp_path / "course.toml", "-o", out, "--minutes", 0.25, *drawn)
    assert "steps" in told.splitlines()[-1]
    large, small = (torch.load(out / f"{name}.pt", weights_only=True) for name in ("large", "small"))
    assert set(large) == {"1"}
    assert set(small) == {"0", "1"}
    begun = load_file(model / "weights.safetensors")
    for name, weight in begun.items():
        assert torch.allclose(small["0"][name].float(), weight.float(), rtol=1e-3, atol=1e-4)
    assert not torch.equal(small["1"]["head.weight"], small["0"]["head.weight"])
    write_pairs(tmp_path / "pairs/images", tmp_path / "pairs/masks", range(2))
    flags = ("--share", 1, "--mean-statistics", "--data", tmp_path / "pairs", "-o", tmp_path / "blended")
    assert "another architecture" in run("blend.py", model, out / "large.pt", *flags, fails=True)
    run("blend.py", model, out / "small.pt", *flags)
    learned = load_file(tmp_path / "blended/weights.safetensors")
    assert torch.equal(learned["head.weight"], small["1"]["head.weight"].float())
    assert "holds the states 0, 1, not 0.3" in run(
        "blend.py", model, out / "small.pt", *flags, "--state", 0.3, fails=True
    )
    run("blend.py", model, out / "small.pt", *flags, "--state", 0, "--blur", 2)
    soft = (tmp_path / "blended/model-int8.onnx").read_bytes()
    assert torch.equal(
        load_file(tmp_path / "blended/weights.safetensors")["head.weight"], small["0"]["head.weight"].float()
    )
    run("blend.py", model, out / "small.pt", *flags, "--state", 0)
    # The weights are the same, the ranges of what they are given are not.
    assert (tmp_path / "blended/model-int8.onnx").read_bytes() != soft


LOOKS = """
side = 48
scales = [1, 3]
shares = [0.75, 0.25]
optimiser = { learning_rate = 1e-2, warmup = 0.0 }

[[source]]
name = "scans"
windows = 5
window = 48
zooms = [1.0, 0.8]
patches = 2
grey = 0.5
look = [{ teacher = "a", blur = 0.6 }, { teacher = "b", zoom = 2.0 }]
"""


def test_one_look_is_taught_what_several_say(tmp_path: Path, model: Path) -> None:
    write_pairs(tmp_path / "pairs/images", tmp_path / "pairs/masks", range(3))
    for path in (tmp_path / "pairs").rglob("*.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (96, 80), interpolation=cv2.INTER_NEAREST))
    (tmp_path / "course.toml").write_text(LOOKS)
    given = ("--start", model, "--source", f"scans={tmp_path / 'pairs'}", "--minutes", 0.1, "-o", tmp_path / "new.pt")
    teachers = ("--teacher", f"a={model}", "--teacher", f"b={model}")
    told = run("learn_looks.py", tmp_path / "course.toml", *given, *teachers)
    assert "scans: 5 windows asked about" in told
    first, last = torch.load(tmp_path / "new.pt", weights_only=True)["0.5"], load_file(model / "weights.safetensors")
    assert not torch.equal(first["head.weight"].float(), last["head.weight"])
    assert torch.equal(first["enter_2.0.1.running_mean"].float(), last["enter_2.0.1.running_mean"].half().float())
    (tmp_path / "course.toml").write_text("blur = [0.4, 0.8]\n" + LOOKS)
    run("learn_looks.py", tmp_path / "course.toml", *given, *teachers)
    other = torch.load(tmp_path / "new.pt", weights_only=True)["0.5"]
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_what_a_course_of_looks_lacks_is_said(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    learn_looks = importlib.import_module("learn_looks")
    (tmp_path / "course.toml").write_text(LOOKS)
    (tmp_path / "bad.toml").write_text(LOOKS.replace("zoom = 2.0", "zoom = 1.5"))
    with pytest.raises(TrainingError, match="multiples of 48"):
        learn_looks.plainly.read(learn_looks.Course, tmp_path / "bad.toml")
    course = learn_looks.plainly.read(learn_looks.Course, tmp_path / "course.toml")
    with pytest.raises(TrainingError, match="--teacher NAME=MODEL"):
        learn_looks.Panel(course, {"a": model})
    write_photos(tmp_path / "small", 1)
    source = course.source[0].model_copy(update={"window": 480})
    with pytest.raises(TrainingError, match="smaller than a window"):
        list(learn_looks.cut_windows(source, tmp_path / "small", np.random.default_rng(0)))
    with pytest.raises(TrainingError, match="NAME=PATH"):
        learn_looks.named(["scans"])


def test_looks_say_of_a_window_what_the_teacher_says_of_it_turned(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    learn_looks = importlib.import_module("learn_looks")
    (tmp_path / "course.toml").write_text(LOOKS)
    course = learn_looks.plainly.read(learn_looks.Course, tmp_path / "course.toml")
    network = learn_looks.starting(course, model)
    panel = learn_looks.Panel(course, {"a": model, "b": model})
    for one in panel.networks.values():  # they say how bright a pixel is, whichever way it is turned
        one.judged = lambda light, shares: 8 * light.mean(1, keepdim=True) - 4
    window = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    plain = course.source[0].model_copy(
        update={"look": (course.source[0].look[0].model_copy(update={"blur": 0.0}),) * 3}
    )
    said = panel.opinions([window], plain, np.random.default_rng(1))[0]
    assert np.abs(said - (8 * window.mean(2) / 255 - 4)).max() < 0.05
    assert network.scales == (1, 3)


def test_a_learner_may_see_patches_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    blurred = importlib.import_module("learn_looks").blurred
    light = torch.rand(3, 3, 40, 48).contiguous(memory_format=torch.channels_last)
    assert blurred(light, (0.0, 0.0)) is light
    soft = blurred(light, (0.6, 0.6))
    assert soft.is_contiguous(memory_format=torch.channels_last)
    expected = cv2.GaussianBlur(light[1].permute(1, 2, 0).numpy(), (0, 0), 0.6)
    np.testing.assert_allclose(soft[1].permute(1, 2, 0).numpy(), expected, atol=1e-6)
    torch.manual_seed(0)
    spread = blurred(light, (0.2, 2.0)).std((1, 2, 3))
    assert len(set(spread.tolist())) == 3  # each by another sigma


def test_a_network_grows_without_saying_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    grow = importlib.import_module("train_at_once").grow
    torch.manual_seed(0)
    narrow, wide = build("unet", channels=[16, 8, 8, 8]), build("unet", channels=[32, 16, 24, 16], blocks=[1, 1])
    for one in narrow.parameters():
        torch.nn.init.normal_(one, 0, 0.3)
    light = torch.rand(1, 3, 32, 32)
    grow(wide, narrow)
    assert torch.allclose(wide.eval()(light), narrow.eval()(light), atol=1e-4)
    wide(light).square().sum().backward()
    assert wide.head.weight.grad[:, 16:32].abs().max() > 0  # what is new can be heard from now on


def test_masks_are_doubted(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    (scans / "images").mkdir(parents=True)
    (scans / "masks").mkdir()
    picture = np.tile(np.linspace(60, 140, 96), (96, 1)) + np.random.default_rng(0).normal(0, 2, (96, 96))
    seen, imagined, unmarked = (np.s_[row : row + 5, row : row + 5] for row in (10, 40, 70))
    picture[seen], picture[unmarked] = 250, 250
    mask = np.zeros((96, 96), np.uint8)
    mask[seen], mask[imagined] = 255, 255
    cv2.imwrite(str(scans / "images/plate.png"), picture.astype(np.uint8))
    cv2.imwrite(str(scans / "masks/plate.png"), mask)
    told = run("doubt_masks.py", scans, "-o", out, "--detector", "tophat", "--least", 0.3, "--most", 0.6)
    assert told.startswith("plate: doubted 25 of 50 damaged pixels, ")
    found = cv2.imread(str(out / "plate_mask.png"), 0)
    assert (found[seen] == 255).all()
    assert (found[imagined] == 128).all()
    assert (found[unmarked] == 128).all()
    assert (found == 128).mean() < 0.02
    assert (out / "plate.png").read_bytes() == (scans / "images/plate.png").read_bytes()
    assert "another folder" in run("doubt_masks.py", out, "-o", out, fails=True)
    assert (cv2.imread(str(out / "plate_mask.png"), 0) == found).all()


def test_masks_are_judged_by_a_second_take(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    rng = np.random.default_rng(0)
    scene = 110 + 70 * cv2.GaussianBlur(rng.normal(0, 1, (320, 320)), (0, 0), 3)
    alone, in_both, imagined, trusted = (np.s_[row : row + 6, row + 9 : row + 15] for row in (60, 120, 180, 240))
    scene[in_both] = 250
    takes = [np.roll(scene, 2, 1) + rng.normal(0, 2, scene.shape), scene + rng.normal(0, 2, scene.shape)]
    takes[1][alone], takes[1][trusted] = 255, 255
    mask = np.full(scene.shape, 128, np.uint8)
    mask[imagined], mask[trusted] = 255, 255
    for name, take in zip(("scene_R", "scene_G"), takes, strict=True):
        cv2.imwrite(str(scans / f"{name}.png"), np.clip(take, 0, 255).astype(np.uint8))
        cv2.imwrite(str(scans / f"{name}_mask.png"), mask if name == "scene_G" else np.full_like(mask, 128))
    told = run("judge_masks.py", scans, "-o", out, "--looks", 2)
    assert told.startswith("scene_G: damaged 72 to ")
    assert 72 <= int(told.split(",")[0].split()[-1]) <= 160  # two spots, as wide as the detector sees them
    found, other = (cv2.imread(str(out / f"scene_{take}_mask.png"), 0) for take in "GR")
    assert (found[alone] == 255).all()
    assert (found[trusted] == 255).all()
    assert (found[in_both] == 0).all()
    assert not (found[imagined] == 255).any()
    assert (found == 0).mean() > 0.5
    assert not (other == 255).any()
    assert (other == 0).mean() > 0.5
    assert (out / "scene_G.png").read_bytes() == (scans / "scene_G.png").read_bytes()
    for take, picture in (("R", np.full_like(mask, 100)), ("G", scene.clip(0, 255).astype(np.uint8))):
        cv2.imwrite(str(scans / f"flat_{take}.png"), picture)
        cv2.imwrite(str(scans / f"flat_{take}_mask.png"), np.full_like(mask, 128))
    told = run("judge_masks.py", scans, "-o", tmp_path / "again", "--looks", 1, fails=True)
    assert "flat_G, flat_R: two takes of a scene do not show the same" in told
    assert "scenes left out, as said above: 1" in told
    assert sorted(path.name for path in (tmp_path / "again").glob("*_mask.png")) == [
        "scene_G_mask.png",
        "scene_R_mask.png",
    ]
    (scans / "scene_B.png").write_bytes((scans / "scene_G.png").read_bytes())
    (scans / "scene_B_mask.png").write_bytes((scans / "scene_G_mask.png").read_bytes())
    told = run("judge_masks.py", scans, "-o", out, fails=True)
    assert "give two takes of a scene" in told
    assert "Traceback" not in told
    assert "another folder" in run("judge_masks.py", out, "-o", out, fails=True)


def test_damage_is_laid_anew(tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs", tmp_path / "out"
    for half, numbers in (("train", range(4)), ("test", range(8, 10))):
        write_pairs(pairs / half / "images", pairs / half / "masks", numbers)
    for path in pairs.rglob("*.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (40, 40), interpolation=cv2.INTER_AREA))
    run("shuffle_damage.py", pairs, "-o", out, "--number", 5, "--photos", write_photos(tmp_path / "photos", 2))
    before, after = files(pairs), files(out)
    assert {name: after[name] for name in before} == before
    anew = sorted(set(after) - set(before))
    assert [name for name in anew if "/images/" in name] == [f"train/images/anew-{n:05d}.png" for n in range(5)]
    mask, picture = (cv2.imread(str(out / f"train/{part}/anew-00001.png")) for part in ("masks", "images"))
    assert (mask > 250).any()
    assert np.median(picture[mask > 250]) > 245  # both went through JPEG
    assert np.median(picture[mask < 5]) < 230


def test_a_card_is_told_its_levels_and_figures(model: Path, tmp_path: Path) -> None:
    bench = write_bench(tmp_path / "bench")
    told = run("describe.py", model, bench, "--shares", 0.6, 0.4, "--shy", 1000, "--eager", 50000, room="benchmarks")
    rows = [row.split() for row in told.splitlines()]
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    rates = [float(row[3]) for row in rows]
    assert rates == sorted(rates, reverse=True)
    grey = run("describe.py", model, bench, "--shares", 0.6, 0.4, "--grey", room="benchmarks")
    assert [row.split()[1] for row in grey.splitlines()] == [row[1] for row in rows]
    assert grey != told
    before = read_card(model)
    refused = run(
        "describe.py", model, bench, "--shares", 0.7, 0.3, "--level", 0.999, "--shy", 10**6, "--eager", 0,
        room="benchmarks", fails=True,
    )  # fmt: skip
    assert "choose --shy (1e+06) below that and --eager (0) above" in refused
    assert "Traceback" not in refused
    assert read_card(model) == before
    text = tmp_path / "text.json"
    text.write_text('{"cost": "nothing"}')
    level = read_card(model).levels[Sensitivity.normal]
    run(
        "describe.py", model, bench, "--shares", 0.6, 0.4, "--level", level, "--shy", 0, "--eager", 10**6,
        "--text", text, room="benchmarks",
    )  # fmt: skip
    card = read_card(model)
    assert card.scale_shares == (0.6, 0.4)
    assert card.cost == "nothing"
    assert card.false_positive_rates[Sensitivity.eager] > 0.5
    assert card.false_positive_rates[Sensitivity.shy] <= card.false_positive_rates[Sensitivity.normal]
    assert set(card.metrics) == {"scratched", "clean"}
    assert set(card.f1_by_weights) == {"onnx", "onnx-int8"}


def test_pieces_are_kept_as_one_who_knows_the_truth_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    bounds = importlib.import_module("bounds")
    truth, mask = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.bool_)
    truth[5:8, 5:25] = 255
    mask[5:8, 5:10] = True  # a part of it
    mask[30:33, 5:10] = True  # false
    mask[9, 40:58], truth[9, 40:44] = True, 255  # mostly false
    mask[20:23, 30:36], truth[20:23, 30:35], truth[20, 35] = True, 128, 255  # what little is judged of it is right
    kept = bounds.rightly_judged(mask, truth)
    assert kept[5:8, 5:10].all()
    assert kept[20:23, 30:36].all()
    assert not kept[30:33].any()
    assert not kept[9].any()
    assert not (kept & ~mask).any()
    lost = truth == 255
    lost[5:8, :12] = lost[9] = lost[20] = False  # within two pixels of the mask
    assert bounds.missed(mask, truth) == (lost.sum(), lost.sum())
    assert bounds.missed(kept & False, truth) == ((truth == 255).sum(), 0)


def test_bounds_are_told_of_sets_with_damage(model: Path, tmp_path: Path) -> None:
    bench = write_bench(tmp_path / "bench")
    heading, *rows = run("bounds.py", bench, "--detector", model, room="benchmarks").strip().splitlines()
    assert heading.startswith("scratched")
    f1 = {row[:24].strip(): float(row[24:].split()[0]) for row in rows}
    assert len(f1) == 8
    assert f1["best level of each"] >= f1["default level"]
    assert all(f1[f"{level}, rightly judged"] >= f1[f"all above {level}"] for level in (0.02, 0.05, 0.1))
