"""Tests of the committed OpenAPI document: up to date, complete, and with valid examples."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.contract_validation import Contract
from thale.facade.api.openapi_document import load_document
from tools.generate.openapi_document import build

DOCUMENT = load_document()
OPERATIONS = [
    (f"{method} {path}", operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]
WITHOUT_BODY = ("/reproduce", "/cancel", "/retry")
"""Ends of the paths of POST operations that need no further input."""
SCHEMAS = DOCUMENT["components"]["schemas"]


@pytest.mark.slow
def test_document_is_up_to_date() -> None:
    assert json.loads(json.dumps(build())) == DOCUMENT, "outdated: run `make generate`"


def test_every_schema_and_property_has_a_description() -> None:
    missing = [
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, value in {"": schema, **schema.get("properties", {})}.items()
        if not value.get("description")
    ]
    assert missing == []


def test_operation_ids_are_readable_and_unique() -> None:
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name)] == []


@pytest.mark.parametrize(("label", "operation"), OPERATIONS, ids=[label for label, _ in OPERATIONS])
def test_operation_describes_requests_and_responses(label: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    for parameter in operation["parameters"]:
        assert parameter["description"], parameter["name"]
        assert "null" not in json.dumps(parameter["schema"]), parameter["name"]
        Draft202012Validator(parameter["schema"]).validate(parameter["example"])
    has_body = label.startswith(("post", "put", "patch")) and not label.endswith(WITHOUT_BODY)
    assert ("requestBody" in operation) == has_body
    assert {"200", "500"} <= operation["responses"].keys()
    assert "422" not in operation["responses"] or "HTTPValidationError" not in json.dumps(operation["responses"])
    for status, response in operation["responses"].items():
        assert "X-Request-Id" in response["headers"]
        assert status not in ("409", "429") or "Retry-After" in response["headers"]
        for kind, media in response["content"].items():
            assert media["schema"] != {} or kind == "text/csv"
            assert not kind.endswith("/json") or "example" in media or "anyOf" in media["schema"] or status == "503"


def examples() -> Iterator[tuple[str, dict[str, Any], object]]:
    for label, operation in OPERATIONS:
        contents = {status: response["content"] for status, response in operation["responses"].items()}
        contents["body"] = operation.get("requestBody", {}).get("content", {})
        for place, content in contents.items():
            for kind, media in content.items():
                if "example" in media:
                    yield f"{label} {place} {kind}", media["schema"], media["example"]


def test_examples_are_valid() -> None:
    contract = Contract(DOCUMENT)
    found = {label: contract.errors(schema, example) for label, schema, example in examples()}
    assert {label: errors for label, errors in found.items() if errors} == {}
    assert len(found) > 60


def test_unknown_numbers_are_nullable() -> None:
    assert SCHEMAS["TraitValue"]["properties"]["value"]["type"] == ["number", "null"]
    assert SCHEMAS["Scale"]["properties"]["mm_per_px"]["type"] == ["number", "null"]


def test_response_schemas_permit_later_fields() -> None:
    """A client that is generated from the document must accept the responses of a later version."""
    strict = [name for name, schema in SCHEMAS.items() if schema.get("additionalProperties") is False]
    assert strict == [
        *("CorrectionRequest", "ExperimentRequest", "ExperimentUpdate"),
        *("InferOutputParameters", "InferParameters", "JobRequest", "SeriesItem", "SeriesRequest", "TraitsRequest"),
    ]


def test_schemas_are_valid_json_schema() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
