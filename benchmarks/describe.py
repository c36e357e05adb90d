"""Choose a detector's level on sets with true masks, and write on its card what it does there.

    python benchmarks/describe.py MODEL BENCH_DIR --shares 0.75 0.25 [--scales 1 3] [--prior 0.01] [--strength 0.4]
        [--polarity 0] [--most 1] [--blur 0.6] [--level 0.48] [--shy 5] [--eager 150] [--grey] [--blur 0.6]
        [--text SUMMARY.json]

BENCH_DIR holds one folder per set, each with ``damaged/`` and ``mask/``; ``clean`` among them, undamaged. The network
looks at the scan shrunk by each of the scales, its logits count by the shares, and levels follow the scan by prior,
strength, polarity and most (redust.core.engines.PriorShift). With --blur it sees scans blurred by so much where
that leaves it less in doubt (redust.core.engines.PreBlur); with --blur all of them, as a network that is there for
those.

The card gets the scales, the shares, how levels follow the scan and how it is blurred_by. Without --level, a row per
level says what the float32 weights do there. With it the card also gets the levels (shy and eager are those that mark
so many pixels per million of ``clean``), the rates, the figures of each set, and the f1 of both kinds of weights where
there is damage.
``--grey`` turns all pictures black-and-white before: what a model does on such scans.
``--text`` is a JSON object of fields of the card that nobody can measure, such as data, cost and limits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

import redust
from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import PriorShift, pre_blur_at
from redust.core.labels import Truth
from redust.core.settings import Weights
from redust.decision.threshold import adapt_posteriors
from redust.detectors.choose_view import choose_view
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter, Metrics
from redust.models import ModelCard, read_card
from redust.models.card import FLOAT32, INT8

CLEAN = "clean"
LEVELS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
FIGURES = ("precision", "recall", "f1", "f1_strict", "ap", "objects", "false_ppm")


class Seen(NamedTuple):
    """One picture: its truth, what the network said, and the same as its levels are for."""

    truth: Truth
    damage: DamageMap
    followed: DamageMap


Sets = Mapping[str, list[Seen]]


def looked_at(bench: Path, folder: Path, weights: Weights, *, grey: bool, blur: float | None) -> Sets:
    """All pictures of all sets, as a model sees them."""
    detector = OnnxDetector(folder, weights=weights)
    assert detector.spec.prior_shift is not None
    found: dict[str, list[Seen]] = {}
    for one in sorted(path for path in bench.iterdir() if (path / "damaged").is_dir()):
        for path in sorted((one / "damaged").iterdir()):
            pixels = redust.read_scan(path).pixels
            if grey:
                pixels = without_colours(pixels)
            damage = detect_damage(choose_view(detector, pixels, blur=blur), pixels)
            truth = redust.read_scan(one / "mask" / path.name).pixels[..., 0]
            found.setdefault(one.name, []).append(
                Seen(truth, damage, adapt_posteriors(detector.spec.prior_shift, damage, pixels))
            )
    return found


def without_colours(pixels: Pixels) -> Pixels:
    """The luma of a picture, (H, W, 1)."""
    return pixels if pixels.shape[2] == 1 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[..., None]


def cut(seen: Seen, level: float) -> Mask:
    """What is marked at a level that follows the scan."""
    marked: Mask = seen.followed >= np.float32(level)
    return marked


def rate(sets: Sets, level: float) -> float:
    """Share of the undamaged pixels that are marked."""
    return float(np.concatenate([cut(one, level).ravel() for one in sets[CLEAN]]).mean())


def level_at(sets: Sets, ppm: float) -> float:
    """The level that marks so many undamaged pixels per million."""
    sound = np.concatenate([one.followed.ravel() for one in sets[CLEAN]])
    return round(float(np.quantile(sound, 1 - ppm * 1e-6)), 3)


def figures(seen: list[Seen], level: float) -> Metrics:
    """The figures of pictures at a level."""
    tally = MetricCounter(level=level)
    for one in seen:
        tally.add(one.truth, one.damage, cut(one, level))
    return tally.figures()


def row(sets: Sets, level: float) -> str:
    """A level, and what it does."""
    said = [f"level {level:.3f}  {CLEAN} {rate(sets, level) * 1e6:6.0f} ppm"]
    for name in sorted(sets.keys() - {CLEAN}):
        one = figures(sets[name], level)
        said.append(f"{name} {one.f1:.3f} / {one.f1_strict:.3f}, ap {one.ap:.3f}")
    return "  ".join(said)


def levels_of(sets: Sets, options: argparse.Namespace) -> dict[str, float]:
    """The levels by sensitivity, around the one that was chosen."""
    levels = {"shy": level_at(sets, options.shy), "normal": options.level, "eager": level_at(sets, options.eager)}
    if not levels["eager"] <= options.level <= levels["shy"]:
        raise SystemExit(
            f"At level {options.level} {rate(sets, options.level) * 1e6:.0f} pixels per million of {CLEAN} are "
            f"marked: choose --shy ({options.shy:g}) below that and --eager ({options.eager:g}) above. The card stays."
        )
    return levels


def described(
    card: ModelCard, sets: Sets, levels: dict[str, float], whole: Mapping[str, float], options: argparse.Namespace
) -> ModelCard:
    """The card with its levels and what was measured at the one that was chosen."""
    chosen = {name: figures(seen, options.level).model_dump() for name, seen in sets.items()}
    changed: dict[str, Any] = {
        "level": options.level,
        "levels": levels,
        "false_positive_rates": {name: float(f"{rate(sets, level):.3g}") for name, level in levels.items()},
        "f1_by_weights": dict(whole),
        "metrics": {
            name: {figure: round(one[figure], 4) for figure in (FIGURES if name != CLEAN else FIGURES[-1:])}
            for name, one in chosen.items()
        },
    }
    told = json.loads(options.text.read_text(encoding="utf-8")) if options.text else {}
    return ModelCard.model_validate(card.model_dump() | changed | told)


def at_scales(card: ModelCard, options: argparse.Namespace) -> ModelCard:
    """The card of the same network, looking at these scales."""
    before, now = (sum(factor**-2 for factor in scales) for scales in (card.scales, options.scales))
    changed: dict[str, Any] = {
        "scales": options.scales,
        "scale_weights": options.shares,
        "prior_shift": PriorShift(
            prior=options.prior, exponent=options.strength, minority_exponent=options.polarity, max_prior=options.most
        ),
        "pre_blur": pre_blur_at(options.blur, card.pre_blur),
        "gflop_per_megapixel": round((card.gflop_per_megapixel or 0.0) * now / before, 2),
    }
    return ModelCard.model_validate(card.model_dump() | changed)


def measured(card: ModelCard, folder: Path, options: argparse.Namespace) -> ModelCard:
    """The card as it is to be written; a row per level is printed, or one per kind of weights."""
    sets = looked_at(options.bench, folder, Weights.float32, grey=options.grey, blur=options.blur)
    if options.level is None:
        for level in LEVELS:
            print(row(sets, level), flush=True)
        return card
    levels = levels_of(sets, options)  # before the second look, which takes as long as the first
    fast = looked_at(options.bench, folder, Weights.int8, grey=options.grey, blur=options.blur)
    whole = {}
    for kind, seen in ((FLOAT32, sets), (INT8, fast)):
        print(f"{kind:10}", row(seen, options.level), flush=True)
        damaged = [one for name, pictures in seen.items() if name != CLEAN for one in pictures]
        whole[kind] = round(figures(damaged, options.level).f1, 4)
    return described(card, sets, levels, whole, options)


def main() -> None:
    """Measure, then write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--shares", type=float, nargs="+", required=True)
    parser.add_argument("--prior", type=float, default=0.01)
    parser.add_argument("--strength", type=float, default=0.4)
    parser.add_argument("--polarity", type=float, default=0.0)
    parser.add_argument("--most", type=float, default=1.0)
    parser.add_argument("--blur", type=float, default=0.0)
    parser.add_argument("--level", type=float)
    parser.add_argument("--shy", type=float, default=5.0)
    parser.add_argument("--eager", type=float, default=150.0)
    parser.add_argument("--grey", action="store_true")
    parser.add_argument("--blur", type=float)
    parser.add_argument("--text", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        # The detector is made by its card; the model's own card stays until all is measured.
        trial = Path(shutil.copytree(options.model, Path(room) / "model"))
        card = at_scales(read_card(options.model), options)
        card.to_folder(trial)
        measured(card, trial, options).to_folder(options.model)


if __name__ == "__main__":
    main()
