"""Pods follow the `restricted` Pod Security Standard and the rules of this repository."""

import pytest

from tests.support.manifests import OVERLAYS, Manifest, containers, of_kind, overlay, selects
from tests.support.pod_rules import rule_violations
from thale.facade.settings import FacadeSettings
from thale.kserve import checkpoint
from thale.release.controller import cluster


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
