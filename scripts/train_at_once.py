"""Train several detectors side by side on pairs that processes draw while they learn: many cores, a GPU, few minutes.

    python scripts/train_at_once.py configs/unet-at-once.toml -o OUT --minutes 9 --draw MATERIAL PLAN.toml
        [--draw NEBULAE MORE.toml] [--workers 14] [--seed 0]

MATERIAL and PLAN are those of ``draw_pairs.py``; the counts of all plans' portions say how often each is drawn. No pair
is drawn ahead and none is written: they lie on the GPU, as many as there is room for, and are learned from again until
newer ones take their place. Sound pairs that the last learner marks come up more often. The configuration::

    batch = 64
    side = 240                  # of the patches cut from the pairs, a multiple of 16 times the largest of `scales`
    room = 150000               # pairs on the GPU

    [[learner]]
    name = "large"
    optimiser = { learning_rate = 2e-3, ema = 0.999 }  # as in redust.training.config.OptimiserConfig
    model = { channels = [64, 128, 224, 320], blocks = [6, 6] }
    grown_from = { start = "unet" }  # begins as this one

    [[learner]]
    name = "small"
    model = { start = "unet", scales = [1, 3] }  # as in redust.training.config.ModelConfig, and so is `grown_from`
    shares = [0.75, 0.25]       # of the log odds at these scales; alike unless given
    teacher = "large"           # a learner above
    taught = 0.5                # share of its opinion in the loss, once
    taught_from = 0.4           # this share of the time is over
    latest = true               # of its weights, keep the last alone

A batch is drawn once however many learn from it, and what a teacher says of it is said anyway. Networks this small wait
for the processor to tell the GPU what to do, so batches may be large.

OUT gets NAME.pt for each learner: its averaged weights after each of `kept` shares of the time, in half precision.
"""

from __future__ import annotations

import argparse
import io
import mmap
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import plainly
from draw_pairs import Painter
from redust.core.arrays import LUMA, from_light
from redust.core.errors import TrainingError
from redust.files import whole_file
from redust.training.config import LossConfig, LossName, ModelConfig, OptimiserConfig
from redust.training.losses import MaskedLoss, taught_loss
from redust.training.module import follow, optimiser_for, set_rate
from redust.training.run import make_network
from redust.training.synthesis.synthesizer import DAMAGE, SOUND
from redust.training.turns import turned

CHUNK = 16  # pairs that a process hands over at once
FEWEST = 8  # batches that there are pairs for before the first step
MARK, MARKED = 0.2, 12  # a sound pair is a mistake if so many pixels have this chance
AGAIN = 4.0  # times that a mistake comes up where others come up once
FOLLOWED = 4  # steps between two in which the average follows
REPORT = 20.0  # seconds


class Learner(BaseModel):
    """One detector; see the head of this file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: ModelConfig = ModelConfig()
    grown_from: ModelConfig | None = None
    optimiser: OptimiserConfig = OptimiserConfig()
    shares: tuple[float, ...] = ()
    teacher: str | None = None
    taught: float = 0.5
    taught_from: float = 0.4
    latest: bool = False


class Variation(BaseModel):
    """How patches are cut from windows, and by how much their light varies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int = 240
    grey: float = 0.2
    gamma: float = 0.3
    brightness: float = 0.05


class Course(Variation):
    """What is trained, and on how much."""

    batch: int = 64
    room: Annotated[int, Field(ge=CHUNK)] = 150_000
    balance: float = 0.5
    mix: float = 0.1
    kept: tuple[float, ...] = (0.5, 0.75, 1.0)
    learner: tuple[Learner, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known: list[str] = []
        for one in self.learner:
            scales = one.model.scales or (1,)
            if len(one.shares) not in (0, len(scales)) or any(self.side % (16 * factor) for factor in scales):
                raise ValueError(f"{one.name}: give a share for each scale, and a side of 16 times all scales")
            if one.name in known or (one.teacher or one.name) not in [*known, one.name]:
                raise ValueError(f"{one.name}: names must differ, and a teacher stand above whom it teaches")
            known.append(one.name)
        return self


class Drawing:
    """Processes that draw pairs for ever, into memory that this process shares with them.

    They are forked, so that what is drawn from is in memory once: begin before a GPU is touched.
    """

    def __init__(self, painters: Sequence[Painter], workers: int, seed: int) -> None:
        self.painters = painters
        self.side = min(one.plan.side for one in painters)
        counts = [
            (which, at, portion.count)
            for which, one in enumerate(painters)
            for at, portion in enumerate(one.plan.portion)
        ]
        self.kinds = [(which, at) for which, at, _ in counts]
        self.shares = np.array([count for *_, count in counts], float) / sum(count for *_, count in counts)
        shape = (2 * workers, CHUNK, self.side, self.side, 4)
        self.slots = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
        fork = multiprocessing.get_context("fork")
        self.free, self.full = fork.SimpleQueue(), fork.SimpleQueue()
        for slot in range(len(self.slots)):
            self.free.put(slot)
        self.processes = [
            fork.Process(target=self._draw, args=(worker, workers, seed), daemon=True) for worker in range(workers)
        ]
        for one in self.processes:
            one.start()

    def _draw(self, worker: int, workers: int, seed: int) -> None:
        rng, number = np.random.default_rng([seed, worker]), worker
        while True:
            slot = self.slots[(place := self.free.get())]
            for pair in slot:
                which, at = self.kinds[int(rng.choice(len(self.kinds), p=self.shares))]
                light, _, target = self.painters[which].pair(at, number)
                pair[..., :3] = from_light(light[: self.side, : self.side], np.dtype(np.uint8))
                pair[..., 3] = target[: self.side, : self.side]
                number += workers
            self.full.put(place)

    def ready(self) -> list[int]:
        """Slots that are full; each is to be given back to `free`."""
        found = []
        while not self.full.empty():
            found.append(self.full.get())
        if not all(one.is_alive() for one in self.processes):
            raise TrainingError("A process that draws has ended; if by itself, it said above why.")
        return found

    def stop(self) -> None:
        """End the processes."""
        for one in self.processes:
            one.terminate()


class Stock:
    """Pairs on a device, (room, side, side, 4) uint8, the newest in place of the oldest."""

    def __init__(self, room: int, side: int, device: str) -> None:
        self.pairs = torch.empty((room, side, side, 4), dtype=torch.uint8, device=device)
        self.wanted = torch.zeros(room, device=device)
        self.total = 0

    def add(self, chunk: NDArray[np.uint8]) -> None:
        """Put a chunk (CHUNK, side, side, 4) in."""
        first = self.total % (len(self.pairs) // CHUNK * CHUNK)
        self.pairs[first : first + CHUNK] = torch.from_numpy(chunk).to(self.pairs.device)
        self.wanted[first : first + CHUNK] = 1
        self.total += CHUNK

    def choose(self, number: int) -> Tensor:
        """So many places, those more often that are wanted more."""
        return torch.multinomial(self.wanted, number, replacement=True)


def varied(pairs: Tensor, course: Variation) -> tuple[Tensor, Tensor]:
    """Patches cut from pairs (N, H, H, 4) at one place, all turned alike, each in a light of its own, as
    redust.training.augmentation varies it: light (N, 3, side, side) float32 in 0..1, truth (N, 1, side, side) uint8."""
    top, left = (int(torch.randint(pairs.shape[1] - course.side + 1, ())) for _ in range(2))
    planes = pairs[:, top : top + course.side, left : left + course.side].permute(0, 3, 1, 2)
    planes = turned(planes, int(torch.randint(4, ())) + 4 * bool(torch.rand(()) < 0.5))
    light, truth = planes[:, :3].float() / 255, planes[:, 3:]
    number, device = len(pairs), pairs.device
    single = torch.eye(3, device=device)[torch.randint(3, (number,), device=device)]
    luma = torch.tensor(LUMA, dtype=torch.float32, device=device).expand(number, 3)
    kept = torch.where(torch.rand((number, 1), device=device) < 0.5, luma, single)
    grey = (light * kept[:, :, None, None]).sum(1, keepdim=True)
    light = torch.where(torch.rand((number, 1, 1, 1), device=device) < course.grey, grey, light)
    spread = torch.rand((2, number, 1, 1, 1), device=device) * 2 - 1
    light = (light.clamp(0, 1) ** (2 ** (course.gamma * spread[0])) + course.brightness * spread[1]).clamp(0, 1)
    return light.contiguous(memory_format=torch.channels_last), truth.contiguous()


class Pupil:
    """A learner at work."""

    def __init__(self, learner: Learner, course: Course, device: str) -> None:
        self.learner, self.steps = learner, 0
        self.network = beginning(learner).to(device)
        self.average = AveragedModel(self.network, use_buffers=True).requires_grad_(False)
        self.loss = MaskedLoss(LossConfig(loss=LossName.bce_dice, mix=course.mix, balance=course.balance))
        self.optimiser = optimiser_for(self.network, learner.optimiser, fused=True)
        self.losses: list[Tensor] = []

    def step(self, light: Tensor, truth: Tensor, progress: float, opinions: dict[str, Tensor]) -> Tensor:
        """Learn from a batch; its logits before that, (N, 1, H, W)."""
        choices = self.learner.optimiser
        set_rate(self.optimiser, choices, progress)
        with torch.autocast(light.device.type, dtype=torch.bfloat16):
            logits: Tensor = self.network.judged(light, self.learner.shares)  # type: ignore[operator]
        loss = self.loss(logits, truth)
        if self.learner.teacher and progress >= self.learner.taught_from:
            told = taught_loss(logits, opinions[self.learner.teacher])
            loss = torch.lerp(loss, told, self.learner.taught)
        descend(loss, self.network, self.optimiser, choices)
        self.steps += 1
        if self.steps % FOLLOWED == 0:  # an average of so many small tensors costs as much as a third of a step
            follow(self.average, self.network, self.steps, choices.ema, FOLLOWED)
        self.losses.append(loss.detach())
        return logits.detach()

    def mean_loss(self) -> float:
        """Since it was asked last."""
        mean = float(torch.stack(self.losses).mean()) if self.losses else float("nan")
        self.losses = []
        return mean


def descend(loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, choices: OptimiserConfig) -> None:
    """Change a network by one step down its loss."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), choices.gradient_clip)
    optimiser.step()


def halved(average: AveragedModel) -> dict[str, Tensor]:
    """The averaged weights, in half precision, on the CPU."""
    return {
        name: one.to("cpu", torch.half if one.is_floating_point() else one.dtype, copy=True)
        for name, one in average.module.state_dict().items()
    }


def keep(states: dict[str, dict[str, Tensor]], path: Path) -> None:
    """Write weights by the share of the time after which they were so; ``blend.py`` reads them."""
    coded = io.BytesIO()  # on a full disk torch's own writer fails without saying so
    torch.save(states, coded)
    with whole_file(path, overwrite=True) as file:
        file.write(coded.getbuffer())


def beginning(learner: Learner) -> nn.Module:
    """The network that a learner begins with."""
    network = make_network(learner.model, seed=0)
    if learner.grown_from is not None:
        grow(network, make_network(learner.grown_from, seed=0))
    return network


@torch.no_grad()
def grow(wide: nn.Module, narrow: nn.Module) -> None:
    """Let a U-Net begin as what a narrower one is: its first channels are the narrow one's and hear of no other, and
    what is new is heard by nobody yet (after Chen et al., Net2Net, 2016, arXiv:1511.05641, which copies channels)."""
    own = wide.state_dict()
    for name, small in narrow.state_dict().items():
        large = own[name]
        if small.ndim < 2:  # norms and biases
            large[tuple(slice(length) for length in small.shape)] = small
            continue
        rows, columns = small.shape[:2]
        large[:rows] = 0
        if name == "head.weight":  # it hears the scan itself, after its own channels
            folded = 4 * 3
            large[:, : columns - folded], large[:, -folded:] = small[:, :-folded], small[:, -folded:]
        else:
            large[:rows, :columns] = small


def mistaken(logits: Tensor, truth: Tensor) -> Tensor:
    """How often each patch is wanted, (N,): more often if nothing of it is damaged and yet much is marked."""
    sound = (truth == DAMAGE).sum((1, 2, 3)) == 0
    marks = ((torch.sigmoid(logits) > MARK) & (truth == SOUND)).sum((1, 2, 3))
    return torch.where(sound & (marks >= MARKED), AGAIN, 1.0)


class Lesson:
    """Pupils who learn side by side until the clock says that it ends."""

    def __init__(self, course: Course, drawing: Drawing, output: Path, device: str) -> None:
        self.course, self.drawing, self.output = course, drawing, output
        self.stock = Stock(course.room, drawing.side, device)
        self.pupils = [Pupil(learner, course, device) for learner in course.learner]
        self.states: dict[str, dict[str, dict[str, Tensor]]] = {one.learner.name: {} for one in self.pupils}
        self.kept = list(course.kept)

    def teach(self, begun: float, ends: float) -> None:
        """Learn from `begun` to `ends`, on the monotonic clock; the rate falls from the first step on.

        Where the first pairs are late, a tenth of the time is added if need be: to have learned nothing helps nobody.
        """
        while self.stock.total < FEWEST * self.course.batch:
            self._receive()
            time.sleep(0.02)
        start = told = time.monotonic()
        ends = max(ends, start + 0.1 * (ends - begun))
        progress = 0.0
        while progress < 1:
            self._receive()
            now = time.monotonic()
            progress = min(1.0, (now - start) / max(ends - start, 1e-9))
            while self.kept and progress >= self.kept[0]:
                self._keep(self.kept.pop(0))
            if now - told >= REPORT or progress >= 1:
                print(f"{now - begun:6.1f} s  {self._report()}", flush=True)
                told = now
            if progress < 1:
                self._step(progress)

    def _receive(self) -> None:
        for slot in self.drawing.ready():
            self.stock.add(self.drawing.slots[slot])
            self.drawing.free.put(slot)

    def _step(self, progress: float) -> None:
        places = self.stock.choose(self.course.batch)
        light, truth = varied(self.stock.pairs[places], self.course)
        opinions: dict[str, Tensor] = {}
        for pupil in self.pupils:
            opinions[pupil.learner.name] = pupil.step(light, truth, progress, opinions)
        self.stock.wanted[places] = mistaken(opinions[self.pupils[-1].learner.name], truth)

    def _keep(self, share: float) -> None:
        for one in self.pupils:
            before = {} if one.learner.latest else self.states[one.learner.name]
            self.states[one.learner.name] = before | {f"{share:g}": halved(one.average)}
            keep(self.states[one.learner.name], self.output / f"{one.learner.name}.pt")

    def _report(self) -> str:
        losses = ", ".join(f"{one.learner.name} {one.mean_loss():.4f}" for one in self.pupils)
        again = float((self.stock.wanted > 1).sum()) / min(self.stock.total, self.course.room)
        pairs = f"{self.stock.total} pairs, of which {100 * again:.1f} % are marked wrongly"
        return f"{self.pupils[0].steps} steps, {pairs}; losses: {losses}"


def main() -> None:
    """Draw and learn."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("course", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draw", type=Path, nargs=2, action="append", required=True, metavar=("MATERIAL", "PLAN"))
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    course = plainly.read(Course, options.course)
    options.output.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    painters = [Painter(material, plan, options.seed, megabytes=8000) for material, plan in options.draw]
    with ThreadPoolExecutor(options.workers) as pool:  # before the fork: in memory once
        for painter in painters:
            for library in (painter.photos, painter.plates):
                list(pool.map(library.__getitem__, range(len(library))))
    print(f"{time.monotonic() - begun:6.1f} s  material read", flush=True)
    drawing = Drawing(painters, options.workers, options.seed)
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    try:
        lesson = Lesson(course, drawing, options.output, "cuda" if torch.cuda.is_available() else "cpu")
        lesson.teach(begun, begun + 60 * options.minutes)
    finally:
        drawing.stop()


if __name__ == "__main__":
    plainly.run(main)
