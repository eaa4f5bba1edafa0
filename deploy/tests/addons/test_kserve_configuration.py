"""KServe's configuration, as the add-on installer patches it."""

import json
from typing import Any

import pytest

from tests.support.addon_installer import (
    KSERVE_CONFIG,
    InstallerEnvironment,
)
from thale.kserve.inference_service import ANNOTATION_KEYS


def kserve_section(env: InstallerEnvironment) -> dict[str, Any]:
    """Return the section `inferenceService` of KServe's ConfigMap."""
    config_map = json.loads((env.folder / "objects" / "configmap" / "inferenceservice-config").read_text())
    section: dict[str, Any] = json.loads(config_map["data"]["inferenceService"])
    return section


@pytest.mark.slow
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


@pytest.mark.slow
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
