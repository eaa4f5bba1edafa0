"""KServe target under test, with the fake Kubernetes API and the fake of KServe's controller."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.fake_kserve_controller import FakeKServeController, run_controller
from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from tests.support.fake_kubernetes_objects import Key
from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.sample_releases import ANNA
from thale.kserve import client, inference_service
from thale.release.lifecycle import transitions
from thale.release.targets import ReleaseTarget, TargetTimeouts, WarmUp
from thale.release.targets.kserve import KServeTarget
from thale.schemas import Release, VersionManifest

NAMESPACE = "plants"


@dataclass
class KServeHarness:
    store: InMemoryVersionStore
    api: FakeKubernetesApi
    controller: FakeKServeController

    def make_target(self, warm_up: WarmUp | None = None) -> KServeTarget:
        timeouts = TargetTimeouts(load_s=5, poll_s=0.02, drain_s=0.2)
        return KServeTarget(
            client.with_retries(self.api.client().configuration),
            NAMESPACE,
            self.store,
            warm_up or (lambda *_: None),
            timeouts,
        )

    def loaded_versions(self) -> set[str]:
        body = self.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))
        return set(inference_service.storage_uris(body))

    def register_failing(self, version: str) -> VersionManifest:
        self.controller.behaviours[inference_service.predictor_name(version)] = "crash"
        return self.store.register(version)


@contextmanager
def run_kserve(store: InMemoryVersionStore) -> Iterator[KServeHarness]:
    with run_fake_kubernetes_api() as api, run_controller(api, NAMESPACE) as controller:
        live = inference_service_as_deployed(store)
        key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
        api.objects.create(key, live, ("kubectl", "Apply"))
        yield KServeHarness(store, api, controller)


def initial_release(store: InMemoryVersionStore) -> Release:
    return Release(task="segmentation", stable="1.0.0", versions={"1.0.0": store.find(MODEL, "1.0.0")})


def inference_service_as_deployed(store: InMemoryVersionStore) -> dict[str, object]:
    """Return the object that an overlay deploys: the fields of the release, and those of the predictor."""
    predictor = {
        "name": "v1-0-0",
        "serviceAccountName": "models",
        "minReplicas": 2,
        "maxReplicas": 6,
        "model": {
            "name": "kserve-container",
            "modelFormat": {"name": "thale"},
            "runtime": "thale-torchserve",
            "storageUri": store.uri(MODEL, "1.0.0"),
            "resources": {"requests": {"cpu": "1"}},
        },
    }
    live = {"metadata": {"name": MODEL, "namespace": NAMESPACE}, "spec": {"predictor": predictor}}
    resource = inference_service.resource_from_release(initial_release(store), live, {})
    return {**resource, "spec": {"predictor": predictor}}


def apply_change(target: ReleaseTarget, transition: Callable[[Release], Release]) -> Release:
    before = target.read(MODEL)
    return target.apply(before, transition(before.release)).release


def with_canary(version: VersionManifest) -> Callable[[Release], Release]:
    return lambda release: transitions.start_canary(release, version, ANNA)
