"""Pods keep to the rules that Pod Security's `restricted` level makes, and to ours."""

import re
from typing import Any

import pytest

from tests.support.manifests import OVERLAYS, Manifest, containers, of_kind, overlay, selects

PINNED = re.compile(r"[^@]+@sha256:[0-9a-f]{64}|[^@:]+(:\d+/[^@:]+)?:v?\d[\w.+-]*")
"""A digest, or the exact tag of a version."""
SECRET = re.compile(r"secret|token|password|passwd|credential|connection_string|access_?key", re.IGNORECASE)
HOST = ("hostNetwork", "hostPID", "hostIPC")
VOLUMES = {"emptyDir", "configMap", "csi", "projected", "downwardAPI"}


def rule_violations(pod: Manifest, container: Manifest) -> list[str]:
    """Return the rules that a container and its pod break."""
    security_context: dict[str, Any] = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    resources, ports = container.get("resources", {}), container.get("ports", ())
    volumes = {kind for volume in pod.get("volumes", ()) for kind in volume.keys() - {"name"}}
    rules = {
        "the image is pinned": PINNED.fullmatch(container.get("image", "")),
        "it asks for processor and memory": {"cpu", "memory"} <= resources.get("requests", {}).keys(),
        "it is held to processor and memory": {"cpu", "memory"} <= resources.get("limits", {}).keys(),
        "it is asked whether it lives": "livenessProbe" in container,
        "it is asked whether it is ready": "readinessProbe" in container,
        "it is given time to start": "startupProbe" in container,
        "it is no root": security_context.get("runAsNonRoot") is True and security_context.get("runAsUser", 0) >= 10000,
        "its root file system is read-only": security_context.get("readOnlyRootFilesystem") is True,
        "it gains no privileges": security_context.get("allowPrivilegeEscalation") is False
        and not security_context.get("privileged"),
        "it has no capabilities": security_context.get("capabilities") == {"drop": ["ALL"]},
        "its system calls are filtered": security_context.get("seccompProfile") == {"type": "RuntimeDefault"},
        "it stays off the node": not any(pod.get(field) for field in HOST) and volumes <= VOLUMES,
        "it takes no port of the node": not any("hostPort" in port for port in ports),
        "no secret stands in its environment": not _secrets(container),
    }
    return [rule for rule, holds in rules.items() if not holds]


def _secrets(container: Manifest) -> list[str]:
    return [
        entry["name"]
        for entry in container.get("env", ())
        if SECRET.search(entry["name"]) or "secretKeyRef" in entry.get("valueFrom", {})
    ] + [str(source) for source in container.get("envFrom", ()) if "secretRef" in source]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_container_keeps_the_rules(name: str) -> None:
    broken = {
        who: found for who, pod, container in containers(overlay(name)) if (found := rule_violations(pod, container))
    }
    assert not broken
    assert len(list(containers(overlay(name)))) == 4


def test_the_rules_find_what_breaks_them() -> None:
    careless: Manifest = {
        "image": "thale:latest",
        "securityContext": {"privileged": True, "runAsUser": 0},
        "ports": [{"containerPort": 80, "hostPort": 80}],
        "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "x", "key": "x"}}}],
    }
    assert len(rule_violations({"hostNetwork": True}, careless)) == 14
    for image in ("thale", "host:5000/thale", "thale:latest", "thale:main", "thale:unset", "thale@sha256:12"):
        assert "the image is pinned" in rule_violations({}, {"image": image}), image
    for image in ("thale:1.2.0", "host:5000/thale:v1.2.0-rc.1", f"host/thale@sha256:{'0' * 64}"):
        assert "the image is pinned" not in rule_violations({}, {"image": image}), image
    assert "it stays off the node" in rule_violations({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, {})


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_refuses_what_is_not_restricted(name: str) -> None:
    labels = of_kind(overlay(name), "Namespace")["thale"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_spread_and_go_one_by_one(name: str) -> None:
    manifests = overlay(name)
    pods = {
        who: (deployment["spec"]["template"]["spec"], deployment["spec"]["template"]["metadata"]["labels"])
        for who, deployment in of_kind(manifests, "Deployment").items()
    } | {
        who: (service["spec"]["predictor"], {"serving.kserve.io/inferenceservice": who})
        for who, service in of_kind(manifests, "InferenceService").items()
    }
    assert len(pods) == 4
    for who, (pod, labels) in pods.items():
        spread = pod["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(selects(each["labelSelector"], labels) for each in spread)
        budget = of_kind(manifests, "PodDisruptionBudget")[who]["spec"]
        assert selects(budget["selector"], labels)
        assert budget["maxUnavailable"] == 1, "minAvailable would keep a node with a single pod from being drained"


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_who_asks_the_kubernetes_api_gets_a_token(name: str) -> None:
    with_token = {
        who for who, pod, _ in containers(overlay(name)) if pod.get("automountServiceAccountToken") is not False
    }
    assert with_token == {"Deployment facade/facade", "Deployment release-watcher/release-watcher"}
    for account in of_kind(overlay(name), "ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False


def test_two_watchers_stand_by_and_facades_are_scaled() -> None:
    for name in OVERLAYS:
        deployments = of_kind(overlay(name), "Deployment")
        assert deployments["release-watcher"]["spec"]["replicas"] == 2
        assert "replicas" not in deployments["facade"]["spec"], "they are the ScaledObject's"
        scaling = of_kind(overlay(name), "ScaledObject")["facade"]["spec"]
        assert scaling["minReplicaCount"] < scaling["maxReplicaCount"]
