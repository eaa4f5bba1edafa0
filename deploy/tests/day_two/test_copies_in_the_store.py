"""Restoration of releases from the copies of the controller, on a fake API server without the steps of a deploy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import cluster as clusters
from deploy import smoke
from deploy.context import DeployContext
from deploy.day_two import cluster_checks, rebuild, release_copies
from deploy.day_two.drills import drill_restore
from deploy.errors import DeployError
from tests.support.controller_pod import NAMESPACE, ControllerPod, promote
from tests.support.deploy_environment import REPOSITORY
from tests.support.fake_cluster import FakeCluster, run_fake_cluster
from tests.support.fake_kubernetes_objects import Key

FIRST_RELEASE = REPOSITORY / "kubernetes" / "base" / "first-release.yaml"
PLURAL = "inferenceservices"


@dataclass
class ApiCluster:
    """Takes the place of `deploy.cluster.Cluster`, without kubectl."""

    api: FakeCluster

    def check_environment(self) -> None:
        """Accept the environment."""

    def get(self, kind: str, *arguments: str) -> Any:
        return {"items": self.api.objects.list(kind.partition(".")[0], NAMESPACE)}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Delete all InferenceServices, and apply saved releases."""
        if arguments[:2] == ("delete", "inferenceservices.serving.kserve.io"):
            for body in self.api.objects.list(PLURAL, NAMESPACE):
                self.api.objects.delete(Key(PLURAL, NAMESPACE, body["metadata"]["name"]))
        elif arguments[0] == "apply":
            release = yaml.safe_load(stdin or "")
            self.api.objects.apply(_key(release), release, "thale-release", force=True)
        return ""


@pytest.fixture
def api() -> Iterator[FakeCluster]:
    with run_fake_cluster() as running:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}
        running.objects.create(Key("namespaces", "", NAMESPACE), namespace, ("deploy", "Update"))
        deploy(running)
        yield running


def deploy(api: FakeCluster) -> None:
    """Create the first releases, as the step `overlay` does in a new cluster."""
    for release in yaml.safe_load_all(FIRST_RELEASE.read_text()):
        if release and _key(release) not in api.objects.stored_keys():
            api.objects.apply(_key(release), release, "thale-deploy", force=True)


def _key(release: Any) -> Key:
    return Key(PLURAL, NAMESPACE, release["metadata"]["name"])


@pytest.fixture
def pod(api: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControllerPod:
    """The controller's pod, and a deploy that only creates the first releases."""
    pod = ControllerPod(api, tmp_path / "releases")
    monkeypatch.setattr(release_copies, "_run_in_controller", pod.run)
    monkeypatch.setattr(clusters, "connect", lambda context: ApiCluster(api))
    monkeypatch.setattr(cluster_checks, "find_unready_objects", lambda cluster: [])
    monkeypatch.setattr(rebuild, "run_steps", lambda context, fresh: deploy(api))
    monkeypatch.setattr(smoke, "run", lambda context: None)
    return pod


def stable_versions(api: FakeCluster) -> dict[str, str]:
    return {body["metadata"]["name"]: body["spec"]["predictor"]["name"] for body in api.objects.list(PLURAL, NAMESPACE)}


def test_drill_deletes_and_restores_the_releases(context: DeployContext, api: FakeCluster, pod: ControllerPod) -> None:
    """Nothing was saved by hand: the controller copied the promotion to the store."""
    promote(api, "plate-seg", "1.1.0")
    pod.copy_releases()
    assert drill_restore(context, apply=False) == {}
    uid = api.objects.get(Key(PLURAL, NAMESPACE, "plate-seg"))["metadata"]["uid"]
    seconds = drill_restore(context, apply=True)
    assert seconds.keys() == {"deploy", "releases"}
    assert stable_versions(api) == {"plate-landmarks": "v1-0-0", "plate-seg": "v1-1-0"}
    assert api.objects.get(Key(PLURAL, NAMESPACE, "plate-seg"))["metadata"]["uid"] != uid, "nothing was deleted"
    assert [event.what for event in pod.release("plate-seg").history] == ["promote", "restore"]
    output = context.console.file.getvalue()  # type: ignore[attr-defined]
    assert "plate-landmarks: 1.0.0 is current" in output
    assert re.search(r"RTO: \d+ s\. RPO: no change of a release was lost", output)


def test_drill_refuses_to_lose_a_change_without_a_copy(
    context: DeployContext, api: FakeCluster, pod: ControllerPod
) -> None:
    pod.copy_releases()
    promote(api, "plate-seg", "1.1.0")
    with pytest.raises(DeployError, match=r"not current: plate-seg: the copy of .* is not the release"):
        drill_restore(context, apply=True)
    assert stable_versions(api)["plate-seg"] == "v1-1-0"


def test_rebuild_uses_the_committed_file_without_a_copy(
    context: DeployContext, api: FakeCluster, pod: ControllerPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(api, "plate-seg", "1.1.0")
    saved = [body for body in api.objects.list(PLURAL, NAMESPACE) if body["metadata"]["name"] == "plate-seg"]
    release = {key: saved[0][key] for key in ("apiVersion", "kind", "spec")}
    release["metadata"] = {key: saved[0]["metadata"][key] for key in ("name", "annotations")}
    monkeypatch.setattr(rebuild, "read_releases", lambda path: [release])
    ApiCluster(api).kubectl("delete", "inferenceservices.serving.kserve.io")
    rebuild.rebuild(context, None, apply=True)
    assert stable_versions(api)["plate-seg"] == "v1-1-0"
