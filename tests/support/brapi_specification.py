"""The schemas of BrAPI v2.1: validation of requests and responses, and the names of query parameters."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

_PATH = Path(__file__).parents[1] / "brapi" / "brapi-2.1.json"
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_FORMATS = FormatChecker()


@_FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _RFC_3339.fullmatch(value) is not None


@cache
def _specification() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(_PATH.read_text())
    return document


def operation(method: str, path: str) -> Mapping[str, Any]:
    """Return the operation of a request path below /brapi/v2."""
    found = [
        item
        for name, item in _specification()["operations"].items()
        if name.startswith(f"{method} ") and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", name.split()[1]), path)
    ]
    assert len(found) == 1, f"BrAPI has no operation {method} {path}"
    return found[0]  # type: ignore[no-any-return]


def response_errors(method: str, path: str, body: Any) -> list[str]:
    """Return the violations of a successful response. A field of an object that BrAPI does not have is one."""
    schema = operation(method, path)["response"]
    result = schema["properties"]["result"]
    is_list = "data" in result.get("properties", {})
    item = result["properties"]["data"]["items"] if is_list else result
    found = _errors(schema, body)
    for value in body["result"]["data"] if is_list else [body["result"]]:
        if isinstance(value, dict):
            found += _errors({"allOf": [item], "unevaluatedProperties": False}, value)
    return found


def request_errors(method: str, path: str, body: Any) -> list[str]:
    """Return the violations of a request body."""
    return _errors(operation(method, path)["request"], body)


def query_names(path: str) -> set[str]:
    """Return the query parameters of a GET operation."""
    return set(operation("GET", path)["query"])


def paths() -> list[str]:
    """Return the paths of the GET operations."""
    return [name.split()[1] for name in _specification()["operations"] if name.startswith("GET ")]


def _errors(schema: Mapping[str, Any], value: object) -> list[str]:
    validator = Draft202012Validator({**schema, "components": _specification()["components"]}, format_checker=_FORMATS)
    return [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(value)]
