"""Scans in object stores: memory, and a real S3 API on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from redust.batch.storage import hash_file, is_remote, list_remote_files, stat_file, url_of

Command = Callable[..., Any]
FAST = ("--detector", "tophat", "--fill", "navier-stokes")


@pytest.fixture
def memory_store() -> Iterator[Any]:
    """An empty store in memory."""
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()


@pytest.fixture
def s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket ``archive`` of an S3 server on loopback."""
    pytest.importorskip("s3fs")
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir("archive")
    yield store
    server.stop()
    type(store).clear_instance_cache()


def fill_store(store: Any, scan_file: Callable[..., Path], folder: str) -> None:
    for number, name in enumerate(("a/1.tif", "a/2.png", "b/1.tif")):
        store.put_file(str(scan_file(f"local/{name}", seed=number)), f"{folder}/{name}")
    store.pipe_file(f"{folder}/b/bad.tif", b"no picture")
    store.put_file(str(scan_file("local/a/1_IR.tif", seed=0, channels=1)), f"{folder}/a/1_IR.tif")


def restore_store(redust_command: Command, store: Any, scheme: str, tmp_path: Path) -> None:
    """Restore a store's scans twice, lose a result, and verify."""
    command = (
        "restore", f"{scheme}://archive/in", "-o", f"{scheme}://archive/out", "--mask-out", tmp_path / "masks",
        "--ledger", tmp_path / "ledger", "--receipts", *FAST,
    )  # fmt: skip
    ended = redust_command(*command)
    assert ended.code == 3, ended.err
    assert "3 of 4 scans done, 1 failed" in ended.err
    names = [name.partition("archive/out/")[2] for name in store.find("archive/out")]
    assert sorted(names) == sorted(
        name + suffix for name in ("a/1.tif", "a/2.png", "b/1.tif") for suffix in ("", ".receipt.json")
    )
    local = redust_command("restore", tmp_path / "local", "-o", tmp_path / "out", *FAST)
    assert local.code == 0
    for name in ("a/1.tif", "b/1.tif"):
        assert store.cat_file(f"archive/out/{name}") == (tmp_path / "out" / name).read_bytes()
    report = ("--ledger", tmp_path / "ledger", "--report", tmp_path / "report.json")
    redust_command("status", f"{scheme}://archive/out", *report)
    (line,) = (line for line in (tmp_path / "report.json").read_text().splitlines() if "a/1.tif" in line)
    assert json.loads(line)["infrared"]["source"] == "1_IR.tif"
    assert "to do: 0; finished already: 3; failed earlier: 1" in redust_command(*command).err
    verify = ("verify", f"{scheme}://archive/out", "--ledger", tmp_path / "ledger", "--inputs")
    assert redust_command(*verify).code == 0
    store.rm_file("archive/out/a/1.tif")
    assert redust_command(*verify).code == 9
    assert "to do: 1; finished already: 2" in redust_command(*command).err
    assert redust_command(*verify).code == 0


def test_a_store_in_memory(
    redust_command: Command, scan_file: Callable[..., Path], memory_store: Any, tmp_path: Path
) -> None:
    fill_store(memory_store, scan_file, "archive/in")
    restore_store(redust_command, memory_store, "memory", tmp_path)


def test_a_store_that_speaks_s3(
    redust_command: Command, scan_file: Callable[..., Path], s3_store: Any, tmp_path: Path
) -> None:
    fill_store(s3_store, scan_file, "archive/in")
    restore_store(redust_command, s3_store, "s3", tmp_path)


def test_a_store_needs_a_ledger_on_this_machine(
    redust_command: Command, scan_file: Callable[..., Path], memory_store: Any
) -> None:
    fill_store(memory_store, scan_file, "archive/in")
    ended = redust_command("restore", "memory://archive/in", "-o", "memory://archive/out", *FAST)
    assert (ended.code, "--ledger DIR" in ended.err) == (2, True)
    ended = redust_command("restore", "nowhere://archive/in", "-o", "out", *FAST)
    assert (ended.code, "nowhere" in ended.err) == (2, True)


def test_addresses_are_told_from_paths(memory_store: Any) -> None:
    assert is_remote(Path("s3://bucket/roll"))
    assert not any(map(is_remote, (Path("roll"), Path("/a:/b"), Path("C:/roll"), Path("s3:"))))
    assert url_of(Path("s3://bucket/roll/1.tif")) == "s3://bucket/roll/1.tif"
    memory_store.pipe_file("roll/1.tif", b"abc")
    assert stat_file(Path("memory://roll/1.tif")).size == 3
    assert hash_file(Path("memory://roll/1.tif")).startswith("ba7816bf")
    assert list(list_remote_files(Path("memory://roll"))) == [(Path("memory://roll/1.tif"), Path("1.tif"))]
    with pytest.raises(FileNotFoundError):
        stat_file(Path("memory://roll/2.tif"))
