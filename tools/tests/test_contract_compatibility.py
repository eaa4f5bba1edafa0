"""Tests of the comparison of OpenAPI documents."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools import contract_compatibility
from tools.contract_compatibility import DOCUMENT, ROOT, breaking_changes, is_breaking_version

Document = dict[str, Any]
TRAIT = {
    "type": "object",
    "required": ["value", "quality"],
    "properties": {
        "value": {"type": ["number", "null"]},
        "quality": {"type": "string", "enum": ["ok", "unknown"]},
        "flags": {"type": "array", "items": {"$ref": "#/components/schemas/Flag"}},
    },
}
BASE: Document = {
    "info": {"version": "0.1.0"},
    "paths": {
        "/a": {
            "post": {
                "operationId": "a",
                "security": [{"bearer": ["read"]}],
                "parameters": [{"in": "query", "name": "n", "schema": {"type": "integer", "minimum": 0}}],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"p": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
                            }
                        },
                        "image/png": {"schema": {"type": "string"}},
                    }
                },
                "responses": {
                    "200": {
                        "headers": {"X-Request-Id": {}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Trait"}},
                            "text/csv": {"schema": {"type": "string"}},
                        },
                    },
                    "404": {"content": {"application/json": {"schema": {}}}},
                },
            },
            "get": {"operationId": "b", "responses": {"200": {}}},
        },
    },
    "components": {
        "schemas": {
            "Trait": TRAIT,
            "Flag": {
                "type": "object",
                "required": ["at"],
                "properties": {"at": {"$ref": "#/components/schemas/Trait"}},
            },
        }
    },
}


def post(document: Document) -> Document:
    operation: Document = document["paths"]["/a"]["post"]
    return operation


def body(document: Document) -> Document:
    schema: Document = post(document)["requestBody"]["content"]["application/json"]["schema"]
    return schema


def trait(document: Document) -> Document:
    schema: Document = document["components"]["schemas"]["Trait"]
    return schema


def changes(change: Callable[[Document], object]) -> list[str]:
    new = copy.deepcopy(BASE)
    change(new)
    return breaking_changes(BASE, new)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["paths"].clear(), "the path was removed"),
        (lambda d: d["paths"]["/a"].pop("get"), "the operation was removed"),
        (lambda d: post(d).update(operationId="c"), "operation id a became c"),
        (lambda d: post(d).update(security=[{"bearer": ["admin"]}]), "credential changed"),
        (lambda d: post(d)["parameters"].clear(), "parameter n was removed"),
        (lambda d: post(d)["parameters"][0].update(required=True), "parameter n became required"),
        (lambda d: post(d)["parameters"][0]["schema"].update(minimum=1), "minimum became 1"),
        (lambda d: post(d)["parameters"][0]["schema"].update(maximum=9), "maximum became 9"),
        (lambda d: post(d)["parameters"][0]["schema"].update(type="string"), "type integer is not accepted"),
        (lambda d: post(d)["parameters"][0]["schema"].update(enum=[1, 2]), "any other value"),
        (lambda d: post(d)["requestBody"]["content"].pop("image/png"), "request body image/png was removed"),
        (lambda d: post(d)["requestBody"].update(required=True), "request body became required"),
        (lambda d: post(d).pop("requestBody"), "request body was removed"),
        (lambda d: body(d).update(required=["p"]), "field p became required"),
        (lambda d: body(d)["properties"].pop("p"), "field p was removed"),
        (lambda d: body(d)["properties"].update(p={"type": "string"}), "alternative null is not accepted"),
        (lambda d: body(d).update(additionalProperties=False), "unknown fields are not accepted"),
        (lambda d: post(d)["responses"].pop("200"), "response 200 was removed"),
        (lambda d: post(d)["responses"]["200"]["headers"].clear(), "no header X-Request-Id"),
        (lambda d: post(d)["responses"]["200"]["content"].pop("text/csv"), "as text/csv was removed"),
        (lambda d: trait(d)["properties"].pop("flags"), "field flags was removed"),
        (lambda d: trait(d)["required"].remove("value"), "field value may be absent"),
        (lambda d: trait(d)["properties"]["quality"]["enum"].append("bad"), "value 'bad' is new"),
        (lambda d: trait(d)["properties"]["quality"].pop("enum"), "'any other value' is new"),
        (
            lambda d: trait(d)["properties"].update(quality={"type": "string", "x-extensible-enum": ["ok"]}),
            "'any other value' is new",
        ),
        (lambda d: trait(d)["properties"]["value"]["type"].append("string"), "alternative string is new"),
        (lambda d: trait(d)["properties"]["flags"]["items"].update({"$ref": "#/components/schemas/Trait"}), "removed"),
    ],
)
def test_breaking_change_is_found(change: Callable[[Document], object], message: str) -> None:
    assert any(message in found for found in changes(change)), changes(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: None,
        lambda d: d["paths"].update({"/b": {"get": {"responses": {}}}}),
        lambda d: post(d)["parameters"].append({"in": "query", "name": "m", "schema": {"type": "string"}}),
        lambda d: post(d)["parameters"][0]["schema"].update(type="number", minimum=-1),
        lambda d: body(d)["properties"].update(q={"type": "string"}),
        lambda d: body(d)["properties"]["p"]["anyOf"].append({"type": "integer"}),
        lambda d: post(d)["responses"].update({"429": {}}),
        lambda d: post(d)["responses"].pop("404"),
        lambda d: trait(d)["properties"].update(unit={"type": "string"}),
        lambda d: trait(d)["required"].append("unit"),
        lambda d: trait(d)["properties"]["value"].update(type="number"),
        lambda d: trait(d)["properties"]["quality"]["enum"].remove("ok"),
        lambda d: d["components"]["schemas"]["Trait"]["properties"].update(
            quality={"type": "string", "x-extensible-enum": ["ok", "unknown", "new"]}
        ),
    ],
)
def test_compatible_change_is_permitted(change: Callable[[Document], object]) -> None:
    assert changes(change) == []


@pytest.mark.parametrize(
    ("base", "new", "is_permitted"),
    [
        ("0.1.0", "0.1.9", False),
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "1.0.0", True),
        ("1.0.0", "1.1.0", False),
        ("1.9.0", "2.0.0", True),
    ],
)
def test_version_permits_breaking_changes(base: str, new: str, is_permitted: bool) -> None:
    assert is_breaking_version(base, new) == is_permitted


def test_main_fails_if_the_version_stays(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((ROOT / DOCUMENT).read_text())
    monkeypatch.setattr(contract_compatibility, "_read_revision", lambda _revision: document)
    assert contract_compatibility.main("main") == 0
    document["paths"]["/removed"] = {}
    assert contract_compatibility.main("main") == 1
    assert "/removed: the path was removed" in capsys.readouterr().out
    document["info"]["version"] = "0.0.9"
    assert contract_compatibility.main("main") == 0
