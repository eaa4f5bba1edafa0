"""The add-on installer, with fake kubectl and helm that record their calls."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.manifests import KUBERNETES
from thale.kserve.inference_service import ANNOTATION_KEYS

REPOSITORY = KUBERNETES.parent
PLATFORM = KUBERNETES / "platform"
FAKE_TOOLS = Path(__file__).with_name("fake_tools.sh")
MANAGED_OBJECTS = (
    "crd/scaledobjects.keda.sh",
    "crd/podmonitors.azmonitoring.coreos.com",
    "apiservice/v1beta1.metrics.k8s.io",
)
TIMEOUT_S = 240
KSERVE_CONFIG = {"data": {"deploy": "{}", "inferenceService": '{"resource": {"cpuLimit": "1"}}'}}
"""The ConfigMap of KServe's chart. The fake keeps only the patched fields of an object."""


@dataclass(frozen=True)
class Call:
    """One recorded call of kubectl or helm."""

    program: str
    stdin: str
    arguments: tuple[str, ...]

    def option(self, name: str) -> str:
        return self.arguments[self.arguments.index(name) + 1]


@dataclass
class InstallerEnvironment:
    """A fake cluster (fake_tools.sh)."""

    folder: Path

    def set_version(self, program: str, version: str) -> None:
        (self.folder / "versions" / program).write_text(f"{version}\n")

    def add_release(self, name: str, **info: str) -> None:
        (self.folder / "releases" / name).write_text(json.dumps(info) + "\n")

    def add_object(self, name: str, **body: object) -> None:
        path = self.folder / "objects" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(body))

    def fail_on(self, *arguments: str) -> None:
        (self.folder / "fails").write_text("".join(f"{argument}\n" for argument in arguments))

    def calls(self, program: str, *prefix: str) -> list[Call]:
        """Return the calls of a program whose arguments start with a prefix."""
        path = self.folder / "calls"
        records = path.read_text().split("\36")[:-1] if path.exists() else []
        calls = [Call(*call.split("\37")[:2], tuple(call.split("\37")[2:-1])) for call in records]
        return [call for call in calls if call.program == program and call.arguments[: len(prefix)] == prefix]

    def clear_calls(self) -> None:
        (self.folder / "calls").unlink(missing_ok=True)

    def run(self, *arguments: str, root: Path = REPOSITORY) -> "subprocess.CompletedProcess[str]":
        """Run the installer of a checkout with the standard library only (`-S`: no site-packages)."""
        environment = {**os.environ, "PATH": str(self.folder / "bin"), "FAKE_TOOLS_DIR": str(self.folder)}
        command = [sys.executable, "-S", "-m", "deploy.addons.install", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)

    def apply(self, environment: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        result = self.run("apply", "--environment", environment, *arguments)
        assert result.returncode == 0, result.stderr
        return result


@pytest.fixture
def env(tmp_path: Path) -> InstallerEnvironment:
    for folder in ("bin", "versions", "objects", "releases"):
        (tmp_path / folder).mkdir()
    for name in ("kubectl", "helm"):
        (tmp_path / "bin" / name).symlink_to(FAKE_TOOLS)
    for name in ("fails", "applied", "empty"):
        (tmp_path / name).touch()
    (tmp_path / "objects" / "configmap").mkdir()
    (tmp_path / "kserve-config").write_text(json.dumps(KSERVE_CONFIG))
    environment = InstallerEnvironment(tmp_path)
    for program, version in (("kubectl", "v1.35.1"), ("helm", "v3.19.0"), ("server", "v1.35.2")):
        environment.set_version(program, version)
    for name in MANAGED_OBJECTS:
        environment.add_object(name)
    return environment


def installed_charts(env: InstallerEnvironment) -> list[str]:
    return [call.arguments[2] for call in env.calls("helm", "upgrade")]


def test_apply_installs_in_order_at_exact_versions(env: InstallerEnvironment) -> None:
    result = env.apply("dev", "--context", "aks-dev")
    assert installed_charts(env) == [
        *("cert-manager", "envoy-gateway", "kserve-crd", "kserve"),
        *("otel-collector", "nvidia-device-plugin", "dcgm-exporter"),
    ]
    for call in env.calls("helm", "upgrade"):
        assert call.arguments[1] == "--install"
        assert call.option("--version") in result.stdout
        assert "--create-namespace" in call.arguments
        assert ("--wait" in call.arguments) == (call.arguments[2] != "kserve"), "its ConfigMap is patched first"
        assert call.option("--kube-context") == "aks-dev"
    assert all(
        call.arguments[:2] == ("--context", "aks-dev") or "--client" in call.arguments for call in env.calls("kubectl")
    )
    applied = env.calls("kubectl", "--context", "aks-dev", "apply")
    assert all(call.option("--field-manager") == "thale-platform" for call in applied)
    assert all("--server-side" in call.arguments for call in applied)
    assert not any("--force-conflicts" in call.arguments for call in applied)
    assert applied[0].arguments[-1].endswith("/gateway-api/releases/download/v1.6.1/standard-install.yaml")


def test_apply_skips_current_addons(env: InstallerEnvironment) -> None:
    env.apply("laptop")
    env.clear_calls()
    result = env.apply("laptop")
    assert installed_charts(env) == []
    assert env.calls("kubectl", "apply") == []
    assert "done" not in result.stdout
    assert env.run("status", "--environment", "laptop").returncode == 0


def test_apply_resumes_after_interruption(env: InstallerEnvironment) -> None:
    env.fail_on("keda")
    result = env.run("apply", "--environment", "laptop")
    assert result.returncode == 1
    assert "connection refused" in result.stderr
    before = installed_charts(env)
    env.fail_on()
    env.clear_calls()
    env.apply("laptop")
    assert installed_charts(env)[0] == "keda"
    assert not {*installed_charts(env)} & {*before} - {"keda"}


@pytest.mark.parametrize(("status", "cleanup"), [("pending-install", "uninstall"), ("pending-upgrade", "rollback")])
def test_apply_clears_pending_release(env: InstallerEnvironment, status: str, cleanup: str) -> None:
    env.apply("laptop")
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    env.add_release("kserve", status=status, description="Preparing upgrade", last_deployed=long_ago)
    env.clear_calls()
    assert f"clear an interrupted installation ({status})" in env.apply("laptop").stdout
    assert [call.arguments[1] for call in env.calls("helm", cleanup)] == ["kserve"]
    assert installed_charts(env) == ["kserve"]


def test_apply_fails_while_another_installation_runs(env: InstallerEnvironment) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "123Z")
    env.add_release("cert-manager", status="pending-install", description="", last_deployed=now)
    result = env.run("apply", "--environment", "laptop")
    assert result.returncode == 1
    assert "an installation of cert-manager started at" in result.stderr
    assert "pass --only cert-manager" in result.stderr
    assert not env.calls("helm", "uninstall")
    env.apply("laptop", "--only", "cert-manager")
    assert [call.arguments[1] for call in env.calls("helm", "uninstall")] == ["cert-manager"]


def test_status_distinguishes_versions_from_values(env: InstallerEnvironment) -> None:
    env.apply("dev")
    env.add_release("cert-manager", status="deployed", description="thale-platform v1.19.0 0123456789ab")
    env.add_release("kserve", status="deployed", description="thale-platform v0.21.0 0123456789ab")
    env.add_release("envoy-gateway", status="deployed", description="Install complete")
    env.add_release("otel-collector", status="failed", description="timed out")
    status = env.run("status", "--environment", "dev")
    assert status.returncode == 1
    for line in (
        "differs: upgrade from v1.19.0",
        "differs: apply new values",
        "differs: upgrade from another installation",
        "differs: install again: the last installation is failed",
    ):
        assert line in status.stdout
    env.clear_calls()
    env.apply("dev")
    assert installed_charts(env) == ["cert-manager", "envoy-gateway", "kserve", "otel-collector"]


def test_apply_only_installs_current_addon_again(env: InstallerEnvironment) -> None:
    env.apply("dev")
    env.clear_calls()
    env.apply("dev", "--only", "kserve")
    assert installed_charts(env) == ["kserve"]
    assert not env.calls("kubectl", "apply")


def test_apply_lists_addons_when_name_is_unknown(env: InstallerEnvironment) -> None:
    result = env.run("apply", "--environment", "dev", "--only", "keda")
    assert result.returncode == 1
    assert result.stderr.startswith("dev has no add-on 'keda': select one of gateway-api, ")


def test_plan_prints_commands_without_changes(env: InstallerEnvironment) -> None:
    result = env.run("plan", "--environment", "laptop")
    assert result.returncode == 0, result.stderr
    assert installed_charts(env) == []
    assert not env.calls("kubectl", "apply")
    planned = [line.split()[3] for line in result.stdout.splitlines() if "helm upgrade --install" in line]
    env.apply("laptop")
    assert planned == installed_charts(env)
    assert "helm upgrade" not in env.run("plan", "--environment", "laptop").stdout


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


def test_apply_reports_missing_managed_objects(env: InstallerEnvironment) -> None:
    for name in MANAGED_OBJECTS:
        (env.folder / "objects" / name).unlink()
    result = env.run("apply", "--environment", "staging")
    assert result.returncode == 1
    for name in MANAGED_OBJECTS:
        assert f"{name} is missing: " in result.stderr
    assert "terraform: workload_autoscaler_profile" in result.stderr
    env.apply("laptop")


def test_webhooks_are_exempt_from_admission_enforcer(env: InstallerEnvironment) -> None:
    arguments = ("label", "mutatingwebhookconfigurations,validatingwebhookconfigurations")
    env.apply("laptop")
    assert not env.calls("kubectl", *arguments)
    env.apply("dev")
    (label,) = env.calls("kubectl", *arguments)
    assert label.option("--selector") == "app.kubernetes.io/name=kserve"
    assert "admissions.enforcer/disabled=true" in label.arguments
    values = yaml.safe_load((PLATFORM / "values" / "cert-manager.yaml").read_text())["webhook"]
    for kind in ("mutating", "validating"):
        assert values[f"{kind}WebhookConfigurationAnnotations"] == {"admissions.enforcer/disabled": "true"}


def kserve_section(env: InstallerEnvironment) -> dict[str, Any]:
    """Return the section `inferenceService` of KServe's ConfigMap."""
    config_map = json.loads((env.folder / "objects" / "configmap" / "inferenceservice-config").read_text())
    section: dict[str, Any] = json.loads(config_map["data"]["inferenceService"])
    return section


def test_kserve_does_not_copy_release_annotations(env: InstallerEnvironment) -> None:
    env.apply("dev", "--context", "aks-dev")
    assert kserve_section(env)["serviceAnnotationDisallowedList"] == [*ANNOTATION_KEYS]
    assert kserve_section(env)["resource"] == {"cpuLimit": "1"}, "the other entries stay"
    (patch,) = env.calls("kubectl", "--context", "aks-dev", "patch")
    assert patch.arguments[3:6] == ("configmap", "inferenceservice-config", "--namespace")
    assert (patch.option("--type"), patch.option("--namespace")) == ("merge", "kserve")
    names = [call.arguments[2] for call in env.calls("kubectl") if len(call.arguments) > 2]
    assert names.index("patch") < names.index("rollout"), "the new controller must not start with the chart's ConfigMap"
    env.clear_calls()
    env.apply("dev", "--context", "aks-dev")
    assert not env.calls("kubectl", "--context", "aks-dev", "patch")


def test_kserve_upgrade_keeps_other_disallowed_annotations(env: InstallerEnvironment) -> None:
    section = {"serviceAnnotationDisallowedList": ["example.org/owner", ANNOTATION_KEYS[0]]}
    (env.folder / "kserve-config").write_text(json.dumps({"data": {"inferenceService": json.dumps(section)}}))
    env.apply("laptop")
    env.apply("laptop", "--only", "kserve")
    expected = ["example.org/owner", ANNOTATION_KEYS[0], *ANNOTATION_KEYS[1:]]
    assert kserve_section(env)["serviceAnnotationDisallowedList"] == expected


def test_status_reports_restored_kserve_configuration(env: InstallerEnvironment) -> None:
    env.apply("laptop")
    env.add_object("configmap/inferenceservice-config", **KSERVE_CONFIG)
    result = env.run("status", "--environment", "laptop")
    assert result.returncode == 1
    assert "differs: KServe would copy release.thale/canary, " in result.stdout
    env.apply("laptop")
    assert env.run("status", "--environment", "laptop").returncode == 0


def test_invalid_kserve_configuration_is_reported(env: InstallerEnvironment) -> None:
    (env.folder / "kserve-config").write_text(json.dumps({"data": {"inferenceService": "{,}"}}))
    result = env.run("apply", "--environment", "laptop")
    assert result.returncode == 1
    assert "inferenceService in the ConfigMap inferenceservice-config is not valid JSON" in result.stderr


def test_helm_4_upgrades_kserve_client_side(env: InstallerEnvironment) -> None:
    env.set_version("helm", "v4.0.1")
    env.apply("laptop")
    client_side = [
        call.arguments[2] for call in env.calls("helm", "upgrade") if "--server-side=false" in call.arguments
    ]
    assert client_side == ["kserve"]


GATEWAY_CRD = "crd/gateways.gateway.networking.k8s.io"


def add_gateway_api(env: InstallerEnvironment, version: str, channel: str = "standard", **metadata: Any) -> None:
    """Add the Gateway API of another installation."""
    prefix = "gateway.networking.k8s.io"
    annotations = {f"{prefix}/bundle-version": f"v{version}", f"{prefix}/channel": channel}
    annotations |= metadata.pop("annotations", {})
    env.add_object(GATEWAY_CRD, metadata={"annotations": annotations, **metadata})


@pytest.mark.parametrize("version", ["1.4.1", "1.6.1"])
def test_older_gateway_api_is_taken_over(env: InstallerEnvironment, version: str) -> None:
    add_gateway_api(env, version)
    env.apply("laptop")
    forced = [call.arguments[-1] for call in env.calls("kubectl", "apply") if "--force-conflicts" in call.arguments]
    assert len(forced) == 1
    assert forced[0].endswith("/gateway-api/releases/download/v1.6.1/standard-install.yaml")


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


def test_collector_receives_its_whole_configuration(env: InstallerEnvironment) -> None:
    env.apply("dev")
    (call,) = (call for call in env.calls("helm", "upgrade") if call.arguments[2] == "otel-collector")
    assert "-" in call.arguments
    configuration = REPOSITORY / "observability" / "otel" / "collector.yaml"
    assert yaml.safe_load(call.stdin) == {"alternateConfig": yaml.safe_load(configuration.read_text())}


def test_laptop_gets_store_volume_and_namespace(env: InstallerEnvironment) -> None:
    env.apply("laptop")
    (volume,) = (call for call in env.calls("kubectl", "apply") if call.arguments[-1].endswith("manifests/store"))
    before = env.calls("kubectl", "apply")[env.calls("kubectl", "apply").index(volume) - 1]
    assert json.loads(before.stdin)["metadata"]["name"] == "thale"


def copy_installer(folder: Path, old: str, new: str) -> Path:
    """Return the root of a copy of the installer with one replacement in its table."""
    root = folder / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "tests", "environments")
    shutil.copytree(REPOSITORY / "deploy", root / "deploy", ignore=ignore)
    platform = root / "kubernetes" / "platform"
    platform.mkdir(parents=True)
    text = (PLATFORM / "addons.toml").read_text()
    assert old in text
    (platform / "addons.toml").write_text(text.replace(old, new, 1))
    return root


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version = "2.18.3"', 'version = "2.18"', "keda violates the rule that an add-on has an exact version"),
        ('version = "2.18.3"', 'version = "latest"', "keda violates the rule that an add-on has an exact version"),
        ('version = "2.18.3"', 'version = ">=2.18.3"', "keda violates the rule that an add-on has an exact version"),
        ('chart = "keda"', 'chart = "keda"\nmanifest = "x"', "keda violates the rule that an add-on is either"),
        ('namespace = "keda"\n', "", "keda violates the rule that an add-on has a chart with a namespace"),
        ('name = "keda"', 'name = "kserve"', "kserve is listed twice"),
        ('environments = ["laptop"]', 'environments = ["laptob"]', "names existing environments"),
        ('environments = ["laptop"]', 'environment = ["laptop"]', "is not a valid table of add-ons"),
        ("https://kedacore", "http://kedacore", "has an encrypted source"),
        ("[cluster]", "[cluster", "is not a valid table of add-ons"),
    ],
)
def test_apply_rejects_invalid_table(env: InstallerEnvironment, old: str, new: str, message: str) -> None:
    result = env.run("apply", "--environment", "laptop", root=copy_installer(env.folder, old, new))
    assert result.returncode == 1
    assert message in result.stderr
    assert not env.calls("helm")


def test_apply_installs_nothing_when_values_are_missing(env: InstallerEnvironment) -> None:
    root = copy_installer(env.folder, "values/keda.yaml", "values/missing.yaml")
    for folder in ("values", "manifests"):
        (root / "kubernetes" / "platform" / folder).symlink_to(PLATFORM / folder)
    (root / "observability").symlink_to(REPOSITORY / "observability")
    result = env.run("apply", "--environment", "laptop", root=root)
    assert result.returncode == 1
    assert "values/missing.yaml cannot be read (No such file or directory)" in result.stderr
    assert installed_charts(env) == []
