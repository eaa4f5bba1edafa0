"""Manifests match the schemas of exactly the pinned versions, checked as strictly as an API server does."""

import copy
from typing import Any

import kserve.models
import pytest
import yaml

from deploy.addons.table import read_table
from tests.support.manifests import OVERLAYS, Manifest, build, of_kind, overlay
from tests.support.strict_schemas import (
    SCHEMAS_PATH,
    compile_schema,
    custom_resource_faults,
    load_schemas,
    schema_faults,
)

KSERVE_COMMIT = "aaac4e294dae"
"""The chart of 0.21.0 was not reachable when the schemas were extracted."""
LOCAL_ADDONS = [addon for addon in read_table().addons if addon.folder]


def changed(kind: str, name: str, path: str, value: object) -> Manifest:
    """Return an object of the laptop overlay with one changed field."""
    manifest = copy.deepcopy(of_kind(overlay("laptop"), kind)[name])
    *parents, field = path.split(".")
    node: Any = manifest["spec"]
    for parent in parents:
        node = node[int(parent) if parent.isdigit() else parent]
    node[field] = value
    return manifest


@pytest.mark.slow
@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_matches_the_schemas(name: str) -> None:
    faults = {(each["kind"], each["metadata"]["name"]): schema_faults(each) for each in overlay(name)}
    assert not {key: found for key, found in faults.items() if found}


@pytest.mark.slow
@pytest.mark.parametrize("addon", LOCAL_ADDONS, ids=lambda addon: addon.name)
def test_local_addon_matches_the_schemas(addon: Any) -> None:
    assert not [fault for manifest in build(addon.folder) for fault in schema_faults(manifest)]


def test_schemas_are_of_the_pinned_versions() -> None:
    pinned = {addon.name: addon.version for addon in read_table().addons}
    expected = {name: pinned[name] for name in load_schemas()["versions"]} | {"kserve-crd": KSERVE_COMMIT}
    assert load_schemas()["versions"] == expected, "run make crd-schemas"
    assert pinned["kserve-crd"] == "v0.21.0", "the chart's schemas may be reachable now: run make crd-schemas"
    readme = SCHEMAS_PATH.with_name("README.md").read_text()
    for name, version in expected.items():
        assert any(f"`{name}`" in line and version in line for line in readme.splitlines()), name


@pytest.mark.parametrize("name", OVERLAYS)
def test_predictor_fields_exist_in_kserve_0_21(name: str) -> None:
    for service in of_kind(overlay(name), "InferenceService").values():
        predictor = service["spec"]["predictor"]
        assert predictor.keys() <= {*kserve.models.V1beta1PredictorSpec.attribute_map.values()}
        assert predictor["model"].keys() <= {*kserve.models.V1beta1ModelSpec.attribute_map.values()}


TRAFFIC_POLICIES = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: facade, namespace: thale}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: facade}]
  rateLimit: {type: Local, local: {rules: [{limit: {requests: 50, unit: Second}}]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: thale, namespace: thale}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: thale}]
  timeout: {http: {requestHeadersReceivedTimeout: 10s}, tcp: {tlsHandshakeTimeout: 10s}}
"""
"""Policies that an API server with the CRDs of Envoy Gateway 1.8.1 rejects, and accepts with those of 1.9.0."""


def test_traffic_policies_are_accepted_by_envoy_gateway_1_9() -> None:
    for manifest in yaml.safe_load_all(TRAFFIC_POLICIES):
        assert schema_faults(manifest) == []


def test_bound_outside_its_format_is_a_fault() -> None:
    """Envoy Gateway 1.8.1 declares `requests` as int32 with a maximum of 2^32 - 1, so every value is rejected."""
    faulty = {"requests": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 2**32 - 1}}
    schema = compile_schema({"type": "object", "properties": {"spec": {"type": "object", "properties": faulty}}})
    assert custom_resource_faults({"spec": {}}, schema) == []
    assert len(custom_resource_faults({"spec": {"requests": 50}}, schema)) == 1


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("ClientTrafficPolicy", "thale", "timeout.tcp.handshakeTimeout", "10s"),
        ("ClientTrafficPolicy", "thale", "tls.minVersion", "1.4"),
        ("ClientTrafficPolicy", "thale", "http2.maxConcurrentStreams", 2**31),
        ("BackendTrafficPolicy", "facade", "loadBalancer.type", "Fewest"),
        ("HTTPRoute", "facade", "rules.0.backendRefs.0.port", 70000),
        ("InferenceService", "plate-seg", "predictor.model.storageURI", "pvc://store"),
        ("InferenceService", "plate-seg", "predictor.minReplicas", 2**31),
        ("ScaledObject", "facade", "maxReplicaCount", "six"),
        ("Certificate", "gateway", "secretname", "gateway-tls"),
        ("NetworkPolicy", "names", "policyType", ["Egress"]),
        ("Deployment", "facade", "template.spec.containers.0.imagePullpolicy", "Always"),
    ],
)
def test_careless_edit_is_a_fault(kind: str, name: str, path: str, value: object) -> None:
    assert schema_faults(changed(kind, name, path, value))


def test_every_custom_kind_has_a_schema() -> None:
    kinds = {f"{each['apiVersion']}/{each['kind']}" for name in OVERLAYS for each in overlay(name)}
    custom = {kind for kind in kinds if "." in kind.split("/")[0] and not kind.split("/")[0].endswith(".k8s.io")}
    known = load_schemas()["schemas"].keys()
    assert {kind.replace("azmonitoring.", "monitoring.") for kind in custom} <= known
    assert SCHEMAS_PATH.stat().st_size < 300_000
