"""The add-ons fit what stands on them: every kind and namespace that an overlay names has somebody who brings it."""

import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
import yaml

from deploy.addons.table import ENVIRONMENTS, FOLDER, Addon, read_table
from tests.support.manifests import CHECK, KUBERNETES, OVERLAYS, Manifest, build, of_kind, overlay

TABLE = read_table()
OF_KUBERNETES = {"v1", "apps", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"}
PROVIDERS_BY_GROUP = {
    "gateway.networking.k8s.io": ("gateway-api",),
    "gateway.envoyproxy.io": ("envoy-gateway-crds",),
    "cert-manager.io": ("cert-manager",),
    "serving.kserve.io": ("kserve-crd",),
    "keda.sh": ("keda", "crd/scaledobjects.keda.sh"),
    "monitoring.coreos.com": ("kube-prometheus-stack",),
    "azmonitoring.coreos.com": ("crd/podmonitors.azmonitoring.coreos.com",),
    "secrets-store.csi.x-k8s.io": ("secrets-store-crd", "crd/secretproviderclasses.secrets-store.csi.x-k8s.io"),
    "metrics.k8s.io": ("metrics-server", "apiservice/v1beta1.metrics.k8s.io"),
}
"""API group -> the add-on, or what is looked for, one of which an environment has."""
GPU_POOL = KUBERNETES.parent / "terraform" / "modules" / "gpu-pool" / "main.tf"


def environment_name(name: str) -> str:
    return name.removeprefix("aks-")


def provided_names(environment: str) -> set[str]:
    installed = {addon.name for addon in TABLE.for_environment(environment)}
    return installed | {each.object for each in TABLE.managed if environment in each.environments}


def get_addon(name: str) -> Addon:
    (found,) = (addon for addon in TABLE.addons if addon.name == name)
    return found


def values(name: str) -> Manifest:
    merged: Manifest = {}
    for file in get_addon(name).values:
        merged.update(yaml.safe_load((FOLDER / file).read_text()))
    return merged


def test_there_is_an_environment_for_each_overlay() -> None:
    assert {environment_name(name) for name in OVERLAYS} == {*ENVIRONMENTS}


@pytest.mark.parametrize("name", OVERLAYS)
def test_somebody_brings_every_kind_that_an_overlay_has(name: str) -> None:
    groups = {found["apiVersion"].partition("/")[0] for found in overlay(name)} - OF_KUBERNETES
    scaled_by_processor_time = any(
        service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
        for service in of_kind(overlay(name), "InferenceService").values()
    )
    for group in groups | ({"metrics.k8s.io"} if scaled_by_processor_time else set()):
        assert provided_names(environment_name(name)) & {*PROVIDERS_BY_GROUP[group]}, f"nobody brings {group} to {name}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_operator_that_makes_something_of_them_is_there(name: str) -> None:
    assert {"cert-manager", "envoy-gateway", "gateway-class", "kserve", "otel-collector"} <= provided_names(
        environment_name(name)
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_namespaces_that_an_overlay_names_are_those_of_add_ons(name: str) -> None:
    made = {addon.namespace for addon in TABLE.addons}
    for namespace in namespaces_in(list(overlay(name))):
        assert namespace in made | {"kube-system", "thale"}, namespace


def namespaces_in(value: object) -> set[str]:
    """Return the namespaces that policies and monitors reach out to."""
    if isinstance(value, list):
        return {found for each in value for found in namespaces_in(each)}
    if not isinstance(value, dict):
        return set()
    labels = value.get("namespaceSelector", {}).get("matchLabels", {}) if "namespaceSelector" in value else {}
    own = {*value.get("namespaceSelector", {}).get("matchNames", ()), *labels.values()}
    return own | {found for each in value.values() for found in namespaces_in(each)}


def test_what_aks_brings_is_not_installed_there_a_second_time() -> None:
    for environment in ENVIRONMENTS:
        for group, alternatives in PROVIDERS_BY_GROUP.items():
            assert len(provided_names(environment) & {*alternatives}) <= 1, (environment, group)


def test_files_of_values_are_yaml_and_each_is_somebody_s() -> None:
    used = {FOLDER / file for addon in TABLE.addons for file in addon.values}
    assert used == {*(FOLDER / "values").iterdir()}
    for path in used:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path


def test_every_chart_is_held_to_what_it_may_use() -> None:
    """But the charts of CRDs alone, where nothing runs."""
    for addon in TABLE.addons:
        if addon.chart and addon.name != "kserve-crd":
            text = "".join((FOLDER / file).read_text() for file in addon.values)
            assert "requests:" in text, addon.name
            assert "limits:" in text, addon.name


@pytest.mark.parametrize("addon", [addon for addon in TABLE.addons if addon.folder], ids=lambda addon: addon.name)
def test_manifests_of_ours_build_and_the_cluster_would_know_every_field(addon: Addon) -> None:
    assert addon.folder is not None
    manifests = build(addon.folder)
    assert {found["metadata"].get("namespace", addon.namespace) for found in manifests} == {addon.namespace}
    if not CHECK.exists():
        pytest.skip("the shared folder with the cluster's schemas is not there")
    stream = yaml.safe_dump_all(manifests)
    checked = subprocess.run([sys.executable, str(CHECK)], input=stream, capture_output=True, text=True, timeout=200)
    assert checked.stdout.strip() == f"{len(manifests)} objects, 0 faults", checked.stdout + checked.stderr


def test_the_gateway_s_class_is_there_and_gives_no_address_outside() -> None:
    folder = get_addon("gateway-class").folder
    assert folder is not None
    manifests = build(folder)
    for name in OVERLAYS:
        wanted = of_kind(overlay(name), "Gateway")["thale"]["spec"]["gatewayClassName"]
        proxy = of_kind(manifests, "GatewayClass")[wanted]["spec"]["parametersRef"]["name"]
        service = of_kind(manifests, "EnvoyProxy")[proxy]["spec"]["provider"]["kubernetes"]["envoyService"]
        assert service == {"type": "ClusterIP"}


def test_kserve_works_without_knative_and_opens_no_second_way_in() -> None:
    controller = values("kserve")["kserve"]["controller"]
    assert controller["deploymentMode"] == "Standard"
    assert controller["gateway"]["ingressGateway"] == {
        "enableGatewayApi": True,
        "createGateway": False,
        "kserveGateway": "kserve/kserve-ingress-gateway",
    }
    assert get_addon("kserve").version == get_addon("kserve-crd").version == "v0.21.0"


def test_envoy_gateway_and_its_kinds_are_of_one_version() -> None:
    assert get_addon("envoy-gateway").version == f"v{get_addon('envoy-gateway-crds').version}" == "v1.8.1"
    assert get_addon("gateway-api").version == "1.5.1"
    assert get_addon("envoy-gateway").skip_crds


def test_crds_come_before_who_needs_them() -> None:
    names = [addon.name for addon in TABLE.addons]
    for first, then in (
        ("gateway-api", "envoy-gateway"),
        ("envoy-gateway-crds", "envoy-gateway"),
        ("envoy-gateway", "gateway-class"),
        ("cert-manager", "kserve"),
        ("gateway-api", "kserve"),
        ("kserve-crd", "kserve"),
        ("keda", "kserve"),
    ):
        assert names.index(first) < names.index(then), (first, then)


@pytest.mark.parametrize("name", OVERLAYS)
def test_traces_go_where_the_collector_listens(name: str) -> None:
    collector = get_addon("otel-collector")
    address = f"http://{values('otel-collector')['fullnameOverride']}.{collector.namespace}.svc:4318"
    manifests = overlay(name)
    (facade,) = of_kind(manifests, "Deployment")["facade"]["spec"]["template"]["spec"]["containers"]
    (worker,) = of_kind(manifests, "ServingRuntime")["thale-torchserve"]["spec"]["containers"]
    for container in (facade, worker):
        assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": address} in container["env"]
    for policy in ("facade-to-collector", "predictors-to-collector"):
        ((rule,),) = (of_kind(manifests, "NetworkPolicy")[policy]["spec"]["egress"],)
        (peer,) = rule["to"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": collector.namespace}
        assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": collector.chart}
        assert rule["ports"] == [{"port": 4318}]


def test_the_laptop_s_store_is_the_volume_that_models_come_from() -> None:
    folder = get_addon("store").folder
    assert folder is not None
    (volume,) = of_kind(build(folder), "PersistentVolumeClaim").values()
    for service in of_kind(overlay("laptop"), "InferenceService").values():
        claim = re.match(r"pvc://([^/]+)/models/", service["spec"]["predictor"]["model"]["storageUri"])
        assert claim is not None
        assert (claim[1], service["metadata"]["namespace"]) == ("store", "thale")
    assert (volume["metadata"]["name"], volume["metadata"]["namespace"]) == ("store", "thale")
    assert "store" not in provided_names("dev") | provided_names("staging") | provided_names("prod")


def test_the_laptop_s_prometheus_is_where_keda_asks_for_it() -> None:
    (trigger,) = of_kind(overlay("laptop"), "ScaledObject")["facade"]["spec"]["triggers"]
    namespace = get_addon("kube-prometheus-stack").namespace
    assert trigger["metadata"]["serverAddress"] == f"http://prometheus-operated.{namespace}.svc:9090"
    chosen = values("kube-prometheus-stack")["prometheus"]["prometheusSpec"]
    for kind in ("serviceMonitor", "podMonitor", "rule"):
        assert chosen[f"{kind}SelectorNilUsesHelmValues"] is False, "it would see the chart's own alone"
    assert values("keda")["watchNamespace"] == "thale"


@pytest.mark.parametrize("name", ["nvidia-device-plugin", "dcgm-exporter"])
def test_gpu_add_ons_go_to_the_nodes_of_the_gpu_pools(name: str) -> None:
    output = values(name)
    assert output["nodeSelector"] == {"nvidia.com/gpu": "present"}
    pool = GPU_POOL.read_text()
    assert '"nvidia.com/gpu" = "present"' in pool
    taints = re.findall(r'_taint\s*=\s*"([^=]+)=([^:]+):(\w+)"', pool)
    assert len(taints) == 2
    assert tolerated_taints(output["tolerations"]) == {(key, effect) for key, _, effect in taints}


def tolerated_taints(tolerations: Sequence[Manifest]) -> set[tuple[str, str]]:
    assert all(each["operator"] == "Exists" for each in tolerations)
    return {(each["key"], each["effect"]) for each in tolerations}


@pytest.mark.parametrize("monitor", ["cert-manager", "gpus"])
def test_what_add_ons_tell_keeps_its_own_namespaces(monitor: str) -> None:
    for name in OVERLAYS:
        spec = of_kind(overlay(name), "PodMonitor")[monitor]["spec"]
        (endpoint,) = spec["podMetricsEndpoints"]
        assert endpoint["honorLabels"] is True
        assert {*spec["namespaceSelector"]["matchNames"]} <= {addon.namespace for addon in TABLE.addons}


def test_the_readme_names_every_add_on() -> None:
    readme = (KUBERNETES / "README.md").read_text()
    for addon in TABLE.addons:
        assert f"`{addon.name}`" in readme, f"kubernetes/README.md says nothing of {addon.name}"
