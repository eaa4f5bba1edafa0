"""Charts of the add-ons, rendered with the values of this repository (`make charts`)."""

import json
import os
import subprocess
from collections.abc import Sequence

import pytest
import yaml

from deploy.addons.commands import ClusterTools
from deploy.addons.install import inline_values
from deploy.addons.kserve_config import CONFIG_MAP
from deploy.addons.table import FOLDER, Addon, read_table
from tests.support.manifests import Manifest, of_kind
from tests.support.strict_schemas import schema_faults

CHARTS = [addon for addon in read_table().addons if addon.chart]

pytestmark = pytest.mark.skipif("THALE_RENDER_CHARTS" not in os.environ, reason="make charts: it downloads the charts")


def render(addon: Addon) -> Sequence[Manifest]:
    """Return the objects of a chart."""
    chart = [addon.chart, *(["--repo", addon.repository] if addon.repository else [])]
    files = [str(FOLDER / name) for name in addon.values] + (["-"] if addon.values_from else [])
    command = ClusterTools().helm(
        *("template", addon.name, *chart, "--version", addon.version, "--namespace", addon.namespace),
        *("--kube-version", "1.34", "--api-versions", "monitoring.coreos.com/v1"),
        *(argument for file in files for argument in ("--values", file)),
    )
    rendered = subprocess.run(command, input=inline_values(addon), capture_output=True, text=True, timeout=280)
    assert rendered.returncode == 0, rendered.stderr
    return [found for found in yaml.safe_load_all(rendered.stdout) if found]


@pytest.mark.parametrize("addon", CHARTS, ids=lambda addon: addon.name)
def test_chart_renders_with_its_values(addon: Addon) -> None:
    builtin = ("Deployment", "DaemonSet", "StatefulSet", "Service")
    manifests = render(addon)
    assert manifests
    for manifest in manifests:
        if manifest["kind"] in builtin:
            assert not schema_faults(manifest), manifest["metadata"]["name"]
        if manifest["kind"] == "Service":
            assert manifest["spec"].get("type", "ClusterIP") == "ClusterIP", "an address outside the cluster"


@pytest.mark.parametrize(
    "addon", [addon for addon in CHARTS if addon.name != "kserve-crd"], ids=lambda addon: addon.name
)
def test_each_container_has_requests_and_a_memory_limit(addon: Addon) -> None:
    for manifest in render(addon):
        if manifest["kind"] in ("Deployment", "DaemonSet"):
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                resources = container.get("resources") or {}
                assert {"cpu", "memory"} <= (resources.get("requests") or {}).keys(), container["name"]
                assert "memory" in (resources.get("limits") or {}), container["name"]


def test_kserve_chart_has_the_configuration_that_thale_patches() -> None:
    (addon,) = (addon for addon in CHARTS if addon.name == "kserve")
    manifests = render(addon)
    section = json.loads(of_kind(manifests, "ConfigMap")[CONFIG_MAP]["data"]["inferenceService"])
    assert "serviceAnnotationDisallowedList" not in section, "the chart has a value for it now: use the value"
    assert "kserve-controller-manager" in of_kind(manifests, "Deployment")
    (storage,) = of_kind(manifests, "ClusterStorageContainer").values()
    context = storage["spec"]["container"]["securityContext"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
