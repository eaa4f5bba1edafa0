"""`python -m thale.release` and `thale release` with a fake Kubernetes API and a fake facade."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.fake_facade import MODEL, FakeFacade, run_fake_facade
from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from tests.support.fake_kubernetes_objects import Key
from tests.support.local_platform import TIMEOUT_S, wait_for
from tests.support.sample_releases import ANNA, make_release, make_version
from thale.kserve import inference_service
from thale.release.lifecycle import transitions
from thale.schemas import Release

pytestmark = pytest.mark.integration

STABLE, CANARY = "1.0.0", "1.1.0"
NAMESPACE = "plants"
OBJECT = Key(inference_service.PLURAL, NAMESPACE, MODEL)


@pytest.fixture
def api() -> Iterator[FakeKubernetesApi]:
    """Run a fake cluster with a canary at 5 %."""
    release = transitions.start_canary(make_release(STABLE), make_version(CANARY), ANNA)
    predictor = {
        "name": "v1-0-0",
        "minReplicas": 2,
        "model": {"name": "kserve-container", "modelFormat": {"name": "t"}},
    }
    live = {"metadata": {"name": MODEL, "namespace": NAMESPACE}, "spec": {"predictor": predictor}}
    uris = {name: f"https://account.blob.core.windows.net/models/{MODEL}/{name}" for name in release.versions}
    with run_fake_kubernetes_api() as running:
        resource = inference_service.resource_from_release(release, live, uris)
        resource["spec"]["predictor"] = {**predictor, **resource["spec"]["predictor"]}
        running.objects.create(OBJECT, resource, ("kubectl", "Apply"))
        yield running


@pytest.fixture
def facade() -> Iterator[FakeFacade]:
    with run_fake_facade() as running:
        yield running


@pytest.fixture
def environment(api: FakeKubernetesApi, facade: FakeFacade, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process that uses the fake cluster. The kubeconfig has the namespace."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": api.url}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}],
        "current-context": "test",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    variables = {"KUBECONFIG": str(path), "THALE_FACADES": facade.url, "THALE_METRICS_PORT": "0", "THALE_USER": "robot"}
    return {**os.environ, **variables, "THALE_CHECKPOINT_INTERVAL_S": "0.1", "THALE_HOME": str(tmp_path)}


def current_release(api: FakeKubernetesApi) -> Release:
    return inference_service.release_from_resource(api.objects.get(OBJECT))


def holder(api: FakeKubernetesApi) -> str:
    [lease] = api.objects.list("leases", NAMESPACE)
    return str(lease["spec"]["holderIdentity"])


def test_controller_in_a_pod_steps_and_releases_the_lease(
    api: FakeKubernetesApi, facade: FakeFacade, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "thale.release"]
    controller = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        wait_for("the first checkpoint", lambda: api.objects.list("configmaps", NAMESPACE))
        assert holder(api)
        facade.count_responses(STABLE, 9000)
        facade.count_responses(CANARY, 900)
        wait_for("the next step", lambda: current_release(api).weight_percent == 25)
        facade.count_responses(CANARY, 7)
        status_command = [sys.executable, "-m", "thale", "release", "--context", "test", "status", "--json"]

        def canary_requests() -> int:
            completed = subprocess.run(
                status_command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S
            )
            [model] = json.loads(completed.stdout)["models"]
            return int(model["canary_counts"]["requests"]) if model["canary_counts"] else 0

        wait_for("the counts in the checkpoint", lambda: canary_requests() == 7)
    finally:
        controller.send_signal(signal.SIGTERM)
        _, log = controller.communicate(timeout=TIMEOUT_S)
    assert controller.returncode == 0, log
    assert all(json.loads(line) for line in log.splitlines())
    assert holder(api) == ""
    assert (current_release(api).history[-1].who, current_release(api).history[-1].what) == ("robot", "step")


def test_controller_reports_invalid_settings_and_missing_cluster(tmp_path: Path) -> None:
    for settings, status, message in (
        ({"KUBECONFIG": str(tmp_path / "gone")}, 1, "no Kubernetes cluster is configured"),
        ({"THALE_POLL_S": "0"}, 2, "THALE_POLL_S: "),
    ):
        completed = subprocess.run(
            [sys.executable, "-m", "thale.release"],
            capture_output=True,
            text=True,
            env={**os.environ, **settings},
            timeout=TIMEOUT_S,
        )
        assert (completed.returncode, message in completed.stderr) == (status, True)
