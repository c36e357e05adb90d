"""What keeps others out: host, origin, token, session, and files that nobody opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from redust.core.scan import Scan
from redust.files import write_scan
from redust.studio.access_guard import Access
from redust.studio.app import make_app
from redust.studio.studio import Studio
from studio_desk import ADDRESS, TOKEN, Desk


def open_client(desk: Desk, address: str = ADDRESS, **headers: str) -> TestClient:
    """A client that bears nothing but these headers, on a server that was just started."""
    return TestClient(make_app(desk.studio, Access(TOKEN)), address, headers=headers, follow_redirects=False)


def test_the_token_opens_one_session(desk: Desk) -> None:
    app = make_app(desk.studio, Access(TOKEN))
    first, second = (TestClient(app, ADDRESS, follow_redirects=False) for _ in range(2))
    assert first.get("/").status_code == 401
    answer = first.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    assert first.get("/api/scans").status_code == 200
    assert second.get(f"/?token={TOKEN}").status_code == 401
    assert second.get("/api/scans").status_code == 401
    assert first.get(f"/?token={TOKEN}").status_code == 303  # a reload of the first page


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "redust_session_8000=made-up"}])
def test_nobody_else_is_let_in(desk: Desk, header: dict[str, str]) -> None:
    client = open_client(desk, **header)
    for path in ("/api/scans", "/api/openapi.json", "/api/events", f"/api/scans/{desk.ids[0]}/thumbnail"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")
    assert client.get("/?token=wrong").status_code == 401
    assert client.get("/api/health").json()["status"] == "ok"


def test_a_session_changes_nothing_without_the_header_that_forms_cannot_send(desk: Desk) -> None:
    client = open_client(desk)
    client.get(f"/?token={TOKEN}")
    path = f"/api/scans/{desk.ids[0]}/state"
    assert client.post(path, json={"state": "accepted"}).status_code == 403
    assert client.post(path, json={"state": "accepted"}, headers={"X-Redust": "1"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "192.168.1.7:80", "", "[::1", "127.0.0.1.evil"])
def test_another_host_is_refused(desk: Desk, host: str) -> None:
    answer = open_client(desk, Host=host, Authorization=f"Bearer {TOKEN}").get("/api/scans")
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_this_machine_is_let_in_by_each_of_its_names(desk: Desk, host: str) -> None:
    assert open_client(desk, Host=host, Authorization=f"Bearer {TOKEN}").get("/api/scans").status_code == 200


def test_a_server_for_others_goes_by_its_address_and_the_names_it_was_told() -> None:
    access = Access(TOKEN, "0.0.0.0", ("studio.example",))
    assert all(map(access.allows_host, ("192.168.1.7:80", "[fe80::1]:80", "studio.example", "STUDIO.example:443")))
    assert not access.allows_host("rebound.example")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:8001"])
def test_another_page_is_refused(desk: Desk, origin: str) -> None:
    client = open_client(desk, Origin=origin, Authorization=f"Bearer {TOKEN}")
    answer = client.post(f"/api/scans/{desk.ids[0]}/state", json={"state": "accepted"})
    assert answer.status_code == 403
    assert open_client(desk, Origin=ADDRESS, Authorization=f"Bearer {TOKEN}").get("/api/scans").status_code == 200


def test_no_answer_allows_another_origin_and_all_are_strict(desk: Desk) -> None:
    for path in ("/", "/api/scans", "/api/nothing", f"/api/scans/{desk.ids[0]}/thumbnail"):
        headers = desk.client.get(path, headers={"Origin": ADDRESS}).headers
        assert not [name for name in headers if name.startswith("access-control")]
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("scan_id", ["..", "../../etc/passwd", "%2e%2e%2f", "/etc/passwd", "0" * 16, "a.tif"])
def test_a_client_names_no_file(desk: Desk, scan_id: str) -> None:
    for path in ("", "/thumbnail", "/result", "/mask", "/regions"):
        assert desk.client.get(f"/api/scans/{quote(scan_id, safe='')}{path}").status_code in (404, 405)


def test_a_client_names_no_model_folder(desk: Desk, scan_id: str, model: Path) -> None:
    answer = desk.client.patch(f"/api/scans/{scan_id}/settings", json={"fill": str(model)})
    assert answer.status_code == 400
    assert "kriging" in answer.json()["error"]


def test_a_scan_that_becomes_a_link_out_of_its_folder_is_not_followed(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path]
) -> None:
    scan, secret = scan_file("roll/a.tif"), scan_file("elsewhere/secret.tif")
    desk = open_desk(scan.parent)
    scan.unlink()
    scan.symlink_to(secret)
    answer = desk.client.get(f"/api/scans/{desk.ids[0]}/thumbnail")
    assert answer.status_code == 404
    assert "leads out" in answer.json()["error"]


def test_links_in_a_folder_are_not_opened(open_desk: Callable[..., Desk], scan_file: Callable[..., Path]) -> None:
    scan, secret = scan_file("roll/a.tif"), scan_file("elsewhere/secret.tif")
    os.symlink(secret, scan.parent / "b.tif")
    assert len(open_desk(scan.parent).ids) == 1


def upload(desk: Desk, content: bytes, name: str = "photo.png") -> tuple[int, dict[str, object]]:
    """Send a file; status and JSON of the answer."""
    answer = desk.client.post("/api/scans", content=content, headers={"X-Filename": quote(name)})
    return answer.status_code, answer.json()


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    """The bytes of a small PNG."""
    write_scan(Scan(np.full((20, 30, 3), 90, np.uint8)), tmp_path / "picture.png")
    return (tmp_path / "picture.png").read_bytes()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("photo.png", "photo.png"),
        ("../../../etc/cron.d/job", "job.png"),
        ("..\\..\\boot.ini", "boot.png"),
        ("<script>.html", "_script_.png"),
        ("évêque 1.PNG", "évêque 1.png"),
        ("\0\n.png", "__.png"),
        ("....", "scan.png"),
        ("x" * 400 + ".png", "x" * 120 + ".png"),
    ],
)
def test_an_upload_gets_a_harmless_name(desk: Desk, picture: bytes, name: str, written: str) -> None:
    status, record = upload(desk, picture, name)
    assert (status, record["name"]) == (201, written)
    (path,) = desk.studio.library.uploads.glob("*/*")
    assert path.name == written
    assert path.read_bytes() == picture


def test_an_upload_is_found_again_after_a_restart(desk: Desk, picture: bytes, open_desk: Callable[..., Desk]) -> None:
    _, record = upload(desk, picture)
    assert open_desk().ids == [record["id"]]


def test_what_is_no_scan_is_refused_and_leaves_nothing(desk: Desk) -> None:
    for content in (b"", b"<html>", b"%PDF-1.7 ....................", b"GIF89a.............."):
        status, record = upload(desk, content)
        assert (status, record["code"]) == (415, "unsupported")
    assert not list(desk.studio.library.uploads.glob("*"))


def test_an_upload_of_too_many_bytes_is_cut(open_desk: Callable[..., Desk], picture: bytes) -> None:
    desk = open_desk(max_upload_gb=1e-7)  # 100 bytes
    assert upload(desk, picture + bytes(100))[0] == 413

    def stream() -> object:  # without a length in advance
        yield picture
        yield bytes(1000)

    answer = desk.client.post("/api/scans", content=stream(), headers={"X-Filename": "a.png"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not list(desk.studio.library.uploads.glob("*"))


def test_an_upload_of_too_many_pixels_is_refused_before_it_is_decoded(
    open_desk: Callable[..., Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (3000, 3000)).save(tmp_path / "bomb.png")
    desk = open_desk(max_megapixels=1.0)
    monkeypatch.setattr("redust.studio.studio.read_scan", None)
    status, record = upload(desk, (tmp_path / "bomb.png").read_bytes())
    assert (status, record["code"]) == (413, "too_large")
    assert not list(desk.studio.library.uploads.glob("*/*"))


def test_a_studio_may_refuse_uploads(open_desk: Callable[..., Desk], picture: bytes) -> None:
    desk = open_desk(max_upload_gb=0)
    assert not desk.get("/api/settings")["can_upload"]
    assert upload(desk, picture)[0] == 413


def test_metadata_is_data(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><script>alert(1)</script></x:xmpmeta>"
    (tmp_path / "roll").mkdir()
    write_scan(Scan(np.full((20, 30, 3), 90, np.uint8), xmp=xmp), tmp_path / "roll/<b>$(id).tif")
    desk = open_desk(tmp_path / "roll")
    record = desk.get("/api/scans")["scans"][0]
    assert record["name"] == "<b>$(id).tif"
    assert "script" not in str(desk.get(f"/api/scans/{record['id']}"))


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    from redust.core.errors import SettingsError

    with pytest.raises(SettingsError, match="does not exist"):
        Studio([tmp_path / "nothing"], tmp_path / "out")
