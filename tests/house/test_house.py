"""A test of the house itself: floors, doors, and how light it is to enter."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import redust

SOURCE = Path(redust.__file__).parent
ROOT = SOURCE.parents[1]
ROOMS = ("core", "files", "models", "detectors", "inpainters", "pipeline", "cli")


# Names that say nothing; a name says what it holds: `window`, `tile_map`, `candidate_mask`.
_FORBIDDEN = """
one ones found some told said made given kept wanted asked seen place places part parts each other others more most
least whole rest usual own way near where there
"""
FORBIDDEN_NAMES = frozenset(_FORBIDDEN.split())
MOST_FORBIDDEN_NAMES = 0.6  # per 100 lines of the package
LIBRARY_NAMES = frozenset(("where", "ones", "parts"))  # attributes of NumPy, PyTorch and pathlib
CLEAN = (
    "__init__.py", "batch", "cli", "core", "decision/filters.py", "decision/guard.py", "decision/polarity.py",
    "decision/regions.py", "decision/shape_classes.py", "decision/threshold.py", "detectors", "evaluation", "files",
    "generators", "inpainters", "models", "pipeline", "study", "synthesis", "training",
)  # fmt: skip  # rooms and modules without any of them


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, at_start: bool) -> set[str]:
    """The modules of ReDust that a module imports, all of them or only when it is loaded itself."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (at_start and (later or typing_only)):
            waiting.extend(ast.iter_child_nodes(node))
    return {one for one in found if one.split(".")[0] == "redust"}


def test_imports_point_down() -> None:
    config = ROOT / "pyproject.toml"
    ended = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()",
         "--config", str(config), "--no-cache"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 broken" in ended.stdout


def test_no_module_needs_itself_to_be_loaded() -> None:
    known = {name_of(path): path for path in modules()}
    needs = {name: {one for one in imports(path, at_start=True) if one in known} for name, path in known.items()}
    needs["redust"] = set()  # it loads the others when asked
    done: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for other in sorted(needs[name] - {name}):
                if not name.startswith(f"{other}."):  # a room is entered before its modules
                    follow(other, (*way, name))
            done.add(name)

    for name in needs:
        follow(name, ())


def test_the_public_face_is_what_all_says() -> None:
    assert sorted(redust.__all__) == sorted(set(redust.__all__))
    for name in redust.__all__:
        assert getattr(redust, name) is not None
    assert set(dir(redust)) == set(redust.__all__)
    assert set(redust._PUBLIC) == set(redust.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'restor'"):
        _ = redust.restor


def test_types_see_the_same_face() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    shown = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert shown == redust._PUBLIC


def test_the_version_is_written_once() -> None:
    assert importlib.metadata.version("redust") == redust.__version__


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import redust", ("numpy", "pydantic", "cv2", "onnxruntime", "torch", "typer")),
        ("import redust.core.settings", ("cv2", "onnxruntime", "torch", "typer")),
        ("from redust import Pipeline, restore, read_scan", ("onnxruntime", "torch", "typer", "skimage")),
        ("import redust.cli.app", ("numpy", "cv2", "onnxruntime", "torch", "tifffile")),
    ],
)
def test_entering_is_light(statement: str, banned: tuple[str, ...]) -> None:
    program = f"import sys\n{statement}\nprint(sorted(set({banned!r}) & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stdout == "[]\n", ended.stdout + ended.stderr


def test_only_the_doors_catch_everything_for_good() -> None:
    """Elsewhere `except Exception` must end in a `raise`."""
    swallowing = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler) and catches_all(node) and not isinstance(node.body[-1], ast.Raise):
                swallowing.add(path.relative_to(SOURCE).as_posix())
    assert swallowing == {"batch/failures.py"}


def catches_all(handler: ast.ExceptHandler) -> bool:
    named = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    return handler.type is None or bool(named & {"Exception", "BaseException"})


def test_only_the_doors_print_and_exit() -> None:
    speaking = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "sys.exit", "exit", "quit", "os._exit"):
                speaking.add(path.relative_to(SOURCE).parts[0])
    assert speaking <= {"cli"}


def test_no_room_is_a_lumber_room() -> None:
    names = {path.stem for path in modules()} | {path.name for path in SOURCE.iterdir()}
    assert not names & {"utils", "util", "helpers", "common", "misc", "tools"}


def forbidden_names(path: Path) -> list[str]:
    """The uses of names that say nothing in a module, with their lines."""
    names: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            names.append((node.lineno, node.id))
        elif isinstance(node, ast.arg):
            names.append((node.lineno, node.arg))
        elif isinstance(node, ast.Attribute):
            names.append((node.lineno, node.attr))
    return [f"{path.name}:{line} {name}" for line, name in names if name.strip("_").lower() in FORBIDDEN_NAMES]


def test_names_say_what_they_hold() -> None:
    uses = [use for path in modules() for use in forbidden_names(path)]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules())
    assert 100 * len(uses) / lines <= MOST_FORBIDDEN_NAMES, f"{len(uses)} uses in {lines} lines"


@pytest.mark.parametrize("name", CLEAN)
def test_what_is_clean_stays_so(name: str) -> None:
    paths = [SOURCE / name] if name.endswith(".py") else sorted((SOURCE / name).rglob("*.py"))
    assert paths
    uses = [use for path in paths for use in forbidden_names(path)]
    assert [use for use in uses if use.split(" ")[1] not in LIBRARY_NAMES] == []


def test_every_error_stands_in_the_tree_with_its_code() -> None:
    from redust.core import errors

    drawn = errors.__doc__ or ""
    lines = {line.strip("│├└─ ").split(" ")[0]: line for line in drawn.splitlines()}
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.RedustError):
            assert name in lines, f"{name} is not drawn"
            assert f" {kind.exit_code} " in f"{lines[name]} ", f"{name} is drawn with another exit code"


def with_examples() -> list[Path]:
    """The modules that a plain install can load."""
    return [path for path in modules() if path.relative_to(SOURCE).parts[0] in (*ROOMS, "__init__.py")]


@pytest.mark.parametrize("path", with_examples(), ids=name_of)
def test_examples_in_docstrings_work(path: Path) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name_of(path)))
    assert failed == 0
