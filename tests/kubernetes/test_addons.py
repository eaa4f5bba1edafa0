"""Add-ons and overlays agree: an add-on provides each API group and namespace that an overlay uses."""

import re
from collections.abc import Sequence

import pytest
import yaml

from deploy.addons.table import ENVIRONMENTS, FOLDER, Addon, read_table
from tests.support.manifests import KUBERNETES, OVERLAYS, Manifest, build, of_kind, overlay
from thale.kserve.inference_service import ANNOTATION_KEYS

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
    "metrics.k8s.io": ("metrics-server", "apiservice/v1beta1.metrics.k8s.io"),
}
"""Maps an API group to alternative providers: an add-on or a managed object. An environment has exactly one."""
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


def test_each_overlay_has_an_environment() -> None:
    assert {environment_name(name) for name in OVERLAYS} == {*ENVIRONMENTS}


@pytest.mark.slow
@pytest.mark.parametrize("name", OVERLAYS)
def test_each_api_group_of_an_overlay_is_provided(name: str) -> None:
    groups = {found["apiVersion"].partition("/")[0] for found in overlay(name)} - OF_KUBERNETES
    scales_by_cpu = any(
        service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
        for service in of_kind(overlay(name), "InferenceService").values()
    )
    for group in groups | ({"metrics.k8s.io"} if scales_by_cpu else set()):
        assert provided_names(environment_name(name)) & {*PROVIDERS_BY_GROUP[group]}, f"{name}: {group}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_required_operators_are_installed(name: str) -> None:
    assert {"cert-manager", "envoy-gateway", "gateway-class", "kserve", "otel-collector"} <= provided_names(
        environment_name(name)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", OVERLAYS)
def test_referenced_namespaces_belong_to_addons(name: str) -> None:
    addon_namespaces = {addon.namespace for addon in TABLE.addons}
    for namespace in namespaces_in(list(overlay(name))):
        assert namespace in addon_namespaces | {"kube-system", "thale"}, namespace


def namespaces_in(value: object) -> set[str]:
    """Return the namespaces that policies and monitors select."""
    if isinstance(value, list):
        return {found for each in value for found in namespaces_in(each)}
    if not isinstance(value, dict):
        return set()
    labels = value.get("namespaceSelector", {}).get("matchLabels", {}) if "namespaceSelector" in value else {}
    own = {*value.get("namespaceSelector", {}).get("matchNames", ()), *labels.values()}
    return own | {found for each in value.values() for found in namespaces_in(each)}


def test_managed_objects_are_not_installed_again() -> None:
    for environment in ENVIRONMENTS:
        for group, alternatives in PROVIDERS_BY_GROUP.items():
            assert len(provided_names(environment) & {*alternatives}) <= 1, (environment, group)


def test_values_files_are_valid_yaml_and_used() -> None:
    used = {FOLDER / file for addon in TABLE.addons for file in addon.values}
    assert used == {*(FOLDER / "values").iterdir()}
    for path in used:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path


def test_each_chart_sets_requests_and_limits() -> None:
    """Charts with CRDs only are exempt: they have no pods."""
    for addon in TABLE.addons:
        if addon.chart and addon.name != "kserve-crd":
            text = "".join((FOLDER / file).read_text() for file in addon.values)
            assert "requests:" in text, addon.name
            assert "limits:" in text, addon.name


@pytest.mark.parametrize("addon", [addon for addon in TABLE.addons if addon.folder], ids=lambda addon: addon.name)
def test_local_manifests_build_in_their_namespace(addon: Addon) -> None:
    assert addon.folder is not None
    manifests = build(addon.folder)
    assert {found["metadata"].get("namespace", addon.namespace) for found in manifests} == {addon.namespace}


@pytest.mark.slow
def test_gateway_class_exists_without_external_address() -> None:
    folder = get_addon("gateway-class").folder
    assert folder is not None
    manifests = build(folder)
    for name in OVERLAYS:
        class_name = of_kind(overlay(name), "Gateway")["thale"]["spec"]["gatewayClassName"]
        proxy = of_kind(manifests, "GatewayClass")[class_name]["spec"]["parametersRef"]["name"]
        service = of_kind(manifests, "EnvoyProxy")[proxy]["spec"]["provider"]["kubernetes"]["envoyService"]
        assert service == {"type": "ClusterIP"}


def test_kserve_uses_standard_mode_without_own_gateway() -> None:
    controller = values("kserve")["kserve"]["controller"]
    assert controller["deploymentMode"] == "Standard"
    assert controller["gateway"]["ingressGateway"] == {
        "enableGatewayApi": True,
        "createGateway": False,
        "kserveGateway": "kserve/kserve-ingress-gateway",
    }
    assert get_addon("kserve").version == get_addon("kserve-crd").version == "v0.21.0"


def test_kserve_lists_each_release_annotation() -> None:
    assert get_addon("kserve").disallowed_annotations == ANNOTATION_KEYS


def test_storage_initializer_follows_restricted_standard() -> None:
    """KServe adds this init container to each predictor, in a namespace that enforces the standard."""
    context = values("kserve")["kserve"]["storage"]["containerSecurityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is context["privileged"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    manifests = overlay("laptop")
    assert (
        of_kind(manifests, "Namespace")["thale"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )
    for service in of_kind(manifests, "InferenceService").values():
        pod = service["spec"]["predictor"]["securityContext"]
        assert pod["runAsUser"] >= 10000, "the image of the storage initializer may run as any user"


def test_envoy_gateway_and_crds_have_one_version() -> None:
    assert get_addon("envoy-gateway").version == f"v{get_addon('envoy-gateway-crds').version}" == "v1.9.0"
    assert get_addon("gateway-api").version == "1.6.1"
    assert get_addon("envoy-gateway").skip_crds


def test_crds_are_installed_before_their_users() -> None:
    names = [addon.name for addon in TABLE.addons]
    for first, second in (
        ("gateway-api", "envoy-gateway"),
        ("envoy-gateway-crds", "envoy-gateway"),
        ("envoy-gateway", "gateway-class"),
        ("cert-manager", "kserve"),
        ("gateway-api", "kserve"),
        ("kserve-crd", "kserve"),
        ("keda", "kserve"),
    ):
        assert names.index(first) < names.index(second), (first, second)


@pytest.mark.parametrize("name", OVERLAYS)
def test_traces_are_sent_to_the_collector(name: str) -> None:
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


def test_laptop_models_come_from_the_store_volume() -> None:
    folder = get_addon("store").folder
    assert folder is not None
    (volume,) = of_kind(build(folder), "PersistentVolumeClaim").values()
    for service in of_kind(overlay("laptop"), "InferenceService").values():
        claim = re.match(r"pvc://([^/]+)/models/", service["spec"]["predictor"]["model"]["storageUri"])
        assert claim is not None
        assert (claim[1], service["metadata"]["namespace"]) == ("store", "thale")
    assert (volume["metadata"]["name"], volume["metadata"]["namespace"]) == ("store", "thale")
    assert "store" not in provided_names("dev") | provided_names("staging") | provided_names("prod")


def test_laptop_keda_queries_the_installed_prometheus() -> None:
    (trigger,) = of_kind(overlay("laptop"), "ScaledObject")["facade"]["spec"]["triggers"]
    namespace = get_addon("kube-prometheus-stack").namespace
    assert trigger["metadata"]["serverAddress"] == f"http://prometheus-operated.{namespace}.svc:9090"
    prometheus_spec = values("kube-prometheus-stack")["prometheus"]["prometheusSpec"]
    for kind in ("serviceMonitor", "podMonitor", "rule"):
        assert prometheus_spec[f"{kind}SelectorNilUsesHelmValues"] is False, "only the chart's own are selected"
    assert values("keda")["watchNamespace"] == "thale"


@pytest.mark.parametrize("name", ["nvidia-device-plugin", "dcgm-exporter"])
def test_gpu_addons_run_on_gpu_pool_nodes(name: str) -> None:
    addon_values = values(name)
    assert addon_values["nodeSelector"] == {"nvidia.com/gpu": "present"}
    pool = GPU_POOL.read_text()
    assert '"nvidia.com/gpu" = "present"' in pool
    taints = re.findall(r'_taint\s*=\s*"([^=]+)=([^:]+):(\w+)"', pool)
    assert len(taints) == 2
    assert tolerated_taints(addon_values["tolerations"]) == {(key, effect) for key, _, effect in taints}


def tolerated_taints(tolerations: Sequence[Manifest]) -> set[tuple[str, str]]:
    assert all(each["operator"] == "Exists" for each in tolerations)
    return {(each["key"], each["effect"]) for each in tolerations}


@pytest.mark.parametrize("monitor", ["cert-manager", "gpus"])
def test_addon_metrics_keep_their_namespace_labels(monitor: str) -> None:
    for name in OVERLAYS:
        spec = of_kind(overlay(name), "PodMonitor")[monitor]["spec"]
        (endpoint,) = spec["podMetricsEndpoints"]
        assert endpoint["honorLabels"] is True
        assert {*spec["namespaceSelector"]["matchNames"]} <= {addon.namespace for addon in TABLE.addons}


def test_readme_lists_each_addon() -> None:
    readme = (KUBERNETES / "README.md").read_text()
    for addon in TABLE.addons:
        assert f"`{addon.name}`" in readme, f"kubernetes/README.md does not list {addon.name}"
