"""Training in short slots on another machine: everything a run needs in one folder, to carry there and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import redust
from redust.core.errors import TargetExists, TrainingError
from redust.models.card import CARD_NAME, weights
from redust.training.config import Task, TrainConfig
from redust.training.pairs import PairPaths, find_photos, find_restored, find_splits

LIMIT_MIB = 60.0
CARRIED = ("last.ckpt", "best.safetensors")

_FOLDERS = ("overlays", "folds", "transplant")  # material that is a whole folder
_LEFT_OUT = ("weights", "__pycache__")  # the models that are shipped are not needed to train
_RUNNER = '''"""Train for some minutes and put the state into a folder to bring back: python go.py MINUTES BACK"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
minutes, back = sys.argv[1], Path(sys.argv[2]).resolve()
site, wheels = here / "site", sorted((here / "wheels").glob("*.whl"))
if wheels and not site.exists():
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site]
    subprocess.run([*pip, *wheels], check=True)
paths = os.pathsep.join(map(str, (here / "source", site)))
command = [sys.executable, "-c", "from redust.cli.entry import main; main()", "train"]
options = ["--config", "config.toml", "--out", "state", "--resume", "--slot-minutes", minutes]
ended = subprocess.run([*command, *options, *sys.argv[3:]], cwd=here, env=os.environ | {"PYTHONPATH": paths})
if (here / "state").exists():
    shutil.copytree(here / "state", back, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tensorboard", "*.part"))
sys.exit(ended.returncode)
'''


def pack(
    config: TrainConfig,
    folder: Path,
    *,
    wheels: Sequence[Path] = (),
    state: Path | None = None,
    limit: float = LIMIT_MIB,
) -> float:
    """Put what a run needs into one folder, with ``go.py`` that trains there.

    Parameters
    ----------
    config
        The run. Its paths are replaced by such within the folder.
    folder
        New, or empty.
    wheels
        Python packages that the other machine lacks.
    state
        Where the last slot's state lies (the folder brought back, or the run's own ``--out``); the run begins
        anew without one.
    limit
        Largest size in MiB.

    Returns
    -------
    size
        In MiB.

    Raises
    ------
    TargetExists
        If the folder holds something.
    TrainingError
        If it would be larger than the limit, or data is missing.
    ModelError
        If the model the run starts from cannot be used.
    """
    if folder.exists() and any(folder.iterdir()):
        raise TargetExists(f"{folder} is not empty. Name a new folder to pack into.")
    files = [
        *_source(),
        *_data(config),
        *_material(config),
        *_networks(config),
        *_attention(config),
        *_state(config, state),
    ]
    files += [(path, Path("wheels") / path.name) for path in wheels]
    size = sum(path.stat().st_size for path, _ in files) / 2**20
    if size > limit:
        raise TrainingError(f"The pack would hold {_largest(files)}, together more than {limit:g} MiB. Take less data.")
    for source, target in files:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
    (folder / "config.toml").write_text(_packed(config).to_toml(), encoding="utf-8")
    (folder / "go.py").write_text(_RUNNER, encoding="utf-8")
    return size


Files = Iterator[tuple[Path, Path]]


def _source() -> Files:
    root = Path(redust.__file__).parent
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and not set(inside.parts) & set(_LEFT_OUT):
            yield path, Path("source/redust") / inside


def _data(config: TrainConfig) -> Files:
    data = config.data.data
    if data and config.run.task is Task.blind:
        yield from _pairs(find_restored(data), Path("data"))
    elif data:
        splits = find_splits(data)
        yield from _pairs(splits.train, Path("data", "train"))
        yield from _pairs(splits.test, Path("data", "test"))
    if config.data.photos:
        for photo in find_photos(config.data.photos):
            yield photo.picture, Path("photos", photo.picture.name)


def _pairs(pairs: Sequence[PairPaths], half: Path) -> Files:
    for pair in pairs:
        for path, part in ((pair.picture, "images"), (pair.mask, "masks"), (pair.clean, "clean")):
            if path:
                yield path, half / part / f"{pair.name}{path.suffix}"


def _material(config: TrainConfig) -> Files:
    for path in (config.data.recipe, config.data.cracks, *config.data.outlines):
        if path:
            yield path, Path("material", path.name)
    for name in _FOLDERS:
        folder = getattr(config.data, name)
        for path in sorted(folder.rglob("*")) if folder else ():
            if path.is_file():
                yield path, Path("material", name) / path.relative_to(folder)


def _networks(config: TrainConfig) -> Files:
    start = config.model.start_folder
    folders = {"start": start} if start else {}
    folders |= dict(zip(_teachers(config), config.model.teacher_folders, strict=True))
    for name, folder in folders.items():
        for path in (folder / CARD_NAME, weights(folder, "safetensors")):
            yield path, Path("material", name, path.name)


def _teachers(config: TrainConfig) -> tuple[str, ...]:
    return tuple(f"teacher-{number}" for number in range(1, len(config.model.teacher) + 1))


def _attention(config: TrainConfig) -> Files:
    folder = config.model.attention_folder
    if folder is None:
        return
    for path in sorted(folder.rglob("*")):  # a network for blurred scans has a folder inside
        if path.name == CARD_NAME or path.suffix == ".onnx":
            yield path, Path("material/attention") / path.relative_to(folder)


def _state(config: TrainConfig, state: Path | None) -> Files:
    for name in CARRIED if state else ():
        path = Path(state or ".", "runs", config.run.name, name)
        if path.exists():
            yield path, Path("state/runs", config.run.name, name)


def _packed(config: TrainConfig) -> TrainConfig:
    """The same run with paths within the pack."""
    data = config.data
    paths = {
        "data": data.data and Path("data"),
        "photos": data.photos and Path("photos"),
        "recipe": data.recipe and Path("material", data.recipe.name),
        "cracks": data.cracks and Path("material", data.cracks.name),
        "outlines": tuple(Path("material", path.name) for path in data.outlines),
        **{name: getattr(data, name) and Path("material", name) for name in _FOLDERS},
    }
    models: dict[str, str | tuple[str, ...] | None] = {
        "start": config.model.start and "material/start",
        "teacher": tuple(f"material/{name}" for name in _teachers(config)),
    }
    if config.model.attention_folder:
        models["attention"] = "material/attention"
    model = config.model.model_copy(update=models)
    return config.model_copy(update={"data": data.model_copy(update=paths), "model": model})


def _largest(files: Sequence[tuple[Path, Path]]) -> str:
    sizes: dict[str, float] = {}
    for source, target in files:
        sizes[target.parts[0]] = sizes.get(target.parts[0], 0.0) + source.stat().st_size / 2**20
    return ", ".join(f"{part} {size:.1f} MiB" for part, size in sorted(sizes.items(), key=lambda item: -item[1]))
