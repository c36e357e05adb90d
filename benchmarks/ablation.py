"""What each ingredient of the detector buys: the same short training with one of them left out at a time.

    python scripts/draw_pairs.py MATERIAL configs/unet-pairs.toml -o PAIRS
    python scripts/draw_pairs.py MATERIAL configs/one-scale-pairs.toml -o ONE_SCALE
    python benchmarks/ablation.py PAIRS BENCH_DIR -o OUT [--one-scale ONE_SCALE] [--number 6000] [--threads 2]

Every row learns from as many pairs for as many steps, from nothing; all but one with the same seed. Rows that change
nothing in training (a second look at a third of the size, INT8, sums along lines) look with the network of the first
row. Since a level means something else to each network, every set is cut where its own strict f1 is best; the
undamaged photos of the bench set ``clean`` are cut where that of ``composed`` is. A row that is done is kept in
OUT/rows.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from redust.core.arrays import DamageMap
from redust.core.settings import Weights
from redust.detectors.lines import find_lines, mark_lines
from redust.detectors.network import NetworkDetector
from redust.detectors.running import find_damage
from redust.training.config import TrainConfig
from redust.training.evaluation import Tally, Truth
from redust.training.pairs import Library, PairPaths, find_splits
from redust.training.run import train

CLEAN, SETS = "clean", ("plates", "composed")
SOUND = ("sound", "undamaged", "mistakes", "stars")


@dataclass(frozen=True)
class Row:
    """One network.

    Parameters
    ----------
    name
        What the table calls it.
    without
        Portions of pairs that are left out, by the beginning of their names.
    flags
        Fields of the training configuration that differ.
    one_scale
        Learn from the pairs drawn at one scale instead of the same portions drawn at many.
    """

    name: str
    without: tuple[str, ...] = ()
    flags: dict[str, Any] = field(default_factory=dict)
    one_scale: bool = False


TRAINED = (
    Row("all of it"),
    Row("all of it with another seed", flags={"seed": 1}),
    Row("without damage drawn on photos", ("clear", "dark", "photos", "smooth")),
    Row("without real plates", ("plates",)),
    Row("without undamaged pictures and hard negatives", SOUND),
    Row("without the mistakes of an earlier network", ("mistakes",)),
    Row("damage of one scale only", one_scale=True),
    Row("cross-entropy alone", flags={"loss": "bce"}),
    Row("focal Tversky alone", flags={"loss": "focal-tversky"}),
)

# Ways to look with the network of the first row: name, weights, whether lines are looked for.
LOOKED = (
    ("and a look at a third of the size", Weights.float32, False),
    ("both, in INT8", Weights.int8, False),
    ("both, and sums along lines", Weights.float32, True),
)


def portion(pair: PairPaths) -> str:
    """The portion of the plan that a pair was drawn by."""
    return pair.name.rpartition("-")[0]


def choose(row: Row, pairs: Path, one_scale: Path | None, number: int, folder: Path) -> None:
    """Lay `number` of the pairs that a row learns from into a folder, as links; some twice where there are too few."""
    chosen = [pair for pair in find_splits(pairs).train if not portion(pair).startswith(row.without or ("/",))]
    if row.one_scale and one_scale is not None:
        others = find_splits(one_scale).train
        replaced = {portion(pair) for pair in others}
        chosen = [pair for pair in chosen if portion(pair) not in replaced] + list(others)
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(len(chosen)) for _ in range(-(-number // len(chosen)))])[:number]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for place, index in enumerate(order):
        pair = chosen[int(index)]
        for part, path in (("images", pair.picture), ("masks", pair.mask)):
            (folder / part / f"{place:06d}.png").symlink_to(path.resolve())


def learn(row: Row, pairs: Path, options: argparse.Namespace) -> Path:
    """Train a row's network; returns its folder."""
    name = row.name.replace(" ", "-")
    data = options.output / "pairs"
    shutil.rmtree(data, ignore_errors=True)
    choose(row, pairs, options.one_scale, options.number, data)
    flags = {
        "data": data, "name": name, "out": options.output, "epochs": 1, "val_share": 0.01, "learning_rate": 3e-3,
        "ema": 0.98, "threads": options.threads, "accelerator": "cpu", "tophat": False, "samples": 0,
    }  # fmt: skip
    config = TrainConfig.load(Path(__file__).parents[1] / "configs" / "unet.toml", flags | row.flags)
    train(config, resume=True)
    return config.run.out / "models" / name


def looked(detector: NetworkDetector, folder: Path, *, lines: bool) -> list[tuple[Truth, DamageMap]]:
    """Truths and damage maps of a bench set."""
    found = []
    pairs = Library(find_splits(folder).train, None)
    for index in range(len(pairs)):
        pixels, truth = pairs[index]
        damage = find_damage(detector, pixels)
        if lines:
            mark_lines(damage, find_lines(pixels))
        found.append((truth, damage))
    return found


def measure(detector: NetworkDetector, bench: Path, *, lines: bool = False) -> dict[str, float]:
    """Best strict f1 and average precision on the sets, and the false pixels per million of undamaged photos."""
    row, level = {}, 0.5
    for name in SETS:  # `composed` last: its level is that of `clean`
        tally = Tally()
        for truth, damage in looked(detector, bench / name, lines=lines):
            tally.add(truth, damage)
        level, best = tally.best()
        row |= {f"{name} f1": best, f"{name} ap": tally.figures().ap}
    marks = np.concatenate([damage.ravel() for _, damage in looked(detector, bench / CLEAN, lines=lines)])
    return row | {"clean ppm": 1e6 * float((marks >= level).mean())}


def two_scales(model: Path, folder: Path) -> Path:
    """The same model, told to look at a third of the size as well."""
    shutil.copytree(model, folder, dirs_exist_ok=True)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"scales": [1, 3]}))
    return folder


def main() -> None:
    """Train and measure what is not yet done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("bench", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--one-scale", type=Path)
    parser.add_argument("--number", type=int, default=6000)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    options.output.mkdir(parents=True, exist_ok=True)
    notes = options.output / "rows.json"
    rows: dict[str, dict[str, float]] = json.loads(notes.read_text()) if notes.exists() else {}

    def note(name: str, detector: NetworkDetector, *, lines: bool = False) -> None:
        rows[name] = measure(detector, options.bench, lines=lines)
        notes.write_text(json.dumps(rows, indent=1))
        print(name, {key: round(value, 3) for key, value in rows[name].items()}, flush=True)

    for row in TRAINED:
        if row.name not in rows and (options.one_scale or not row.one_scale):
            note(row.name, NetworkDetector(learn(row, options.pairs, options), weights=Weights.float32))
    models = options.output / "models"
    second = two_scales(models / TRAINED[0].name.replace(" ", "-"), models / "two-scales")
    for name, weights, lines in LOOKED:
        if name not in rows:
            note(name, NetworkDetector(second, weights=weights), lines=lines)
    columns = [*(f"{name} {figure}" for name in SETS for figure in ("f1", "ap")), "clean ppm"]
    print("| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for name, figures in rows.items():
        print(f"| {name} | " + " | ".join(f"{figures[column]:.3g}" for column in columns) + " |")


if __name__ == "__main__":
    main()
