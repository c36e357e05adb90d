"""The API answers as its description says: whatever is sent, a refusal is a sentence and never a failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from redust.studio.app import ENDPOINTS
from redust.studio.openapi import describe_api, described_path
from studio_desk import Desk

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
_OPERATIONS = [(path, endpoint.method) for endpoint in ENDPOINTS if (path := described_path(endpoint)) != "/api/events"]


@pytest.mark.parametrize(("path", "method"), _OPERATIONS)
def test_whatever_is_sent_is_answered_as_described(desk: Desk, scan_id: str, path: str, method: str) -> None:
    description = schemathesis.openapi.from_dict(describe_api(ENDPOINTS))
    description.app = desk.client.app

    @settings(max_examples=12, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=description[path][method].as_strategy())
    def send(case: Case) -> None:
        if "scan_id" in case.path_parameters:
            case.path_parameters["scan_id"] = scan_id
        case.call_and_validate(headers=dict(desk.client.headers), checks=_CHECKS)

    send()


def test_every_endpoint_is_described(desk: Desk) -> None:
    described = desk.get("/api/openapi.json")["paths"]
    assert described["/api/scans/{scan_id}/dzi/{layer}/{level}/{x}_{y}".replace("{layer}", "mask")].keys() == {"get"}
    assert described["/api/scans"].keys() == {"get", "post"}


def test_what_does_not_fit_is_named(desk: Desk, scan_id: str) -> None:
    answer = desk.client.patch(f"/api/scans/{scan_id}/settings", json={"sensitivity": 2, "colour": "red"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"
    assert "`sensitivity`" in answer.json()["error"]
    assert "`colour`" in answer.json()["error"]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"kind":"dance"}', b"\xff\xfe"])
def test_a_body_that_is_no_edit_is_refused(desk: Desk, scan_id: str, content: bytes) -> None:
    answer = desk.client.post(f"/api/scans/{scan_id}/edits", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(desk: Desk, scan_id: str) -> None:
    answer = desk.client.post(f"/api/scans/{scan_id}/edits", content=b" " * (5 * 2**20))
    assert answer.status_code == 413


def test_without_its_page_the_studio_says_what_to_do(desk: Desk) -> None:
    assert "Install ReDust again" in desk.client.get("/").text


def test_the_page_is_served_where_it_was_built(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    (tmp_path / "static/assets").mkdir(parents=True)
    (tmp_path / "static/index.html").write_text("<p>the page")
    (tmp_path / "static/assets/a.js").write_text("1")
    desk = open_desk()
    assert desk.client.get("/").text == "<p>the page"
    assert desk.client.get("/assets/a.js").text == "1"
    assert desk.client.get("/assets/../../conftest.py").status_code == 404
