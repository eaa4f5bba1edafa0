"""Strict schema check of manifests without a cluster, as an API server validates them.

Custom resources are checked against tests/kubernetes/schemas (OpenAPI schemas of the pinned add-ons), and built-in
kinds against the schemas of `kubernetes-validate`. Unknown fields are faults. CEL rules are not run.
"""

import functools
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

from deploy.addons.table import read_table

SCHEMAS_PATH = Path(__file__).parents[1] / "kubernetes" / "schemas" / "crds.json.gz"
OPTIONAL_SCHEMAS_PATH = SCHEMAS_PATH.with_name("dask.json.gz")
KUBERNETES_VERSIONS = (read_table().kubernetes, "1.36")
"""The minimum of kubernetes/platform/addons.toml, and the newest version that a deploy was tried on."""
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_AZURE_MONITORS = "azmonitoring.coreos.com/v1/"
"""Azure's group of monitors, whose kinds are those of the Prometheus operator."""
_OPAQUE = {"type": "object"}

Schema = dict[str, Any]


@functools.cache
def load_schemas() -> Mapping[str, Any]:
    """Return the file of schemas: `versions` by add-on, and `schemas` by `GROUP/VERSION/KIND`."""
    content: Mapping[str, Any] = json.loads(gzip.decompress(SCHEMAS_PATH.read_bytes()))
    return content


@functools.cache
def load_optional_schemas() -> Mapping[str, Any]:
    """Return the file of the schemas of Dask's operator, which only the component `batch` needs."""
    content: Mapping[str, Any] = json.loads(gzip.decompress(OPTIONAL_SCHEMAS_PATH.read_bytes()))
    return content


def schema_faults(manifest: Mapping[str, Any]) -> list[str]:
    """Return the faults of a manifest, each with its path."""
    key = f"{manifest['apiVersion']}/{manifest['kind']}".replace(_AZURE_MONITORS, "monitoring.coreos.com/v1/")
    if key in _all_schemas():
        return custom_resource_faults(manifest, _validator(key))
    text = json.dumps(manifest, sort_keys=True)
    return [fault for version in KUBERNETES_VERSIONS for fault in _builtin_faults(text, version)]


def custom_resource_faults(manifest: Mapping[str, Any], validator: jsonschema.Draft202012Validator) -> list[str]:
    """Return the faults of a custom resource."""
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(manifest)]


def compile_schema(schema: Schema) -> jsonschema.Draft202012Validator:
    """Return the strict validator of a CRD's OpenAPI schema."""
    strict = _strict(schema)
    strict["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": _OPAQUE}
    return jsonschema.Draft202012Validator(strict)


@functools.cache
def _validator(key: str) -> jsonschema.Draft202012Validator:
    return compile_schema(_all_schemas()[key])


def _all_schemas() -> Mapping[str, Any]:
    return {**load_schemas()["schemas"], **load_optional_schemas()["schemas"]}


@functools.cache
def _builtin_faults(manifest_json: str, version: str) -> tuple[str, ...]:
    """Return the faults of a manifest in JSON. Most objects are equal in several overlays."""
    manifest = json.loads(manifest_json)
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(map(str, error.path)) or "(root)"
        return (f"Kubernetes {version}: {path}: {error.message[:300]}",)
    except kubernetes_validate.SchemaNotFoundError:
        return (f"Kubernetes {version} has no {manifest['apiVersion']} {manifest['kind']}",)
    return ()


def _strict(schema: Schema) -> Schema:
    """Return an OpenAPI schema as a JSON schema that rejects unknown fields and numbers outside their format."""
    if schema.get("x-kubernetes-embedded-resource"):
        return _OPAQUE
    strict = {name: value for name, value in schema.items() if not name.startswith("x-kubernetes-")}
    is_nullable = strict.pop("nullable", False)
    if schema.get("x-kubernetes-int-or-string"):
        return strict | {"type": ["integer", "string"]}
    if "properties" in strict:
        strict["properties"] = {name: _strict(each) for name, each in strict["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    for name in ("items", "additionalProperties"):
        if isinstance(strict.get(name), dict):
            strict[name] = _strict(strict[name])
    strict |= _bounds(strict)
    if is_nullable and "type" in strict:
        strict["type"] = [strict["type"], "null"]
    return strict


def _bounds(schema: Schema) -> Schema:
    """Return the bounds of a number. An API server rejects every value if a bound is outside the number's format."""
    if schema.get("format") not in _RANGES:
        return {}
    minimum, maximum = _RANGES[schema["format"]]
    bounds = schema.get("minimum", minimum), schema.get("maximum", maximum)
    if min(bounds) < minimum or max(bounds) > maximum:
        return {"not": {}, "$comment": f"{schema['format']} with the bounds {bounds}"}
    return {"minimum": bounds[0], "maximum": bounds[1]}
