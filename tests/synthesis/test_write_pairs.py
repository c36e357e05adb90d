"""Pairs as files: the same bytes with any number of workers and after any interruption; nothing lost, clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.cli.entry import main
from redust.core.errors import ScanError, SettingsError, TargetExists
from redust.core.labels import Label
from redust.decision.regions import Regions
from redust.files import read_scan
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer
from redust.synthesis.write_pairs import Plan, gather_photos, prepare_folder, write_pairs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one photo of 8 and one of 16 bit."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.random((6, 8, 3)), (96, 80), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    cv2.imwrite(str(folder / "a.png"), np.rint(smooth * 255).astype(np.uint8))
    cv2.imwrite(str(folder / "more" / "b.tif"), np.rint(smooth[::-1] * 65535).astype(np.uint16))
    return folder


def plan_of(photos: Path, count: int = 5, size: int | None = 48, seed: int = 3) -> Plan:
    return Plan(gather_photos([photos]), Synthesizer(Recipe(clean=0.0), seed=seed), count, size)


def draw(plan: Plan, folder: Path, workers: int = 1) -> dict[str, bytes]:
    """Draw all there is to draw; the files and their bytes."""
    list(write_pairs(plan, folder, prepare_folder(plan, folder), workers))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_what_they_say(photos: Path, tmp_path: Path) -> None:
    files = draw(plan_of(photos), tmp_path / "out")
    lines = [json.loads(line) for line in files["manifest.jsonl"].splitlines()]
    assert [line["number"] for line in lines] == list(range(5))
    assert len(files) == 3 * 5 + 2
    for line in lines:
        mask = read_scan(tmp_path / "out" / "masks" / line["name"]).pixels
        image, clean = (read_scan(tmp_path / "out" / part / line["name"]) for part in ("images", "clean"))
        assert mask.shape == (48, 48, 1)
        assert set(np.unique(mask)) <= {0, 128, 255}
        assert line["coverage"] == pytest.approx((mask == 255).mean(), abs=1e-5)
        change = np.abs(image.pixels.astype(float) - clean.pixels).max(axis=2)[mask[..., 0] == 255]
        step = 1 if image.bits == 8 else 257
        assert line["contrast"] == pytest.approx(np.median(change) / step if change.size else 0, abs=1.1)
        assert image.pixels.shape == clean.pixels.shape == (48, 48, 3)
        assert image.bits == (16 if line["photo"].endswith("b.tif") else 8)
    assert {Path(line["photo"]).name for line in lines} == {"a.png", "b.tif"}
    assert Recipe.from_preset(tmp_path / "out" / "recipe.toml") == Recipe(clean=0.0)


def test_the_recipe_of_a_usual_scan_draws_what_the_census_counted() -> None:
    recipe = Recipe.from_preset(Path(__file__).parents[2] / "recipes/usual-scan.toml")
    shares = {kind: share / sum(recipe.kinds.values()) for kind, share in recipe.kinds.items()}
    assert shares["dust"] == pytest.approx(0.63, abs=0.01)
    assert shares["dirt"] == pytest.approx(0.22, abs=0.01)
    photo = np.full((512, 512, 3), 0.4, np.float32)
    targets = [Synthesizer(recipe, seed=5).draw(photo, number).target for number in range(12)]
    sizes = np.concatenate([Regions(target == Label.damage).sizes() for target in targets])
    assert 30 <= np.median(sizes) <= 90  # dust has 56, dirt 120
    assert 0.001 < np.mean([(target == Label.damage).mean() for target in targets]) < 0.02


def test_workers_and_interruptions_do_not_change_a_byte(photos: Path, tmp_path: Path) -> None:
    plan = plan_of(photos)
    alone = draw(plan, tmp_path / "alone")
    stopped = write_pairs(plan, tmp_path / "two", prepare_folder(plan, tmp_path / "two"), 1)
    next(stopped), next(stopped), next(stopped)
    stopped.close()
    with open(tmp_path / "two" / "manifest.jsonl", "ab") as manifest:
        manifest.write(b'{"name": "0000')  # killed while it wrote
    (tmp_path / "two" / "masks" / f"{plan.name(1)}").unlink()
    assert prepare_folder(plan, tmp_path / "two") == 1
    assert draw(plan, tmp_path / "two", workers=2) == alone
    assert prepare_folder(plan, tmp_path / "two") == 5


def test_whole_photos_keep_their_size(photos: Path, tmp_path: Path) -> None:
    draw(plan_of(photos, count=2, size=None), tmp_path / "out")
    assert read_scan(next((tmp_path / "out" / "masks").glob("000001*"))).shape == (80, 96)


def test_other_plans_and_strange_files_are_not_mixed_in(photos: Path, tmp_path: Path) -> None:
    draw(plan_of(photos), tmp_path / "out")
    with pytest.raises(TargetExists, match="drawn otherwise"):
        prepare_folder(plan_of(photos, seed=4), tmp_path / "out")
    (tmp_path / "full" / "images").mkdir(parents=True)
    (tmp_path / "full" / "images" / "mine.png").write_bytes(b"mine")
    with pytest.raises(TargetExists, match=r"mine\.png"):
        prepare_folder(plan_of(photos), tmp_path / "full")


def test_a_photo_that_cannot_be_used_does_not_stop_the_others(photos: Path, tmp_path: Path) -> None:
    (photos / "c.png").write_bytes(b"no picture at all")
    plan = plan_of(photos, count=6)
    records = list(write_pairs(plan, tmp_path / "out", prepare_folder(plan, tmp_path / "out")))
    assert [Path(record.photo).name for record in records if record.error] == ["c.png", "c.png"]
    small = plan_of(photos, count=1, size=90)
    (record,) = write_pairs(small, tmp_path / "small", prepare_folder(small, tmp_path / "small"))
    assert "90 x 90" in str(record.error)


def test_photos_are_gathered_once_and_results_left_out(photos: Path, tmp_path: Path) -> None:
    names = [path.name for path in gather_photos([photos, photos / "a.png"])]
    assert sorted(names) == ["a.png", "b.tif"]
    assert [path.name for path in gather_photos([photos], leave_out=photos / "more")] == ["a.png"]
    with pytest.raises(SettingsError, match="among the results"):
        gather_photos([photos / "a.png"], leave_out=photos)
    with pytest.raises(ScanError, match="no photos"):
        gather_photos([tmp_path / "photos" / "more"], leave_out=photos / "more")
    with pytest.raises(ScanError, match="Check the path"):
        gather_photos([tmp_path / "nowhere"])


def test_the_command(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as end:
            main(["synthesize", *map(str, arguments)])
        return int(end.value.code or 0)

    out = tmp_path / "out"
    assert run(photos, "-o", out, "--size", 48, "--count", 2, "--workers", 1, "--seed", 7) == 0
    assert "2 pairs" in capsys.readouterr().out
    assert run(photos, "-o", out, "--size", 48, "--count", 2, "--workers", 1, "--seed", 7) == 0
    assert "2 of 2 pairs exist already" in capsys.readouterr().err
    assert run(photos, "-o", tmp_path / "again", "--recipe", out / "recipe.toml", "--workers", 1, "-q") == 0
    assert run(photos) == 2
    assert run("-o", tmp_path / "none") == 2
    assert run(photos, "-o", tmp_path / "small", "--size", 4096, "--workers", 1) == 3
    assert "smaller --size" in capsys.readouterr().err
    assert run("--sheet", tmp_path / "sheet.bmp") == 2
