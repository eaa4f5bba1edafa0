"""Extracts the OpenAPI schemas of custom resources from CRDs, for the tests of the manifests.

    python -m tools.generate.crd_schemas                       # download the pinned versions; needs helm and curl
    python -m tools.generate.crd_schemas ADDON[@COMMIT]=CRDS.yaml …
    python -m tools.generate.crd_schemas dask-operator@VERSION=CRDS.yaml   # all CRDs of the operator, in one file

ADDON is an add-on of kubernetes/platform/addons.toml, and CRDS.yaml has its CRDs, of another commit if one is given.
Dask's operator is no add-on, because only the component `batch` needs it. Its schemas are in a file of their own.
The output has the served versions of the kinds that the repository uses, without descriptions.
"""

import gzip
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.addons.table import read_table
from deploy.commands import run

_OPTIONAL = "dask-operator"
OUTPUT_PATH = Path(__file__).parents[2] / "tests" / "kubernetes" / "schemas" / "crds.json.gz"
KINDS = (
    *("Gateway", "GatewayClass", "HTTPRoute"),
    *("BackendTrafficPolicy", "ClientTrafficPolicy", "EnvoyProxy", "SecurityPolicy"),
    *("InferenceService", "ServingRuntime"),
    *("ScaledObject", "TriggerAuthentication"),
    *("Certificate", "Issuer"),
    *("AlertmanagerConfig", "PodMonitor", "PrometheusRule", "ServiceMonitor"),
    *("DaskAutoscaler", "DaskCluster"),
)
"""Kinds of the overlays and of kubernetes/platform."""
OPTIONAL_OUTPUT_PATH = OUTPUT_PATH.with_name("dask.json.gz")
_HELM, _CURL = ("helm", "template", "crds"), ("curl", "--fail", "--silent", "--show-error", "--location")
_SOURCES: Mapping[str, Sequence[str]] = {
    "gateway-api": (*_CURL, "{source}"),
    "envoy-gateway-crds": (*_CURL, "{source}"),
    "kserve-crd": (*_HELM, "{source}", "--version", "{version}"),
    "keda": (*_CURL, "https://github.com/kedacore/keda/releases/download/v{version}/keda-{version}-crds.yaml"),
    "cert-manager": (
        *_CURL,
        "https://github.com/cert-manager/cert-manager/releases/download/{version}/cert-manager.crds.yaml",
    ),
    "kube-prometheus-stack": (
        *("helm", "show", "crds", "kube-prometheus-stack", "--version", "{version}", "--repo"),
        "https://prometheus-community.github.io/helm-charts",
    ),
}
"""Commands that print the CRDs of an add-on."""
_ANNOTATIONS = ("description", "title", "example", "externalDocs")

Schema = Mapping[str, Any]


class _Loader(yaml.CSafeLoader):
    """Loader that reads the plain scalar `=` as text; PyYAML has no constructor for it (YAML 1.1 tag `value`)."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def extract_schemas(definitions: Sequence[Schema]) -> dict[str, Schema]:
    """Return the schemas of the served versions, by `GROUP/VERSION/KIND`."""
    found: dict[str, Schema] = {}
    for definition in definitions:
        spec = definition["spec"]
        kind = spec["names"]["kind"]
        if definition["kind"] != "CustomResourceDefinition" or kind not in KINDS:
            continue
        for version in spec["versions"]:
            if version["served"]:
                found[f"{spec['group']}/{version['name']}/{kind}"] = _compact(version["schema"]["openAPIV3Schema"])
    return found


def write_schemas(sources: Mapping[str, Path], output: Path = OUTPUT_PATH) -> None:
    """Write the schemas of these CRDs with the pinned versions of their add-ons, or with another origin.

    Raises:
        KeyError: If a source is not an add-on.
    """
    versions = {addon.name: addon.version for addon in read_table().addons} | {_OPTIONAL: "unknown"}
    origins = {name: origin or versions[name] for name, _, origin in (source.partition("@") for source in sources)}
    content = {
        "versions": origins,
        "schemas": {key: schema for path in sources.values() for key, schema in _read(path).items()},
    }
    output.write_bytes(gzip.compress(json.dumps(content, sort_keys=True, separators=(",", ":")).encode(), mtime=0))


def download(folder: Path) -> dict[str, Path]:
    """Download the CRDs of the pinned versions. Returns the files by add-on.

    Raises:
        CommandError: If a download fails.
    """
    addons = {addon.name: addon for addon in read_table().addons}
    files = {name: folder / f"{name}.yaml" for name in _SOURCES}
    for name, path in files.items():
        addon = addons[name]
        path.write_text(
            run([part.format(source=addon.source, version=addon.version) for part in _SOURCES[name]]).stdout
        )
    return files


def _read(path: Path) -> dict[str, Schema]:
    with path.open() as file:
        return extract_schemas([each for each in yaml.load_all(file, _Loader) if each])


def _compact(schema: Any) -> Any:
    """Return a schema without descriptions; `properties` may have a field of the same name."""
    if isinstance(schema, list):
        return [_compact(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {field: _compact(each) for field, each in value.items()} if name == "properties" else _compact(value)
        for name, value in schema.items()
        if name not in _ANNOTATIONS or name == "properties"
    }


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        given = {name: Path(file) for name, _, file in (argument.partition("=") for argument in arguments)}
        write_schemas(given, OPTIONAL_OUTPUT_PATH if next(iter(given)).startswith(_OPTIONAL) else OUTPUT_PATH)
    else:
        with tempfile.TemporaryDirectory() as temp_dir:
            write_schemas(download(Path(temp_dir)))
