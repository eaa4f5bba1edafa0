"""`python -m thale.release` and `thale release` in a cluster: a Kubernetes API over HTTP, a facade that only counts."""

import base64
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
from thale.release.lifecycle.identity import current_user, service_account_name
from thale.schemas import Release

STABLE, CANARY = "1.0.0", "1.1.0"
NAMESPACE = "plants"
OBJECT = Key(inference_service.PLURAL, NAMESPACE, MODEL)


@pytest.fixture
def api() -> Iterator[FakeKubernetesApi]:
    """A cluster whose model has a canary at 5 %."""
    on_trial = transitions.start_canary(make_release(STABLE), make_version(CANARY), ANNA)
    predictor = {
        "name": "v1-0-0",
        "minReplicas": 2,
        "model": {"name": "kserve-container", "modelFormat": {"name": "t"}},
    }
    live = {"metadata": {"name": MODEL, "namespace": NAMESPACE}, "spec": {"predictor": predictor}}
    uris = {name: f"https://account.blob.core.windows.net/models/{MODEL}/{name}" for name in on_trial.versions}
    with run_fake_kubernetes_api() as running:
        written = inference_service.resource_from_release(on_trial, live, uris)
        written["spec"]["predictor"] = {**predictor, **written["spec"]["predictor"]}
        running.objects.create(OBJECT, written, ("kubectl", "Apply"))
        yield running


@pytest.fixture
def facade() -> Iterator[FakeFacade]:
    with run_fake_facade() as running:
        yield running


@pytest.fixture
def environment(api: FakeKubernetesApi, facade: FakeFacade, tmp_path: Path) -> dict[str, str]:
    """What a process needs to find the cluster, whose namespace the kubeconfig names."""
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


def test_the_watcher_in_a_pod_steps_tells_and_lets_go(
    api: FakeKubernetesApi, facade: FakeFacade, environment: dict[str, str]
) -> None:
    words = [sys.executable, "-m", "thale.release"]
    watcher = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        wait_for("the first notes", lambda: api.objects.list("configmaps", NAMESPACE))
        assert holder(api)
        facade.count_responses(STABLE, 9000)
        facade.count_responses(CANARY, 900)
        wait_for("the next step", lambda: current_release(api).weight_percent == 25)
        facade.count_responses(CANARY, 7)
        people = [sys.executable, "-m", "thale", "release", "--context", "test", "status", "--json"]

        def heard() -> int:
            done = subprocess.run(people, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)
            [model] = json.loads(done.stdout)["models"]
            return int(model["canary_counts"]["requests"]) if model["canary_counts"] else 0

        wait_for("the notes of it", lambda: heard() == 7)
    finally:
        watcher.send_signal(signal.SIGTERM)
        _, log = watcher.communicate(timeout=TIMEOUT_S)
    assert watcher.returncode == 0, log
    assert all(json.loads(line) for line in log.splitlines())
    assert holder(api) == ""
    assert (current_release(api).history[-1].who, current_release(api).history[-1].what) == ("robot", "step")


def test_without_a_cluster_or_with_wrong_settings_it_says_so_and_ends(tmp_path: Path) -> None:
    for settings, status, told in (
        ({"KUBECONFIG": str(tmp_path / "gone")}, 1, "no Kubernetes cluster is configured"),
        ({"THALE_POLL_S": "0"}, 2, "THALE_POLL_S: "),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "thale.release"],
            capture_output=True,
            text=True,
            env={**os.environ, **settings},
            timeout=TIMEOUT_S,
        )
        assert (done.returncode, told in done.stderr) == (status, True)


def token(claims: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.signature"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (token('{"sub": "system:serviceaccount:plants:watcher"}'), "system:serviceaccount:plants:watcher"),
        (token("{}"), None),
        (token("[]"), None),
        ("e30.%%%.x", None),
        ("no token", None),
    ],
)
def test_a_pod_signs_with_its_service_account(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "token").write_text(text)
    assert service_account_name(tmp_path) == name


def test_outside_of_a_pod_the_user_signs_unless_another_name_is_given(tmp_path: Path) -> None:
    assert service_account_name(tmp_path) is None
    assert current_user("anna") == "anna"
    assert current_user(None)
