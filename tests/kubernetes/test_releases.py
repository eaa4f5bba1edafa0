"""Manifests and code agree: releases are readable, settings exist, and names match."""

from pathlib import Path

import pytest

from tests.support.manifests import KUBERNETES, ON_AZURE, OVERLAYS, of_kind, overlay
from thale.facade.settings import FacadeSettings
from thale.kserve.inference_service import is_release, predictor_name, release_from_resource
from thale.release.controller.cluster import FACADE_METRICS_URL
from thale.release.controller.settings import ControllerSettings
from thale_models import readiness
from tools.generate import first_release

MODELS = ("plate-seg", "plate-landmarks")
COMMAND_LINE_VARIABLES = {"model_store", "model_store_uri", "signing_public_keys"}
"""Variables of `thale release` in a pod of the controller."""


def test_first_release_is_up_to_date() -> None:
    assert first_release.FIRST_RELEASE.read_text() == first_release.first_release(), "run `make generate`"


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("model", MODELS)
def test_inference_service_is_a_release(name: str, model: str) -> None:
    service = of_kind(overlay(name), "InferenceService")[model]
    assert is_release(service)
    release = release_from_resource(service)
    assert (release.name, release.canary, release.weight_percent) == (model, None, 0)
    assert service["spec"]["predictor"]["name"] == predictor_name(release.stable)
    assert (
        release.versions[release.stable].url == f"http://{model}-{predictor_name(release.stable)}-predictor.thale.svc"
    )
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert service["spec"]["predictor"]["model"]["name"] == "kserve-container"
    assert service["spec"]["predictor"]["minReplicas"] >= 1


@pytest.mark.parametrize("name", ON_AZURE)
def test_models_come_from_the_storage_account(name: str) -> None:
    for model, service in of_kind(overlay(name), "InferenceService").items():
        release = release_from_resource(service)
        digest = release.versions[release.stable].digest.removeprefix("sha256:")[:12]
        account = f"https://stexample{name.removeprefix('aks-')}.blob.core.windows.net"
        uri = service["spec"]["predictor"]["model"]["storageUri"]
        assert uri == f"{account}/models/{model}/{release.stable}/{digest}"
        assert service["spec"]["predictor"]["serviceAccountName"] == "model-server"
        assert service["spec"]["predictor"]["labels"]["azure.workload.identity/use"] == "true"


@pytest.mark.parametrize("name", OVERLAYS)
def test_controller_pod_has_the_store_of_the_models(name: str) -> None:
    """`thale release` in this pod gives KServe the same store as the first release."""
    pod = of_kind(overlay(name), "Deployment")["release-watcher"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    store_uri = variables.get("THALE_MODEL_STORE_URI") or variables["THALE_MODEL_STORE"]
    for service in of_kind(overlay(name), "InferenceService").values():
        assert service["spec"]["predictor"]["model"]["storageUri"].startswith(f"{store_uri}/")
    if name == "laptop":
        claims = {volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]}
        mount, copies = [mount for mount in container["volumeMounts"] if claims[mount["name"]] == "store"]
        assert mount["readOnly"], "the controller writes no models"
        assert (copies["mountPath"], copies["subPath"]) == (variables["THALE_RELEASE_COPIES"], "releases")
        assert variables["THALE_MODEL_STORE"] == f"{mount['mountPath']}/models"


def set_environment(name: str, deployment: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Set the environment variables of a Deployment; return the names of its thale settings."""
    (container,) = of_kind(overlay(name), "Deployment")[deployment]["spec"]["template"]["spec"]["containers"]
    for entry in container["env"]:
        monkeypatch.setenv(entry["name"], entry.get("value", "thale"))
    return {entry["name"].removeprefix("THALE_").lower() for entry in container["env"] if "THALE_" in entry["name"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_facade_and_controller_accept_their_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set_environment(name, "facade", monkeypatch) <= FacadeSettings.model_fields.keys()
    facade = FacadeSettings()
    assert (facade.namespace, facade.host, facade.port, facade.metrics_port) == ("thale", "0.0.0.0", 8080, 9090)
    settings = set_environment(name, "release-watcher", monkeypatch) - COMMAND_LINE_VARIABLES
    assert settings <= ControllerSettings.model_fields.keys()
    controller = ControllerSettings()
    assert (controller.namespace, controller.metrics_host, controller.metrics_port) == ("thale", "0.0.0.0", 9091)


def test_gateway_limits_slightly_exceed_facade_limits() -> None:
    facade = FacadeSettings(namespace="thale")
    backend = of_kind(overlay("aks-prod"), "BackendTrafficPolicy")["facade"]["spec"]
    client = of_kind(overlay("aks-prod"), "ClientTrafficPolicy")["thale"]["spec"]
    assert backend["requestBuffer"]["limit"] == f"{facade.max_body_bytes // 2**20}Mi"
    assert facade.request_timeout_s < float(backend["timeout"]["http"]["requestTimeout"][:-1]) <= 90
    assert facade.upload_timeout_s < float(client["timeout"]["http"]["requestReceivedTimeout"][:-1]) <= 180


def test_facade_metrics_service_matches_controller_url() -> None:
    service = of_kind(overlay("laptop"), "Service")["thale-facade-metrics"]["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert FACADE_METRICS_URL.format(namespace="thale") == "http://thale-facade-metrics.thale.svc:9090/metrics"
    assert [port["port"] for port in service["ports"]] == [9090]


def test_predictor_probes_run_the_readiness_module() -> None:
    [container] = of_kind(overlay("laptop"), "ServingRuntime")["thale-torchserve"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"] == ["python", "-m", readiness.__name__]


def test_management_address_matches_the_probe() -> None:
    settings = Path(KUBERNETES.parent / "model-server" / "config.properties").read_text()
    assert f"management_address={readiness.MANAGEMENT_URL}\n" in settings
