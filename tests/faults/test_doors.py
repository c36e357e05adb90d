"""The world around a run is hostile: names, streams, folders, presets, signals. What is not to blame goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from drawing import draw
from redust.core import catalogue
from redust.core.catalogue import Catalogue
from redust.core.errors import EngineError
from redust.core.escape import escape_controls
from redust.core.report import Report
from redust.core.scan import Scan

Command = Callable[..., Any]
ScanFile = Callable[..., Path]
BRIGHT = ("--detector", "bright", "--fill", "mean")
FAST = ("--detector", "tophat", "--fill", "telea")
START = [sys.executable, "-c", "from redust.cli.entry import main; main()"]

needs_bytes_in_names = pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")


@pytest.fixture
def roll(scan_file: ScanFile) -> Path:
    """A folder of three scans."""
    paths = [scan_file(f"roll/{number}.tif", seed=number) for number in range(3)]
    return paths[0].parent


def names(folder: Path) -> list[str]:
    """What a folder holds, without the ledger."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".sqlite") if folder.exists() else []


class TestNames:
    @needs_bytes_in_names
    @pytest.mark.parametrize("flags", [(), ("--json",)])
    def test_bytes_that_are_no_text_stop_nothing(
        self, redust_command: Command, roll: Path, tmp_path: Path, flags: tuple[str, ...]
    ) -> None:
        os.rename(roll / "1.tif", os.fsencode(roll) + b"/\xff.tif")
        ended = redust_command("restore", roll, "-o", tmp_path / "o", "--report", tmp_path / "r", *flags, *BRIGHT)
        assert ended.code == 0
        assert len(names(tmp_path / "o")) == 3
        sources = [json.loads(line)["source"] for line in (tmp_path / "r").read_text().splitlines()]
        assert str(roll / os.fsdecode(b"\xff.tif")) in sources
        assert "\udcff" not in ended.out

    def test_control_characters_reach_no_terminal(
        self, redust_command: Command, scan_file: ScanFile, tmp_path: Path
    ) -> None:
        name = "\x1b[2J\x9b\u202etif\nerror: all is lost.tif"
        good, bad = scan_file(name), scan_file(f"bad{name}")
        bad.write_bytes(b"no picture")
        for flags in ((), ("--json",), ("--verbose",)):
            ended = redust_command("restore", good, bad, "-o", tmp_path / f"o{flags}", *flags, *BRIGHT)
            assert not {"\x1b", "\x9b", "\u202e"} & set(ended.out + ended.err)
            assert not any(line.startswith("error: all") for line in (ended.out + ended.err).splitlines())
            assert len(ended.out.splitlines()) == (2 if "--json" in flags else 1)

    def test_nor_do_those_of_unknown_commands_and_settings(
        self, redust_command: Command, scan_file: ScanFile, tmp_path: Path
    ) -> None:
        (tmp_path / "p.toml").write_text('"\\u001b[2J" = 1\n')
        for arguments in (("\x1b[2J",), ("restore", "a", "--\x1b[2J"), ("models", "\x1b[2J"),
                          ("restore", scan_file(), "--preset", tmp_path / "p.toml")):  # fmt: skip
            ended = redust_command(*arguments)
            assert ended.code == 2
            assert "\x1b" not in ended.out + ended.err

    def test_brackets_are_no_markup(self, redust_command: Command, scan_file: ScanFile, tmp_path: Path) -> None:
        source = scan_file("[red]a[/red].tif")
        ended = redust_command("restore", source, tmp_path / "b[.tif", "-o", tmp_path / "o[1]", *BRIGHT)
        assert f"{source} -> {tmp_path}/o[1]/[red]a[/red].tif" in ended.out
        assert f"{tmp_path}/b[.tif; it" in ended.err

    @pytest.mark.parametrize(("text", "shown"), [("grün 写真 [1].tif", "grün 写真 [1].tif"), ("a\tb\x7f", r"a\tb\x7f")])
    def test_only_what_is_unsafe_is_escaped(self, text: str, shown: str) -> None:
        assert escape_controls(text) == shown

    @pytest.mark.parametrize("source", ["grün.tif", "\udcff\x1b.tif", "\x9b\u2028.tif"])
    def test_a_report_in_json_gives_the_name_back(self, source: str) -> None:
        line = Report(redust="1", source=source, status="failed").to_json()
        assert json.loads(line)["source"] == source
        assert escape_controls(line) == line


class TestStreams:
    @pytest.mark.parametrize(
        "redirection", ["> /dev/full", "2> /dev/full", "2>&1 >/dev/null | true", "| true", ">&-", ">&- 2>&- <&-"]
    )
    def test_output_that_cannot_be_written_costs_no_scan(self, roll: Path, tmp_path: Path, redirection: str) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        (roll / "0bad.tif").write_bytes(b"no picture")
        words = shlex.join([*START, "restore", str(roll), "-o", str(tmp_path / "o"), *FAST])
        ended = subprocess.run(
            ["bash", "-c", f"{words} {redirection}; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False
        )
        assert names(tmp_path / "o") == ["0.tif", "1.tif", "2.tif"]
        assert ended.returncode == 3  # of the scan that is none
        assert b"Traceback" not in ended.stderr

    def test_lost_output_is_an_error_once_the_work_is_done(self, roll: Path, tmp_path: Path) -> None:
        with open("/dev/full", "w") as full:
            ended = subprocess.run(
                [*START, "restore", str(roll), "-o", str(tmp_path / "o"), "--json", *FAST],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert len(names(tmp_path / "o")) == 3
        assert ended.returncode == 4
        assert "Standard output cannot be written: No space left on device" in ended.stderr

    def test_a_closed_output_is_not_replaced_by_a_file_of_the_work(self, roll: Path, tmp_path: Path) -> None:
        for name, redirection in (("o", ">&- 2>&-"), ("p", ">/dev/null")):
            command = shlex.join([*START, "restore", str(roll), *FAST, "-o", str(tmp_path / name)])
            subprocess.run(["bash", "-c", f"{command} {redirection}"], check=True)
        for name in names(tmp_path / "o"):
            assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "p" / name).read_bytes()

    def test_an_encoding_that_lacks_a_character_stops_nothing(self, scan_file: ScanFile, tmp_path: Path) -> None:
        ended = subprocess.run(
            [*START, "restore", str(scan_file("grün.tif")), "-o", str(tmp_path / "o.tif"), *FAST],
            env=os.environ | {"PYTHONIOENCODING": "ascii:strict"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert r"gr\xfcn.tif ->" in ended.stdout


class TestPaths:
    @pytest.fixture
    def hostile(self, tmp_path: Path) -> dict[str, Path]:
        os.symlink(tmp_path / "loop.tif", tmp_path / "loop.tif")
        return {
            "loop": tmp_path / "loop.tif",
            "long": tmp_path / f"{'x' * 300}.tif",
            "long folder": tmp_path / ("y" * 300) / "a.tif",
            "below a file": tmp_path / "roll/0.tif/a.tif",
            "device": Path(os.devnull),
        }

    @pytest.mark.parametrize("kind", ["loop", "long", "long folder", "below a file", "device"])
    def test_a_scan_that_cannot_be_looked_up_fails_alone(
        self, redust_command: Command, roll: Path, tmp_path: Path, hostile: dict[str, Path], kind: str
    ) -> None:
        ended = redust_command("restore", hostile[kind], roll / "0.tif", "-o", tmp_path / "o", *BRIGHT)
        assert ended.code == 3
        assert [path.name for path in (tmp_path / "o").rglob("0.tif")] == ["0.tif"]

    @pytest.mark.parametrize(
        "flag", ["--output", "--mask-out", "--compare", "--report", "--mask", "--preset", "--detector"]
    )
    @pytest.mark.parametrize("kind", ["loop", "long", "long folder", "below a file"])
    def test_other_paths_of_that_kind_are_explained(
        self, redust_command: Command, roll: Path, hostile: dict[str, Path], kind: str, flag: str
    ) -> None:
        ended = redust_command("restore", roll / "0.tif", *BRIGHT, flag, hostile[kind])
        assert ended.code in (2, 3, 4, 6)
        assert ended.err.startswith("error: ")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may enter every folder")
    def test_a_closed_folder_fails_alone(self, redust_command: Command, roll: Path, tmp_path: Path) -> None:
        closed = roll / "closed"
        closed.mkdir()
        (roll / "1.tif").rename(closed / "1.tif")
        for mode in (0o000, 0o400):
            closed.chmod(mode)
            ended = redust_command("restore", roll, closed / "1.tif", "-o", tmp_path / f"o{mode}", *BRIGHT)
            closed.chmod(0o700)
            assert ended.code == 3
            assert {"0.tif", "2.tif"} <= {path.name for path in (tmp_path / f"o{mode}").rglob("*.tif")}

    def test_a_folder_that_cannot_be_listed_fails_alone(
        self, redust_command: Command, roll: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (roll / "closed").mkdir()
        real_scandir = os.scandir

        def refuse(path: Any) -> Any:
            if Path(path).name == "closed":
                raise PermissionError(13, "Permission denied", str(path))
            return real_scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        ended = redust_command("restore", roll, "-o", tmp_path / "o", *BRIGHT)
        assert ended.code == 3
        assert "closed cannot be listed: Permission denied" in ended.err
        assert len(names(tmp_path / "o")) == 3

    def test_no_hard_link_of_an_input_is_written_over(
        self, redust_command: Command, roll: Path, tmp_path: Path
    ) -> None:
        os.link(roll / "0.tif", tmp_path / "hard.png")
        before = (roll / "0.tif").read_bytes()
        for flag in ("--report", "--mask-out", "--compare", "--output"):
            ended = redust_command("restore", roll / "0.tif", flag, tmp_path / "hard.png", "--overwrite", *BRIGHT)
            assert ended.code == 2
            assert "is an input" in ended.err
        assert (tmp_path / "hard.png").read_bytes() == before


class TestPresets:
    @pytest.mark.parametrize(
        "content", ["a=" + "[" * 5000 + "]" * 5000, "threads = " + "9" * 5000, "level = '" + "x" * 2_000_000 + "'"]
    )
    def test_absurd_ones_are_explained_in_few_words(
        self, redust_command: Command, scan_file: ScanFile, tmp_path: Path, content: str
    ) -> None:
        (tmp_path / "p.toml").write_text(content)
        ended = redust_command("restore", scan_file(), "--preset", tmp_path / "p.toml", *BRIGHT)
        assert ended.code == 2
        assert len(ended.err) < 500

    def test_one_that_never_ends_is_not_read(
        self, redust_command: Command, scan_file: ScanFile, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "fifo.toml")
        for preset in (tmp_path / "fifo.toml", "/dev/zero", tmp_path):
            ended = redust_command("restore", scan_file(), "--preset", preset, *BRIGHT)
            assert ended.code == 2
            assert "is a folder or a device" in ended.err


class TestReports:
    def test_each_line_is_on_the_disk_before_the_next_scan(
        self, redust_command: Command, roll: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines: list[int] = []

        def count_lines(source: Path, *_: Any, **__: Any) -> Scan:
            lines.append(len((tmp_path / "r").read_text().splitlines()))
            return Scan(draw())

        monkeypatch.setattr("redust.pipeline.pipeline.read_scan", count_lines)
        redust_command("detect", roll, "-o", tmp_path / "o", "--report", tmp_path / "r", *BRIGHT[:2])
        assert lines == [0, 1, 2]

    def test_a_report_that_cannot_be_written_costs_no_scan(
        self, redust_command: Command, roll: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Report, "to_json", lambda self: "x" * self.no_such_field)
        ended = redust_command("detect", roll, "-o", tmp_path / "o", "--report", tmp_path / "r", *BRIGHT[:2])
        assert ended.code != 0
        assert len(names(tmp_path / "o")) == 3


class TestSignals:
    @pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
    @pytest.mark.parametrize("swallower", ["weakref.ref(thing, lambda _: end())", "weakref.finalize(thing, end)"])
    def test_one_that_arrives_where_python_swallows_it_still_ends_the_program(self, name: str, swallower: str) -> None:
        program = f"""
import os, signal, weakref
from redust.cli.entry import _end_on_terminate
signal.signal(signal.SIGINT, signal.default_int_handler)
_end_on_terminate()
def end(): os.kill(os.getpid(), signal.{name})
class Thing: pass
def work():
    thing = Thing()
    keep = {swallower}
    del thing
    x = 1
    print("still running")
try:
    work()
finally:
    print("cleaned up")
"""
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert ended.stdout == "cleaned up\n", ended.stderr
        assert ended.returncode != 0

    def test_nohup_is_obeyed(self) -> None:
        program = """
import os, signal
from redust.cli.entry import _end_on_terminate
signal.signal(signal.SIGHUP, signal.SIG_IGN)
_end_on_terminate()
os.kill(os.getpid(), signal.SIGHUP)
"""
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

    def test_a_hang_up_leaves_nothing_half(self, scan_file: ScanFile, tmp_path: Path) -> None:
        program = (
            "import os, signal\nfrom redust.cli.entry import main\n"
            "real = os.fsync\n"
            f"os.fsync = lambda file: (os.kill(os.getpid(), signal.SIGHUP), real(file))\n"
            f"main(['restore', {str(scan_file())!r}, '-o', {str(tmp_path / 'o/a.tif')!r}, *{FAST!r}])"
        )
        ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
        assert ended.returncode == 128 + signal.SIGHUP
        assert names(tmp_path / "o") == []


class TestStrangers:
    @pytest.mark.parametrize(
        "code", ["def D(:", "raise RuntimeError('boom')", "import sys; sys.exit(3)", "def D(): raise ValueError('[x]')"]
    )
    def test_a_plug_in_that_cannot_be_loaded_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        module = f"plug{abs(hash(code))}"
        (tmp_path / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(EngineError, match=f"detector `mine` cannot be loaded from {module}:D"):
            Catalogue("detector", {"mine": f"{module}:D"}, "no.such.group").make("mine")

    @pytest.mark.parametrize("command", ["models", "doctor"])
    def test_and_it_is_one_line_of_models_and_doctor(
        self, redust_command: Command, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        broken = EntryPoint("mi[red]ne", "no_such_module:D [extra]", "redust.detectors")
        monkeypatch.setattr(catalogue, "entry_points", lambda *, group: [broken] if group == broken.group else [])
        ended = redust_command(command)
        assert ended.code == 0, ended.err
        (line,) = (line for line in ended.out.splitlines() if "cannot be loaded" in line)
        assert "mi[red]ne" in line
        assert "no_such_module:D" in line


def test_a_scan_that_needs_more_memory_than_there_is_is_no_bug(
    redust_command: Command, roll: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("redust.pipeline.outputs.write_scan", overflow)
    ended = redust_command("restore", roll / "0.tif", "-o", tmp_path / "o.tif", *BRIGHT)
    assert ended.code == 3
    assert "not enough memory" in ended.err
