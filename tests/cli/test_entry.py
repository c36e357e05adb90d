"""Where the program starts and how it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import redust
from redust.batch.failures import UNEXPECTED_EXIT_CODE, Failure, catch_failure
from redust.cli.entry import main
from redust.core.errors import LossyTarget, ModelError, RedustError

Command = Callable[..., Any]
START = [sys.executable, "-c", "from redust.cli.entry import main; main()"]


def test_the_version_is_told_without_loading_anything() -> None:
    program = (
        "import sys\nfrom redust.cli.entry import main\n"
        "try:\n    main(['--version'])\nfinally:\n"
        "    heavy = {'typer', 'rich', 'numpy', 'pydantic', 'cv2', 'onnxruntime', 'torch'} & set(sys.modules)\n"
        "    print(sorted(heavy))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stdout == f"redust {redust.__version__}\n[]\n", ended.stderr
    assert ended.returncode == 0


def test_help_loads_no_engine() -> None:
    program = (
        "import sys\nfrom redust.cli.entry import main\n"
        "try:\n    main(['restore', '--help'])\nfinally:\n"
        "    heavy = {'numpy', 'cv2', 'onnxruntime', 'torch', 'tifffile'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stdout.endswith("HEAVY []\n"), ended.stdout
    assert "--level" in ended.stdout


def test_every_command_has_a_help(redust_command: Command) -> None:
    ended = redust_command("--help")
    assert ended.code == 0
    for command in ("restore", "detect", "repair", "models", "doctor", "--version"):
        assert command in ended.out


@pytest.mark.parametrize(("arguments", "word"), [(["mend"], "mend"), (["restore"], "SCAN"), ([], "Usage")])
def test_a_command_that_is_not_understood_is_explained(
    redust_command: Command, arguments: list[str], word: str
) -> None:
    ended = redust_command(*arguments)
    assert ended.code == 2
    assert word in ended.out + ended.err


COMMANDS = (
    "restore", "detect", "repair", "models", "doctor", "train", "learn", "evaluate", "calibrate", "study", "synthesize",
)  # fmt: skip


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_fits_80_columns_and_names_every_flag(
    redust_command: Command, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = redust_command(*command, "--help")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "--" in ended.out
    assert not re.search(r"<(int|float|str|list|Path)", ended.out), "types of Python are no words for people"


@pytest.mark.parametrize("command", ["restore", "detect", "repair"])
def test_help_begins_with_examples_and_basic_flags(redust_command: Command, command: str) -> None:
    text = redust_command(command, "--help").out
    assert text.count(f"  redust {command} ") == 3
    basic, advanced = text.split("Advanced:")
    assert "--[no-]overwrite" in basic
    assert "--threads" in advanced


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["restore"], "missing SCAN. See `redust restore --help`."),
        (
            ["restore", "a.tif", "--sensitivity", "egaer"],
            "Invalid value for '--sensitivity': 'egaer' is not one of 'shy', 'normal', 'eager'. "
            "Did you mean 'eager'? See `redust restore --help`.",
        ),
        (["detect", "a.tif"], "missing --output DIR. See `redust detect --help`."),
        (["repair", "a.tif"], "missing --mask FILE. See `redust repair --help`."),
    ],
)
def test_what_is_missing_is_named_in_one_line(redust_command: Command, arguments: list[str], sentence: str) -> None:
    ended = redust_command(*arguments)
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {sentence}\n")


def test_every_error_has_its_code() -> None:
    def fail(error: Exception) -> Callable[[], None]:
        def work() -> None:
            raise error

        return work

    for error, code in (
        (RedustError("a"), 1),
        (LossyTarget("b"), 4),
        (ModelError("c"), 6),
        (OSError("d"), 3),
        (ValueError("e"), UNEXPECTED_EXIT_CODE),
    ):
        ended = catch_failure(fail(error))
        assert isinstance(ended, Failure)
        assert (ended.exit_code, ended.kind) == (code, type(error).__name__)
        assert str(error) in ended.sentence
        assert "in work" in ended.trace
    assert catch_failure(lambda: 7) == 7


def test_the_unexpected_is_one_sentence_and_a_traceback_for_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **others: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("redust.cli.app.app", broken)
    for arguments, traced in ((["restore"], False), (["restore", "--verbose"], True)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        said = capsys.readouterr().err
        assert caught.value.code == UNEXPECTED_EXIT_CODE
        assert "Something unexpected went wrong (ZeroDivisionError: oops). Run again with --verbose" in said
        assert ("Traceback" in said) == traced


def test_an_interruption_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **others: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("redust.cli.app.app", interrupted)
    with pytest.raises(SystemExit) as caught:
        main(["restore"])
    assert caught.value.code == 130


@pytest.fixture(autouse=True)
def _terminate_as_before() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(scan_file: Callable[..., Path], tmp_path: Path) -> None:
    source = scan_file(height=300, width=300)
    shown, printed = {}, {}
    for kind in ("terminal", "pipe"):
        reader, writer = pty.openpty() if kind == "terminal" else os.pipe()
        ended = subprocess.run(
            [*START, "restore", str(source), "-o", str(tmp_path / f"{kind}.tif"), "--detector", "tophat",
             "--fill", "telea", "--tile", "64"],
            stderr=writer, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"TERM": "xterm"},
        )  # fmt: skip
        os.close(writer)
        shown[kind], printed[kind] = read_all(reader), ended.stdout
    assert "scan.tif" in shown["terminal"]
    assert "100%" in shown["terminal"] or "write" in shown["terminal"]
    assert shown["pipe"] == ""
    for kind, line in printed.items():
        assert line.startswith(f"{source} -> {tmp_path / kind}.tif")
        assert "->" not in shown[kind]


def read_all(reader: int) -> str:
    parts = []
    try:
        while part := os.read(reader, 65536):
            parts.append(part)
    except OSError:  # the far end of a terminal is gone
        pass
    os.close(reader)
    return b"".join(parts).decode()
