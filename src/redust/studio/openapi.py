"""The OpenAPI description, made from the endpoints and the records they take and answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

import redust
from redust.studio.endpoint import JSON, Endpoint
from redust.studio.records import ErrorRecord

_REFERENCE = "#/components/schemas/{model}"
_ALWAYS_REFUSED = (400, 401, 403, 500)
_REASONS = {
    304: "Not changed.", 400: "The request does not fit.", 401: "No session and no token.",
    403: "From another page or by another name.", 404: "There is no such thing.",
    409: "It does not go with the state of things.", 413: "Too many bytes or pixels.",
    415: "A file of a kind that is not taken.", 429: "Too much waits already.", 500: "An engine failed.",
    501: "What it needs is not installed.",
}  # fmt: skip


def describe_api(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The description as JSON data."""
    endpoints = list(endpoints)
    records = {ErrorRecord} | {kind for endpoint in endpoints for kind in _records_of(endpoint)}
    ordered = sorted(records, key=lambda kind: kind.__name__)
    references, schemas = models_json_schema(
        [(kind, "validation") for kind in ordered], by_alias=True, ref_template=_REFERENCE
    )
    del references
    paths: dict[str, dict[str, Any]] = {}
    definitions: dict[str, Any] = schemas.get("$defs", {})
    for endpoint in endpoints:
        paths.setdefault(described_path(endpoint), {})[endpoint.method.lower()] = _describe_endpoint(
            endpoint, definitions
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ReDust studio",
            "version": redust.__version__,
            "summary": "Find and repair damage in scanned photographs.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def described_path(endpoint: Endpoint) -> str:
    """An endpoint's path without the types of its parameters."""
    return re.sub(r":\w+}", "}", endpoint.path)


def _records_of(endpoint: Endpoint) -> list[type[BaseModel]]:
    kinds = (endpoint.answer, endpoint.body)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _describe_endpoint(endpoint: Endpoint, definitions: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, definitions)],
        "responses": {str(endpoint.status): _describe_answer(endpoint)} | _describe_refusals(endpoint),
    }
    if endpoint.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {endpoint.body_type: {"schema": _body_schema(endpoint.body, definitions)}},
        }
    return described


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    kinds = re.findall(r"{(\w+)(:int)?}", endpoint.path)
    return [
        {
            "name": name, "in": "path", "required": True,
            "schema": {"type": "integer", "minimum": 0, "maximum": 1_000_000} if number
            else {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        }
        for name, number in kinds
    ]  # fmt: skip


def _query_parameters(endpoint: Endpoint, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema(ref_template=_REFERENCE)
    definitions.update(schema.get("$defs", {}))
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(facts)}
        for name, facts in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: one that is null is left out of a query."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return options[0] if options else schema


def _body_schema(body: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if body is bytes:
        return {"type": "string", "format": "binary"}
    schema = TypeAdapter(body).json_schema(by_alias=True, ref_template=_REFERENCE)
    definitions.update(schema.pop("$defs", {}))
    if isinstance(body, type) and issubclass(body, BaseModel):
        return {"$ref": _REFERENCE.format(model=body.__name__)}
    return schema


def _describe_answer(endpoint: Endpoint) -> dict[str, Any]:
    if isinstance(endpoint.answer, str):
        schema = {"type": "string"} if endpoint.answer.startswith("text/") else {"type": "string", "format": "binary"}
        return {"description": endpoint.summary, "content": {endpoint.answer: {"schema": schema}}}
    reference = {"$ref": _REFERENCE.format(model=endpoint.answer.__name__)}
    return {"description": endpoint.summary, "content": {JSON: {"schema": reference}}}


def _describe_refusals(endpoint: Endpoint) -> dict[str, Any]:
    statuses = sorted({*_ALWAYS_REFUSED, *endpoint.errors})
    content = {JSON: {"schema": {"$ref": _REFERENCE.format(model=ErrorRecord.__name__)}}}
    return {str(status): {"description": _REASONS[status], "content": content} for status in statuses}
