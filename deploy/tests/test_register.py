"""Registration of a user's archive on the volume of a laptop's cluster, from a pod."""

import base64
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy import cluster as clusters
from deploy import models, register
from deploy.errors import CommandError, DeployError
from deploy.images import ContainerImage
from deploy.settings import Environment
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment


@dataclass
class RecordingCluster:
    """A cluster that records calls of kubectl, and fails at a command that contains `failing`."""

    failing: str = ""
    applied: list[Any] = field(default_factory=list)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)

    def check_environment(self) -> None:
        """Accept the environment."""

    def apply(self, manifests: Path) -> str:
        self.applied.append(json.loads(manifests.read_text()))
        return ""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        self.calls.append(arguments)
        if self.failing and self.failing in arguments:
            raise CommandError(arguments, 1, "thale: plate-seg 1.1.0 fails the golden plates")
        if stdin is not None:
            self.files.append(base64.b64decode(stdin))
        return "plate-seg 1.1.0 registered"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> RecordingCluster:
    cluster = RecordingCluster()
    image = ContainerImage(name="thale-model-server", repository="thale-model-server", tag="tag")
    monkeypatch.setattr(clusters, "connect", lambda context: cluster)
    monkeypatch.setattr(models, "load_image_references", lambda context: [image])
    return cluster


@pytest.mark.integration
def test_archive_is_registered_on_the_volume(env: DeployEnvironment, cluster: RecordingCluster, tmp_path: Path) -> None:
    archive, signature = tmp_path / "plate-seg-1.1.0.mar", tmp_path / "plate-seg.sig"
    archive.write_bytes(b"archive")
    signature.write_bytes(b"signature")
    register.register(env.context(Environment.LAPTOP), archive, signature)
    (pod,) = cluster.applied
    (container,) = pod["spec"]["containers"]
    assert (pod["kind"], container["command"][0]) == ("Pod", "sleep")
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "store"}} in pod["spec"]["volumes"]
    assert cluster.files == [b"archive", b"signature"]
    command = next(call[call.index("--") + 1 :] for call in cluster.calls if "register" in call)
    assert command[:4] == ("thale", "release", "--store", "/store/models")
    assert command[-3:] == ("/tmp/plate-seg-1.1.0.mar", "--signature", "/tmp/plate-seg.sig")
    assert cluster.calls[-1][:3] == ("delete", "pod", "register-archive")
    assert "plate-seg 1.1.0 registered" in env.output.getvalue()


@pytest.mark.integration
def test_pod_is_deleted_after_a_failed_registration(
    env: DeployEnvironment, cluster: RecordingCluster, tmp_path: Path
) -> None:
    archive = tmp_path / "model.mar"
    archive.write_bytes(b"archive")
    cluster.failing = "register"
    with pytest.raises(DeployError, match="golden plates"):
        register.register(env.context(Environment.LAPTOP), archive)
    assert cluster.calls[-1][:2] == ("delete", "pod")


@pytest.mark.integration
def test_registration_on_azure_names_the_command(env: DeployEnvironment, tmp_path: Path) -> None:
    context = env.context(Environment.DEV)
    shutil.copyfile(REPOSITORY / "deploy" / "tests" / "data" / "outputs.json", context.folder / "outputs.json")
    with pytest.raises(DeployError, match="thale release --store https://"):
        register.register(context, tmp_path / "model.mar")
