"""Pods follow the `restricted` Pod Security Standard and the rules of this repository."""

import re
from typing import Any

import pytest

from tests.support.manifests import OVERLAYS, Manifest, containers, of_kind, overlay, selects
from thale.facade.settings import FacadeSettings
from thale.kserve import checkpoint
from thale.release.controller import cluster

PINNED = re.compile(r"[^@]+@sha256:[0-9a-f]{64}|[^@:]+(:\d+/[^@:]+)?:v?\d[\w.+-]*")
"""Pattern of an image reference with a digest or an exact version tag."""
SECRET = re.compile(r"secret|token|password|passwd|credential|connection_string|access_?key", re.IGNORECASE)
HOST = ("hostNetwork", "hostPID", "hostIPC")
VOLUMES = {"emptyDir", "configMap", "secret", "persistentVolumeClaim", "projected", "downwardAPI"}


def rule_violations(pod: Manifest, container: Manifest) -> list[str]:
    """Return the rules that a container and its pod violate."""
    security_context: dict[str, Any] = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    resources, ports = container.get("resources", {}), container.get("ports", ())
    volumes = {kind for volume in pod.get("volumes", ()) for kind in volume.keys() - {"name"}}
    rules = {
        "pins the image": PINNED.fullmatch(container.get("image", "")),
        "requests CPU and memory": {"cpu", "memory"} <= resources.get("requests", {}).keys(),
        "limits CPU and memory": {"cpu", "memory"} <= resources.get("limits", {}).keys(),
        "has a liveness probe": "livenessProbe" in container,
        "has a readiness probe": "readinessProbe" in container,
        "has a startup probe": "startupProbe" in container,
        "runs as non-root": security_context.get("runAsNonRoot") is True
        and security_context.get("runAsUser", 0) >= 10000,
        "has a read-only root file system": security_context.get("readOnlyRootFilesystem") is True,
        "gains no privileges": security_context.get("allowPrivilegeEscalation") is False
        and not security_context.get("privileged"),
        "has no capabilities": security_context.get("capabilities") == {"drop": ["ALL"]},
        "filters system calls": security_context.get("seccompProfile") == {"type": "RuntimeDefault"},
        "uses no host resources": not any(pod.get(field) for field in HOST) and volumes <= VOLUMES,
        "uses no host port": not any("hostPort" in port for port in ports),
        "has no secret in its environment": not _secrets(container),
    }
    return [rule for rule, is_met in rules.items() if not is_met]


def _secrets(container: Manifest) -> list[str]:
    return [
        entry["name"]
        for entry in container.get("env", ())
        if (SECRET.search(entry["name"]) and not _is_path(entry)) or "secretKeyRef" in entry.get("valueFrom", {})
    ] + [str(source) for source in container.get("envFrom", ()) if "secretRef" in source]


def _is_path(entry: Manifest) -> bool:
    """Return whether an environment variable is the path of a file with the secret."""
    return str(entry["name"]).endswith("_PATH") and str(entry.get("value", "")).startswith("/etc/")


@pytest.mark.parametrize("name", OVERLAYS)
def test_facade_mounts_the_controllers_checkpoint(name: str) -> None:
    pod = of_kind(overlay(name), "Deployment")["facade"]["spec"]["template"]["spec"]
    [config_map] = [volume["configMap"] for volume in pod["volumes"] if volume["name"] == "release-watch"]
    assert (config_map["name"], config_map["items"][0]["key"]) == (cluster.WATCH_OBJECT_NAME, checkpoint.KEY)
    assert config_map["optional"]  # the facade starts before the first controller
    [container] = pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    [mount] = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "release-watch"]
    assert environment["THALE_CONTROLLER_CHECKPOINT_PATH"] == f"{mount}/{config_map['items'][0]['path']}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_facade_is_killed_after_its_drain(name: str) -> None:
    pod = of_kind(overlay(name), "Deployment")["facade"]["spec"]["template"]["spec"]
    pre_stop_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = FacadeSettings.model_fields["drain_timeout_s"].default
    assert pod["terminationGracePeriodSeconds"] >= pre_stop_s + drain_s + 10


@pytest.mark.parametrize("name", OVERLAYS)
def test_containers_follow_the_rules(name: str) -> None:
    violations = {
        label: found
        for label, pod, container in containers(overlay(name))
        if (found := rule_violations(pod, container))
    }
    assert not violations
    assert len(list(containers(overlay(name)))) == 5


def test_rule_violations_finds_each_violation() -> None:
    insecure: Manifest = {
        "image": "thale:latest",
        "securityContext": {"privileged": True, "runAsUser": 0},
        "ports": [{"containerPort": 80, "hostPort": 80}],
        "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "x", "key": "x"}}}],
    }
    assert len(rule_violations({"hostNetwork": True}, insecure)) == 14
    for image in ("thale", "host:5000/thale", "thale:latest", "thale:main", "thale:unset", "thale@sha256:12"):
        assert "pins the image" in rule_violations({}, {"image": image}), image
    for image in ("thale:1.2.0", "host:5000/thale:v1.2.0-rc.1", f"host/thale@sha256:{'0' * 64}"):
        assert "pins the image" not in rule_violations({}, {"image": image}), image
    assert "uses no host resources" in rule_violations({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, {})


@pytest.mark.parametrize("name", OVERLAYS)
def test_namespace_enforces_restricted_pods(name: str) -> None:
    labels = of_kind(overlay(name), "Namespace")["thale"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_spread_and_disrupted_one_at_a_time(name: str) -> None:
    manifests = overlay(name)
    pods = {
        owner: (deployment["spec"]["template"]["spec"], deployment["spec"]["template"]["metadata"]["labels"])
        for owner, deployment in of_kind(manifests, "Deployment").items()
        if owner != "limit-store"  # one replica, without which each facade limits callers on its own
    } | {
        owner: (service["spec"]["predictor"], {"serving.kserve.io/inferenceservice": owner})
        for owner, service in of_kind(manifests, "InferenceService").items()
    }
    assert len(pods) == 4
    for owner, (pod, labels) in pods.items():
        spread = pod["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(selects(each["labelSelector"], labels) for each in spread)
        budget = of_kind(manifests, "PodDisruptionBudget")[owner]["spec"]
        assert selects(budget["selector"], labels)
        assert budget["maxUnavailable"] == 1, "minAvailable would block the drain of a node with the only pod"


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_kubernetes_api_clients_get_a_token(name: str) -> None:
    with_token = {
        label for label, pod, _ in containers(overlay(name)) if pod.get("automountServiceAccountToken") is not False
    }
    assert with_token == {"Deployment facade/facade", "Deployment release-watcher/release-watcher"}
    for account in of_kind(overlay(name), "ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False


def test_controller_has_two_replicas_and_facade_scales() -> None:
    for name in OVERLAYS:
        deployments = of_kind(overlay(name), "Deployment")
        assert deployments["release-watcher"]["spec"]["replicas"] == 2
        assert "replicas" not in deployments["facade"]["spec"], "the ScaledObject sets the replicas"
        scaling = of_kind(overlay(name), "ScaledObject")["facade"]["spec"]
        assert scaling["minReplicaCount"] < scaling["maxReplicaCount"]
