"""The informer of InferenceServices: immediate updates, and the last release state during an API outage."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from tests.support.fake_kubernetes_objects import Key
from tests.support.local_platform import wait_for
from tests.support.sample_images import png
from tests.support.sample_releases import ANNA, make_release, make_version
from tests.support.torchserve_process import TorchServeProcess, free_ports
from thale.client import Client
from thale.errors import ModelUnavailableError
from thale.facade.settings import FacadeSettings
from thale.kserve import client, inference_service
from thale.kserve.informer import InferenceServiceInformer
from thale.release.lifecycle import transitions
from thale.schemas import Release, ReleaseState

pytestmark = pytest.mark.integration

KEY = Key(inference_service.PLURAL, "plants", "plate-seg")
MANAGER = ("thale-release", "Apply")


@pytest.fixture
def api() -> Iterator[FakeKubernetesApi]:
    with run_fake_kubernetes_api() as fake_api:
        yield fake_api


@pytest.fixture
def informer(api: FakeKubernetesApi) -> Iterator[InferenceServiceInformer]:
    template = inference_service.URL_TEMPLATE
    with InferenceServiceInformer.running(
        client.with_retries(api.client().configuration), "plants", template
    ) as informer:
        yield informer


def resource(model_release: Release) -> Any:
    model = {"name": "kserve-container", "modelFormat": {"name": "thale"}}
    live = {"metadata": {"name": KEY.name, "namespace": KEY.namespace}, "spec": {"predictor": {"model": model}}}
    return inference_service.resource_from_release(
        model_release, live, dict.fromkeys(model_release.versions, "https://models")
    )


def has_release(informer: InferenceServiceInformer, matches: Callable[[Release], bool]) -> Callable[[], bool]:
    def check() -> bool:
        try:
            models = informer.current().models
        except ModelUnavailableError:
            return False
        return "plate-seg" in models and matches(models["plate-seg"])

    return check


def test_informer_applies_a_watched_change(api: FakeKubernetesApi, informer: InferenceServiceInformer) -> None:
    api.objects.create(Key(KEY.plural, "plants", "other"), {"metadata": {"name": "other"}, "spec": {}}, MANAGER)
    api.objects.create(KEY, resource(make_release()), MANAGER)
    wait_for("the first release", has_release(informer, lambda release: release.stable == "1.0.0"))
    canary_release = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    api.objects.apply(KEY, resource(canary_release), "thale-release", force=True)
    wait_for("the canary", has_release(informer, lambda release: release.canary == "1.1.0"))
    release_state = informer.current()
    assert set(release_state.models) == {"plate-seg"}
    assert release_state.models["plate-seg"].versions["1.1.0"].url == "http://plate-seg-v1-1-0-predictor.plants.svc"
    api.objects.replace(KEY, {"status": {"conditions": []}}, ("kserve", "Update"), status=True)
    api.objects.apply(KEY, resource(transitions.step(canary_release, ANNA)), "thale-release", force=True)
    wait_for("the step", has_release(informer, lambda release: release.weight_percent == 25))
    api.objects.delete(KEY)
    wait_for("removal of the release", lambda: informer.current().models == {})


def test_informer_ignores_status_updates(api: FakeKubernetesApi, informer: InferenceServiceInformer) -> None:
    api.objects.create(KEY, resource(make_release()), MANAGER)
    wait_for("the first release", has_release(informer, lambda release: True))
    release_state = informer.current()
    api.objects.replace(KEY, {"status": {"conditions": []}}, ("kserve", "Update"), status=True)
    other = Key(KEY.plural, "plants", "plate-landmarks")
    other_resource = resource(make_release())
    other_resource["metadata"]["name"] = other.name
    api.objects.create(other, other_resource, MANAGER)
    wait_for("the parse error of the other object", lambda: informer._parse_errors)
    assert informer.current() is release_state


def test_informer_keeps_state_and_catches_up_after_an_outage(
    api: FakeKubernetesApi, informer: InferenceServiceInformer
) -> None:
    with pytest.raises(ModelUnavailableError, match="Kubernetes API"):
        InferenceServiceInformer(api.client(), "plants", inference_service.URL_TEMPLATE).current()
    api.objects.create(KEY, resource(make_release()), MANAGER)
    wait_for("the first release", has_release(informer, lambda release: True))
    api.disconnect()
    canary_release = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    api.objects.apply(KEY, resource(canary_release), "thale-release", force=True)
    api.objects.compact()
    assert informer.current().models["plate-seg"].canary is None
    api.unreachable.clear()
    wait_for("the canary", has_release(informer, lambda release: release.canary == "1.1.0"))


def test_informer_ignores_invalid_objects(api: FakeKubernetesApi, informer: InferenceServiceInformer) -> None:
    api.objects.create(KEY, resource(make_release()), MANAGER)
    wait_for("the first release", has_release(informer, lambda release: True))
    invalid_annotation = {"metadata": {"annotations": {"release.thale/versions": "{"}}}
    api.objects.merge(KEY, invalid_annotation, ("kubectl", "Update"))
    wait_for("the parse error", lambda: informer._parse_errors)
    assert informer.current().models["plate-seg"].stable == "1.0.0"
    api.objects.apply(
        KEY,
        resource(transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)),
        "thale-release",
        force=True,
    )
    wait_for("the canary", has_release(informer, lambda release: release.canary == "1.1.0"))


def test_facade_serves_the_releases_of_a_cluster(
    api: FakeKubernetesApi, settings: FacadeSettings, torchserve: TorchServeProcess, tmp_path: Path
) -> None:
    assert settings.release_state_path is not None
    release_state = ReleaseState.model_validate_json(settings.release_state_path.read_bytes())
    for name, model in release_state.models.items():
        model_resource = resource(model)
        model_resource["metadata"]["name"] = name
        api.objects.create(Key(KEY.plural, KEY.namespace, name), model_resource, MANAGER)
    port, metrics_port = free_ports(2)
    variables = {
        "KUBECONFIG": str(write_kubeconfig(tmp_path, api.url)),
        "THALE_NAMESPACE": KEY.namespace,
        "THALE_PREDICTOR_URL": f"http://127.0.0.1:{torchserve.inference_port}",
        "THALE_MANAGEMENT_URL": "http://127.0.0.1:9",  # unreachable: the management API is inside the pods
        "THALE_PORT": str(port),
        "THALE_METRICS_PORT": str(metrics_port),
    }
    command = [sys.executable, "-m", "thale.facade"]
    with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL) as process:
        try:
            with Client(f"http://127.0.0.1:{port}") as client:
                wait_for("the facade", client.is_ready)
                plate = client.phenotype(png(), mm_per_px=0.25)
        finally:
            process.terminate()
    digests = {model.name: model.versions["1.0.0"].digest for model in release_state.models.values()}
    assert {model.name: model.digest for model in plate.provenance.models} == digests


def write_kubeconfig(folder: Path, url: str) -> Path:
    """Write a kubeconfig for a cluster without authentication."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "anna", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "anna"}}],
        "current-context": "test",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    return path
