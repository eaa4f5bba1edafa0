"""Prerequisites of the add-on installer: tools, the cluster, managed objects, the Gateway API."""

from typing import Any

import pytest

from tests.support.addon_installer import MANAGED_OBJECTS, InstallerEnvironment, installed_charts


@pytest.mark.slow
def test_missing_tools_are_reported_with_sources(env: InstallerEnvironment) -> None:
    for name in ("kubectl", "helm"):
        (env.folder / "bin" / name).unlink()
    for action, status in (("apply", 1), ("status", 1), ("plan", 0)):
        result = env.run(action, "--environment", "dev")
        assert result.returncode == status
        output = result.stdout + result.stderr
        assert "kubectl is not on the PATH: get 1.32 or newer from https://kubernetes.io" in output
        assert "helm is not on the PATH: get 3.16 or newer from https://helm.sh" in output


def test_apply_reports_outdated_tools_and_cluster(env: InstallerEnvironment) -> None:
    env.set_version("helm", "v3.9.4+gdbc6d8e")
    env.set_version("kubectl", "v1.28.0")
    result = env.run("apply", "--environment", "dev")
    assert "helm is v3.9.4: get 3.16 or newer" in result.stderr
    assert "kubectl is v1.28.0: get 1.32 or newer" in result.stderr
    for program, version in (("helm", "v4.0.1"), ("kubectl", "v1.35.1"), ("server", "v1.31.9-aks")):
        env.set_version(program, version)
    assert "Kubernetes v1.31.9-aks: the minimum is 1.33" in env.run("apply", "--environment", "dev").stderr


def test_apply_installs_nothing_without_cluster(env: InstallerEnvironment) -> None:
    env.set_version("server", "")
    result = env.run("apply", "--environment", "dev")
    assert result.returncode == 1
    assert "no cluster responds" in result.stderr
    assert installed_charts(env) == []


def test_apply_rejects_cluster_of_other_environment(env: InstallerEnvironment) -> None:
    env.add_object("namespace/thale", metadata={"labels": {"thale/environment": "prod"}})
    result = env.run("apply", "--environment", "laptop")
    assert result.returncode == 1
    assert "the cluster belongs to prod (namespace thale), not laptop: pass another --context" in result.stderr
    assert installed_charts(env) == []
    env.apply("prod")


@pytest.mark.slow
def test_apply_reports_missing_managed_objects(env: InstallerEnvironment) -> None:
    for name in MANAGED_OBJECTS:
        (env.folder / "objects" / name).unlink()
    result = env.run("apply", "--environment", "staging")
    assert result.returncode == 1
    for name in MANAGED_OBJECTS:
        assert f"{name} is missing: " in result.stderr
    assert "terraform: workload_autoscaler_profile" in result.stderr
    env.apply("laptop")


GATEWAY_CRD = "crd/gateways.gateway.networking.k8s.io"


def add_gateway_api(env: InstallerEnvironment, version: str, channel: str = "standard", **metadata: Any) -> None:
    """Add the Gateway API of another installation."""
    prefix = "gateway.networking.k8s.io"
    annotations = {f"{prefix}/bundle-version": f"v{version}", f"{prefix}/channel": channel}
    annotations |= metadata.pop("annotations", {})
    env.add_object(GATEWAY_CRD, metadata={"annotations": annotations, **metadata})


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.4.1", "1.6.1"])
def test_older_gateway_api_is_taken_over(env: InstallerEnvironment, version: str) -> None:
    add_gateway_api(env, version)
    env.apply("laptop")
    forced = [call.arguments[-1] for call in env.calls("kubectl", "apply") if "--force-conflicts" in call.arguments]
    assert len(forced) == 1
    assert forced[0].endswith("/gateway-api/releases/download/v1.6.1/standard-install.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "channel", "metadata", "remedy"),
    [
        ("1.7.0", "standard", {}, "newer than 1.6.1: set `version` in addons.toml. If no other application uses it: "),
        ("1.6.1", "experimental", {}, "kubectl delete --filename https://github.com/kubernetes-sigs/gateway-api/"),
        (
            "1.4.1",
            "standard",
            {"annotations": {"meta.helm.sh/release-name": "traefik", "meta.helm.sh/release-namespace": "edge"}},
            "which the Helm release edge/traefik would restore: remove the CRDs from that release",
        ),
        (
            "1.4.1",
            "standard",
            {"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}},
            "which the cloud provider manages: disable its Gateway API add-on",
        ),
    ],
    ids=["newer", "experimental", "helm", "managed"],
)
def test_other_gateway_api_is_reported_with_remedy(
    env: InstallerEnvironment, version: str, channel: str, metadata: dict[str, Any], remedy: str
) -> None:
    add_gateway_api(env, version, channel, **metadata)
    result = env.run("apply", "--environment", "laptop")
    assert result.returncode == 1
    assert f"the cluster has version {version} of gateway-api ({channel} channel)" in result.stderr
    assert remedy in result.stderr
    assert not env.calls("kubectl", "apply")
