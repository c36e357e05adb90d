"""Teach a detector to say in one look what several say in many: some blurred, some enlarged, all turned.

    python scripts/learn_looks.py configs/unet-looks.toml --start MODEL --teacher NAME=MODEL ...
        --source NAME=PICTURES ... --minutes 40 -o NAME.pt [--seed 0]

Windows are cut from the pictures of each source (a folder of pairs, whose masks are not looked at, or of pictures
alone), its teachers are asked about each once, as its looks say, and the detector learns the mean of their log odds
from patches of these windows, as varied as ``train_at_once.py`` varies them. What looks best is another thing for
grainy plates than for photos: each source has looks of its own. The configuration::

    side = 240                # of the patches, a multiple of 16 times the largest of `scales`
    scales = [1, 3]           # at which all look, and how much each counts
    shares = [0.75, 0.25]
    blur = [0.45, 0.75]       # sigmas by which the learner sees patches blurred: for soft scans; left out, not at all
    optimiser = { learning_rate = 5e-4, ema = 0.9985 }  # as in redust.training.config.OptimiserConfig

    [[source]]
    name = "plates"
    windows = 960             # evenly from all its pictures
    window = 384              # their side, a multiple as above, at one of these enlargements
    zooms = [1.0, 1.3]
    patches = 3               # in each batch
    grey = 0.0                # share of windows that lose their colours

    [[source.look]]
    teacher = "S"
    blur = 0.6                # sigma in pixels
    zoom = 1.25               # enlarged by this; the side must stay such a multiple
    share = 0.2               # in the mean

Batch norms stay as they are in the model that is started from. NAME.pt gets the averaged weights after each of `kept`
shares of the time, in half precision; ``blend.py`` reads the last.

Learning from several at once: Hinton et al., Distilling the knowledge in a neural network, 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import plainly
from redust.core.arrays import LUMA, Light, from_light, three_channels, to_light
from redust.core.errors import TrainingError
from redust.core.settings import Settings
from redust.training.config import ModelConfig, OptimiserConfig
from redust.training.losses import taught_loss
from redust.training.module import follow, keep_statistics, optimiser_for, set_rate
from redust.training.pairs import find_photos, read_picture
from redust.training.run import make_network
from redust.training.synthesis.shapes import soften
from redust.training.turns import turned, turned_back
from train_at_once import Variation, descend, halved, keep, varied

BLOCK = 8  # windows that teachers are asked about at once
STEPS_PER_UNIT = 10  # opinions are kept as bytes: 128 is a chance of a half, ten steps are a log odd
REPORT = 20.0  # seconds

Window = NDArray[np.uint8]


class Look(Settings):
    """How a teacher is asked."""

    teacher: str
    blur: Annotated[float, Field(ge=0)] = 0.0
    zoom: Annotated[float, Field(ge=1)] = 1.0
    share: Annotated[float, Field(gt=0)] = 1.0


class Source(Settings):
    """Pictures, and how teachers are asked about them; see the head of this file."""

    name: str
    windows: Annotated[int, Field(ge=1)]
    window: int
    zooms: Annotated[tuple[float, ...], Field(min_length=1)] = (1.0,)
    patches: Annotated[int, Field(ge=1)]
    grey: Annotated[float, Field(ge=0, le=1)] = 0.0
    look: Annotated[tuple[Look, ...], Field(min_length=1)]


class Course(Variation):
    """What is learned from whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grey: float = 0.0
    gamma: float = 0.2
    brightness: float = 0.03
    scales: tuple[int, ...] = (1,)
    shares: tuple[float, ...] = ()
    blur: tuple[Annotated[float, Field(ge=0, le=3)], Annotated[float, Field(ge=0, le=3)]] = (0.0, 0.0)
    optimiser: OptimiserConfig = OptimiserConfig()
    balance: float = 0.5
    kept: tuple[float, ...] = (0.5, 0.75, 1.0)
    source: Annotated[tuple[Source, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        step = 16 * max(self.scales)
        if len(self.shares) not in (0, len(self.scales)):
            raise ValueError("give a share for each scale")
        sides = [self.side] + [round(one.window * look.zoom) for one in self.source for look in one.look]
        if any(side % step for side in sides) or any(one.window < self.side for one in self.source):
            raise ValueError(f"patches and windows, enlarged too, must be multiples of {step}, windows no smaller")
        return self


def cut_windows(source: Source, folder: Path, rng: np.random.Generator) -> Iterator[Window]:
    """Windows (window, window, 3) of all pictures of a folder, about as many of each."""
    inside = folder / "images"
    found = find_photos(inside if inside.is_dir() else folder)
    pictures = [one.picture for one in found if not one.name.endswith("_mask")]
    if not pictures:
        raise TrainingError(f"{folder} holds masks alone. Give the pictures as well.")
    each, more = divmod(source.windows, len(pictures))
    for place, index in enumerate(rng.permutation(len(pictures))):
        if number := each + (place < more):
            path = pictures[index]
            light = three_channels(to_light(read_picture(path)))
            yield from (_cut(light, source, rng, path) for _ in range(number))


def _cut(light: Light, source: Source, rng: np.random.Generator, path: Path) -> Window:
    side = round(source.window / float(rng.choice(source.zooms)))
    if side > min(light.shape[:2]):
        raise TrainingError(f"{path} is smaller than a window of {side} pixels: choose a smaller one, or leave it out.")
    top, left = (int(rng.integers(length - side + 1)) for length in light.shape[:2])
    window = resized(light[top : top + side, left : left + side], source.window)
    if rng.random() < source.grey:
        window = (window @ LUMA)[..., None].repeat(3, 2)
    return from_light(window.clip(0, 1), np.dtype(np.uint8))


def resized(plane: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A square picture or map at another size."""
    if len(plane) == side:
        return plane
    how = cv2.INTER_AREA if side < len(plane) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), (side, side), interpolation=how), np.float32)


class Panel:
    """Teachers by name, asked at the scales and shares of a course."""

    def __init__(self, course: Course, folders: dict[str, Path]) -> None:
        self.course = course
        missing = {look.teacher for one in course.source for look in one.look} - set(folders)
        if missing:
            raise TrainingError(
                f"The course asks {', '.join(sorted(missing))}: say who that is, by --teacher NAME=MODEL."
            )
        self.networks = {name: starting(course, folder).eval() for name, folder in folders.items()}

    def opinions(self, windows: list[Window], source: Source, rng: np.random.Generator) -> NDArray[np.float32]:
        """The mean log odds (N, H, H) of all looks at windows, each look turned another way than the one before."""
        lights = [to_light(window) for window in windows]
        first, mirrored = int(rng.integers(4)), int(rng.integers(2))
        total = np.zeros((len(windows), source.window, source.window), np.float32)
        for place, look in enumerate(source.look):
            turn = (first + place) % 4 + 4 * ((mirrored + place) % 2)
            total += look.share * self._asked(lights, look, turn)
        return total / sum(look.share for look in source.look)

    @torch.no_grad()
    def _asked(self, lights: list[Light], look: Look, turn: int) -> NDArray[np.float32]:
        lights = [soften(light, look.blur) for light in lights]
        side = len(lights[0])
        seen = np.stack([resized(light, round(side * look.zoom)).clip(0, 1) for light in lights]).transpose(0, 3, 1, 2)
        planes = turned(torch.from_numpy(np.ascontiguousarray(seen)), turn)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            said: Tensor = self.networks[look.teacher].judged(  # type: ignore[operator]
                planes.contiguous(memory_format=torch.channels_last), self.course.shares
            )
        said = turned_back(said, turn)
        return np.stack([resized(plane, side) for plane in said[:, 0].numpy()])


def starting(course: Course, folder: Path) -> nn.Module:
    """The network of a model folder, at the scales of a course."""
    return make_network(ModelConfig(start=str(folder), scales=course.scales), seed=0)


def stock(source: Source, folder: Path, panel: Panel, rng: np.random.Generator) -> Tensor:
    """Windows and what is said of them, (N, window, window, 4) uint8."""
    windows = list(cut_windows(source, folder, rng))
    said = [panel.opinions(windows[at : at + BLOCK], source, rng) for at in range(0, len(windows), BLOCK)]
    coded = np.rint(128 + STEPS_PER_UNIT * np.concatenate(said)).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(np.concatenate([np.stack(windows), coded[..., None]], 3))


def learn(course: Course, stocks: list[Tensor], network: nn.Module, minutes: float, path: Path) -> None:
    """Learn for so many minutes, and keep the average."""
    average = AveragedModel(network, use_buffers=True).requires_grad_(False)
    optimiser = optimiser_for(network, course.optimiser)
    states: dict[str, dict[str, Tensor]] = {}
    kept, begun, steps, losses = list(course.kept), time.monotonic(), 0, []
    told, progress = begun, 0.0
    while progress < 1:
        losses.append(step(course, stocks, network, optimiser, progress))
        steps += 1
        follow(average, network, steps, course.optimiser.ema)
        now = time.monotonic()
        progress = min(1.0, (now - begun) / max(60 * minutes, 1e-9))
        while kept and progress >= kept[0]:
            states[f"{kept.pop(0):g}"] = halved(average)
            keep(states, path)
        if now - told >= REPORT or progress >= 1:
            print(
                f"{now - begun:6.1f} s  {steps} steps; beyond what cannot be known: {np.mean(losses):.5f}", flush=True
            )
            told, losses = now, []


def step(
    course: Course, stocks: list[Tensor], network: nn.Module, optimiser: torch.optim.Optimizer, progress: float
) -> float:
    """Learn from one batch; by how much the cross-entropy is above the opinions' own."""
    set_rate(optimiser, course.optimiser, progress)
    network.train()
    keep_statistics(network)
    parts = [
        varied(windows[torch.randint(len(windows), (source.patches,))], course)
        for windows, source in zip(stocks, course.source, strict=True)
    ]
    light, coded = (torch.cat(some) for some in zip(*parts, strict=True))
    light = blurred(light, course.blur)
    opinion = (coded.float() - 128) / STEPS_PER_UNIT
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits: Tensor = network.judged(light, course.shares)  # type: ignore[operator]
    loss = taught_loss(logits, opinion, course.balance)
    descend(loss, network, optimiser, course.optimiser)
    return float(loss.detach() - taught_loss(opinion, opinion, course.balance))


def blurred(light: Tensor, sigmas: tuple[float, float]) -> Tensor:
    """Patches (N, 3, H, W), each blurred by a sigma between these two."""
    if not any(sigmas):
        return light
    low, high = sigmas
    drawn = [low + (high - low) * float(share) for share in torch.rand(len(light))]
    patches = light.permute(0, 2, 3, 1).contiguous().numpy()
    soft = np.stack([soften(one, sigma) for one, sigma in zip(patches, drawn, strict=True)])
    return torch.from_numpy(soft).permute(0, 3, 1, 2)  # channels last, as it came


def named(given: list[str]) -> dict[str, Path]:
    """NAME=PATH by name."""
    found = dict(one.partition("=")[::2] for one in given)
    if wrong := [name for name, path in found.items() if not path]:
        raise TrainingError(f"{wrong[0]} names nothing: write NAME=PATH.")
    return {name: Path(path) for name, path in found.items()}


def main() -> None:
    """Ask, and learn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("course", type=Path)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--teacher", action="append", required=True, metavar="NAME=MODEL")
    parser.add_argument("--source", action="append", required=True, metavar="NAME=PICTURES")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    course, folders = plainly.read(Course, options.course), named(options.source)
    if missing := {one.name for one in course.source} - set(folders):
        raise TrainingError(f"The course has {', '.join(sorted(missing))}: say where that is, by --source NAME=FOLDER.")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(options.seed)
    panel, begun, stocks = Panel(course, named(options.teacher)), time.monotonic(), []
    for source in course.source:
        stocks.append(stock(source, folders[source.name], panel, rng))
        print(f"{time.monotonic() - begun:6.1f} s  {source.name}: {len(stocks[-1])} windows asked about", flush=True)
    torch.manual_seed(options.seed)
    learn(course, stocks, starting(course, options.start), options.minutes, options.output)


if __name__ == "__main__":
    plainly.run(main)
