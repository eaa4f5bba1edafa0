"""Validation of real responses against an OpenAPI document: status, headers, media type and body."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.running_facade import Reply

UNDOCUMENTED_HEADERS = frozenset(
    {"content-length", "content-type", "connection", "date", "server", "transfer-encoding"}
)
"""Headers of HTTP itself, which OpenAPI does not describe."""


class Contract:
    """An OpenAPI document. It records which responses were validated."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._strict = _forbid_other_fields(json.loads(json.dumps(document["components"]["schemas"])))
        self.validated: set[tuple[str, int, str]] = set()
        """Operation id, status and media type of the validated responses."""

    def check(self, method: str, path: str, reply: Reply) -> None:
        """Assert that a reply to a request is one that the document describes."""
        operation = self.operation(method, path)
        responses = operation["responses"]
        status = str(reply.status)
        assert status in responses, f"{method} {path}: undocumented status {status}: {reply.body[:500]!r}"
        response = responses[status]
        self._check_headers(f"{method} {path} {status}", response.get("headers", {}), reply.headers)
        media_type = reply.headers.get("content-type", "").split(";")[0]
        assert media_type in response["content"], f"{method} {path} {status}: undocumented media type {media_type}"
        self.validated.add((operation["operationId"], reply.status, media_type))
        schema = response["content"][media_type].get("schema", {})
        if media_type.endswith("json"):
            self._check_body(f"{method} {path} {status}", schema, json.loads(reply.body))

    def operation(self, method: str, path: str) -> Mapping[str, Any]:
        """Return the operation of a request path. A path without a template is preferred."""
        path = path.split("?")[0]
        for template, item in sorted(self._document["paths"].items(), key=lambda entry: entry[0].count("{")):
            pattern = re.sub(r"\{[a-z0-9_]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in item:
                operation: Mapping[str, Any] = item[method.lower()]
                return operation
        raise AssertionError(f"the document has no operation {method} {path}")

    def errors(self, schema: Mapping[str, Any], value: object) -> list[str]:
        """Return the violations of a schema by a JSON value. A field that is not in the document is one."""
        validator = Draft202012Validator({**schema, "components": {"schemas": self._strict}})
        return [f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in validator.iter_errors(value)]

    def _check_body(self, where: str, schema: Mapping[str, Any], body: object) -> None:
        errors = self.errors(schema, body)
        assert not errors, f"{where}: {errors[:10]}"

    def _check_headers(self, where: str, documented: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        names = {name.lower() for name in documented}
        undocumented = {name.lower() for name in headers} - names - UNDOCUMENTED_HEADERS
        assert not undocumented, f"{where}: undocumented headers {undocumented}"
        for name in documented:
            header = self._document["components"]["headers"][name]
            value = headers.get(name.lower())
            assert value is not None or not header.get("required"), f"{where}: no header {name}"
            if value is not None:
                parsed = int(value) if header["schema"]["type"] == "integer" else value
                Draft202012Validator(header["schema"]).validate(parsed)


def _forbid_other_fields(schemas: dict[str, Any]) -> dict[str, Any]:
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return schemas
