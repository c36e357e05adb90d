"""Text that others wrote: shown without harm, and read from TOML with an explanation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.errors import SettingsError
from redust.core.escape import escape_controls
from redust.core.report import Report
from redust.core.toml_file import read_toml


@given(st.text())
def test_escaped_text_is_one_line_that_can_be_encoded(text: str) -> None:
    escaped = escape_controls(text)
    escaped.encode("utf-8")
    assert len(escaped.splitlines()) <= 1
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in escaped)


@given(st.text(st.characters(whitelist_categories=("L", "N", "P", "Zs"))))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\x1b[31m", "a\\x1b[31m"),
        ("a\tb\r", "a\\tb\\r"),
        ("gpj.\u202exe", "gpj.\\u202exe"),
        ("a\u2028b", "a\\u2028b"),
        ("\udcff\udc80", "\\xff\\x80"),
        ("\ud800", "\\ud800"),
        ("naïve 走 🙂", "naïve 走 🙂"),
    ],
)
def test_what_would_control_a_terminal_is_spelled_out(text: str, escaped: str) -> None:
    assert escape_controls(text) == escaped


def test_chosen_characters_are_kept() -> None:
    assert escape_controls("a\n\tb", keep="\n") == "a\n\\tb"


@given(source=st.text(), warning=st.text())
def test_a_report_in_json_is_one_safe_line_and_the_same_report(source: str, warning: str) -> None:
    report = Report(redust="1", source=source, status="restored", warnings=[warning])
    line = report.to_json()
    assert len(line.splitlines()) == 1
    assert Report.model_validate_json(line) == report


def test_a_file_name_that_is_not_utf_8_survives_in_a_report() -> None:
    line = Report(redust="1", source="roll/\udcff.tif", status="failed").to_json()
    line.encode("ascii")
    assert '"source":"roll/\\udcff.tif"' in line


def test_toml_is_read_as_data(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('level = 0.3\n[run]\nname = "ä"\n', encoding="utf-8")
    assert read_toml(path, "preset") == {"level": 0.3, "run": {"name": "ä"}}
    path.write_text("")
    assert read_toml(path, "preset") == {}


@pytest.mark.parametrize(
    "content",
    [b"level = ", b"a = 1\na = 2", b"\xff\xfe", b"a = " + b"[" * 100_000, b"\x00"],
    ids=["no value", "twice", "no utf-8", "deep", "nul"],
)
def test_what_is_no_toml_is_refused_with_the_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"The recipe .*a\.toml cannot be read: .*Check the path and the TOML"):
        read_toml(path, "recipe")


def test_what_is_no_file_or_too_large_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is a folder or a device. Give a TOML file"):
        read_toml(tmp_path, "preset")
    with pytest.raises(SettingsError, match="is a folder or a device"):
        read_toml(Path("/dev/zero"), "preset")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SettingsError, match="larger than a megabyte"):
        read_toml(large, "preset")
    large.write_bytes(b"#" * 1_000_000)
    assert read_toml(large, "preset") == {}
    with pytest.raises(SettingsError, match="Check the path"):
        read_toml(tmp_path / "none.toml", "preset")
