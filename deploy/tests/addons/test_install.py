"""Commands of the add-on installer: apply, plan and status."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from tests.support.addon_installer import (
    PLATFORM,
    REPOSITORY,
    InstallerEnvironment,
    installed_charts,
)


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


@pytest.mark.slow
def test_apply_skips_current_addons(env: InstallerEnvironment) -> None:
    env.apply("laptop")
    env.clear_calls()
    result = env.apply("laptop")
    assert installed_charts(env) == []
    assert env.calls("kubectl", "apply") == []
    assert "done" not in result.stdout
    assert env.run("status", "--environment", "laptop").returncode == 0


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_plan_prints_commands_without_changes(env: InstallerEnvironment) -> None:
    result = env.run("plan", "--environment", "laptop")
    assert result.returncode == 0, result.stderr
    assert installed_charts(env) == []
    assert not env.calls("kubectl", "apply")
    planned = [line.split()[3] for line in result.stdout.splitlines() if "helm upgrade --install" in line]
    env.apply("laptop")
    assert planned == installed_charts(env)
    assert "helm upgrade" not in env.run("plan", "--environment", "laptop").stdout


@pytest.mark.slow
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
