"""Comparison of two OpenAPI documents: changes that break a correct client (ADR 0133).

    python -m tools.contract_compatibility REF       compare the document with that of a git revision

A breaking change needs a new major version, or before 1.0.0 a new minor version (docs/support.md). oasdiff does the
same and more, but it is a Go program.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
DOCUMENT = "services/thale/facade/api/openapi.json"
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_EXTENSIBLE = "x-extensible-enum"
"""Values of a text that later versions may extend. A closed list may become an open one only if the new values are
responses to requests that were rejected before: a client that works never receives them."""
_EXACT = ("pattern", "multipleOf", "format")

Schema = Mapping[str, Any]
Direction = Literal["request", "response"]
"""A request may become wider and a response narrower: what was valid to send stays valid, and is answered as before."""


def breaking_changes(base: Schema, new: Schema) -> list[str]:
    """Return the changes from one document to a newer one that break a correct client, one sentence each."""
    return list(_Comparison(base, new).changes())


def is_breaking_version(base: str, new: str) -> bool:
    """Return True if the new version may contain breaking changes."""
    old_numbers, numbers = ([int(part) for part in version.split(".")[:2]] for version in (base, new))
    return numbers[0] > old_numbers[0] or (numbers[0] == old_numbers[0] == 0 and numbers[1] > old_numbers[1])


@dataclass(frozen=True)
class _Comparison:
    base: Schema
    new: Schema

    def changes(self) -> Iterator[str]:
        for path, item in self.base["paths"].items():
            if path not in self.new["paths"]:
                yield f"{path}: the path was removed"
                continue
            for method in _METHODS:
                if method in item:
                    where = f"{method.upper()} {path}"
                    if method not in self.new["paths"][path]:
                        yield f"{where}: the operation was removed"
                    else:
                        yield from self._operation(where, item[method], self.new["paths"][path][method])

    def _operation(self, where: str, base: Schema, new: Schema) -> Iterator[str]:
        if base.get("operationId") != new.get("operationId"):
            yield f"{where}: the operation id {base.get('operationId')} became {new.get('operationId')}"
        if new.get("security", [{}]) != base.get("security", [{}]):
            yield f"{where}: the required credential changed"
        yield from self._parameters(where, base.get("parameters", ()), new.get("parameters", ()))
        yield from self._body(where, base.get("requestBody"), new.get("requestBody"))
        yield from self._responses(where, base["responses"], new["responses"])

    def _parameters(self, where: str, base: Sequence[Schema], new: Sequence[Schema]) -> Iterator[str]:
        by_name = {(parameter["in"], parameter["name"]): parameter for parameter in base}
        new_by_name = {(parameter["in"], parameter["name"]): parameter for parameter in new}
        for key, parameter in by_name.items():
            label = f"{where}: the {key[0]} parameter {key[1]}"
            if key not in new_by_name:
                yield f"{label} was removed"
                continue
            yield from self._schemas(label, parameter["schema"], new_by_name[key]["schema"], "request")
        for key, parameter in new_by_name.items():
            if parameter.get("required") and not by_name.get(key, {}).get("required"):
                yield f"{where}: the {key[0]} parameter {key[1]} became required"

    def _body(self, where: str, base: Schema | None, new: Schema | None) -> Iterator[str]:
        if base is None:
            if new is not None and new.get("required"):
                yield f"{where}: a request body became required"
            return
        if new is None:
            yield f"{where}: the request body was removed"
            return
        if new.get("required") and not base.get("required"):
            yield f"{where}: the request body became required"
        for kind, media in base["content"].items():
            if kind not in new["content"]:
                yield f"{where}: the request body {kind} was removed"
            else:
                label = f"{where}: the request body {kind}"
                yield from self._schemas(label, media["schema"], new["content"][kind]["schema"], "request")

    def _responses(self, where: str, base: Schema, new: Schema) -> Iterator[str]:
        for status, response in base.items():
            label = f"{where}: the response {status}"
            if status not in new:
                if status.startswith("2"):
                    yield f"{label} was removed"
                continue
            for name in response.get("headers", {}):
                if name not in new[status].get("headers", {}):
                    yield f"{label} has no header {name} any more"
            for kind, media in response.get("content", {}).items():
                content = new[status].get("content", {})
                if kind not in content:
                    yield f"{label} as {kind} was removed"
                elif "schema" in media:
                    new_schema = content[kind].get("schema", {})
                    yield from self._schemas(f"{label} as {kind}", media["schema"], new_schema, "response")

    def _schemas(
        self,
        where: str,
        base: Schema,
        new: Schema,
        direction: Direction,
        seen: frozenset[tuple[str, str]] = frozenset(),
    ) -> Iterator[str]:
        pair = (str(base.get("$ref")), str(new.get("$ref")))
        if "$ref" in base and "$ref" in new:
            if pair in seen:
                return
            seen |= {pair}
        base, new = _resolve(self.base, base), _resolve(self.new, new)
        narrow, wide = (base, new) if direction == "request" else (new, base)
        narrow_document, wide_document = (self.base, self.new) if direction == "request" else (self.new, self.base)
        options = _options(narrow_document, narrow)
        wide_options = _options(wide_document, wide)
        if len(options) == len(wide_options) == 1:
            yield from self._values(where, base, new, direction)
            yield from self._objects(where, base, new, direction, seen)
            return
        for option in options:
            pairs = ((option, other) if direction == "request" else (other, option) for other in wide_options)
            if not any(not list(self._schemas(where, one, two, direction, seen)) for one, two in pairs):
                change = "is not accepted any more" if direction == "request" else "is new"
                yield f"{where}: the alternative {_describe(option)} {change}"

    def _values(self, where: str, base: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        narrow, wide = (base, new) if direction == "request" else (new, base)
        change = "is not accepted any more" if direction == "request" else "is new"
        for kind in sorted(_types(narrow) - _types(wide)):
            if not (kind == "integer" and "number" in _types(wide)) and _types(wide):
                yield f"{where}: the type {kind} {change}"
        if _types(wide) and not _types(narrow):
            yield f"{where}: any type {change}"
        if direction == "response" and set(base.get("enum", ())) <= set(new.get(_EXTENSIBLE, ())):
            return
        if "enum" in wide:
            for value in narrow.get("enum", ("any other value",)):
                if value not in wide["enum"]:
                    yield f"{where}: the value {value!r} {change}"
        if direction == "request":
            yield from _narrowed_bounds(where, base, new)

    def _objects(
        self, where: str, base: Schema, new: Schema, direction: Direction, seen: frozenset[tuple[str, str]]
    ) -> Iterator[str]:
        properties, new_properties = base.get("properties", {}), new.get("properties", {})
        for name, schema in properties.items():
            label = f"{where}: the field {name}"
            if name not in new_properties:
                yield f"{label} was removed"
            else:
                yield from self._schemas(label, schema, new_properties[name], direction, seen)
        required, new_required = set(base.get("required", ())), set(new.get("required", ()))
        if direction == "request":
            yield from (f"{where}: the field {name} became required" for name in sorted(new_required - required))
        else:
            missing = sorted((required - new_required) & new_properties.keys())
            yield from (f"{where}: the field {name} may be absent" for name in missing)
        for key in ("items", "additionalProperties"):
            if isinstance(base.get(key), Mapping) and isinstance(new.get(key), Mapping):
                yield from self._schemas(f"{where}: {key}", base[key], new[key], direction, seen)
        if direction == "request" and new.get("additionalProperties") is False != base.get("additionalProperties"):
            yield f"{where}: unknown fields are not accepted any more"


def _narrowed_bounds(where: str, base: Schema, new: Schema) -> Iterator[str]:
    for key in _LOWER_BOUNDS:
        if key in new and new[key] > base.get(key, float("-inf")):
            yield f"{where}: {key} became {new[key]}"
    for key in _UPPER_BOUNDS:
        if key in new and new[key] < base.get(key, float("inf")):
            yield f"{where}: {key} became {new[key]}"
    for key in _EXACT:
        if key in new and new[key] != base.get(key):
            yield f"{where}: {key} became {new[key]}"


def _resolve(document: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _options(document: Schema, schema: Schema) -> Sequence[Schema]:
    """Return the alternatives of a schema; each is the schema of one type."""
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if alternatives:
        return [option for each in alternatives for option in _options(document, _resolve(document, each))]
    types = schema.get("type")
    if isinstance(types, list):
        return [{**schema, "type": kind} for kind in types]
    return [schema]


def _types(schema: Schema) -> set[str]:
    types = schema.get("type", [])
    return {types} if isinstance(types, str) else {*types}


def _describe(schema: Schema) -> str:
    return str(schema.get("title") or schema.get("type") or schema.get("enum") or "any")


def _read_revision(revision: str) -> Schema | None:
    shown = subprocess.run(  # noqa: S603 (an argument list, without a shell)
        ["git", "show", f"{revision}:{DOCUMENT}"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    document: Schema | None = json.loads(shown.stdout) if shown.returncode == 0 else None
    return document


def main(revision: str) -> int:
    """Compare the document with that of a revision, print the breaking changes, and return the exit status."""
    base = _read_revision(revision)
    if base is None:
        print(f"contract: {revision} has no {DOCUMENT}")  # noqa: T201
        return 0
    new: Schema = json.loads((ROOT / DOCUMENT).read_text())
    found = breaking_changes(base, new)
    versions = base["info"]["version"], new["info"]["version"]
    for change in found:
        print(f"contract: {change}")  # noqa: T201
    if found and not is_breaking_version(*versions):
        print(  # noqa: T201
            f"contract: {len(found)} changes since {revision} break clients, and the version is still {versions[1]}: "
            "undo them, or raise the minor version (the major version from 1.0.0) in services/thale/_version.py"
        )
        return 1
    print(f"contract: {len(found)} breaking changes since {revision}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
