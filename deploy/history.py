"""Deploy history, stored in the cluster so that any operator can roll back from any machine.

One ConfigMap for each deploy (`deploy-1`, `deploy-2`, …) holds author, time, commit, images, and manifests.
"""

import base64
import getpass
import gzip
import json
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from deploy.cluster import Cluster
from deploy.commands import run
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import CommandError, DeployError
from deploy.images import ContainerImage
from deploy.state import digest

_MAX_RECORDS = 10
_SELECTOR = "thale/deploy=true"


class DeployRecord(BaseModel):
    """One deploy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: datetime
    who: str
    commit: str
    images: tuple[ContainerImage, ...]
    manifests: str
    """Digest of the applied manifests without releases."""
    restores: int | None = None
    """The number of the restored deploy, if this one is a rollback."""

    @property
    def content_number(self) -> int:
        """The number of the deploy that stores these manifests."""
        return self.restores or self.number

    def describe(self) -> str:
        """Return a description of one line."""
        restored_text = f", restores {self.restores}" if self.restores else ""
        return f"deploy {self.number}{restored_text}: {self.at:%Y-%m-%d %H:%M} UTC by {self.who}, commit {self.commit}"


def load_history(cluster: Cluster) -> Sequence[DeployRecord]:
    """Return all recorded deploys, oldest first."""
    found = cluster.get("configmaps", "--namespace", NAMESPACE, "--selector", _SELECTOR) or {"items": ()}
    history = [DeployRecord.model_validate_json(each["data"]["record.json"]) for each in found["items"]]
    return sorted(history, key=lambda record: record.number)


def load_manifests(cluster: Cluster, number: int) -> Sequence[Mapping[str, Any]]:
    """Return the manifests of a deploy.

    Raises:
        DeployError: If they are no longer stored.
    """
    found = cluster.get("configmap", f"deploy-{number}", "--namespace", NAMESPACE)
    if found is None:
        raise DeployError(f"deploy {number} is not in the cluster, which stores the last {_MAX_RECORDS} deploys")
    return list(yaml.safe_load_all(gzip.decompress(base64.b64decode(found["binaryData"]["manifests.yaml.gz"]))))


def previous(history: Sequence[DeployRecord]) -> DeployRecord:
    """Return the deploy to restore: the one before the current manifests, not counting rollbacks.

    Raises:
        DeployError: If there is no earlier deploy.
    """
    earlier = (
        [each for each in history if each.restores is None and each.number < history[-1].content_number]
        if history
        else []
    )
    if not earlier:
        raise DeployError("there is no earlier deploy to restore")
    return earlier[-1]


def digest_without_releases(manifests: str) -> str:
    """Return the digest of manifests without InferenceServices, which `thale release` changes between deploys."""
    return digest([each for each in yaml.safe_load_all(manifests) if each and each["kind"] != "InferenceService"])


def save(
    context: DeployContext,
    cluster: Cluster,
    images: Sequence[ContainerImage],
    manifests: str,
    restores: int | None = None,
) -> DeployRecord:
    """Record a deploy, and delete the oldest records beyond the limit.

    Raises:
        CommandError: If kubectl cannot create the record.
    """
    history = load_history(cluster)
    number = history[-1].number + 1 if history else 1
    record = DeployRecord(
        number=number,
        at=datetime.now(UTC),
        who=f"{getpass.getuser()}@{socket.gethostname()}",
        commit=_describe_commit(context),
        images=tuple(images),
        manifests=digest_without_releases(manifests),
        restores=restores,
    )
    packed = base64.b64encode(gzip.compress(manifests.encode(), mtime=0)).decode()
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"deploy-{number}", "namespace": NAMESPACE, "labels": {"thale/deploy": "true"}},
        "data": {"record.json": record.model_dump_json()},
        "binaryData": {"manifests.yaml.gz": packed},
    }
    path = context.folder / "record.yaml"
    path.write_text(json.dumps(config_map))
    cluster.kubectl("create", "--filename", str(path))
    for old in history[: -_MAX_RECORDS + 1]:
        cluster.kubectl("delete", "configmap", f"deploy-{old.number}", "--namespace", NAMESPACE, "--ignore-not-found")
    return record


def _describe_commit(context: DeployContext) -> str:
    """Return the commit of the working tree, with the suffix `-dirty` if files differ from it."""
    try:
        return run(["git", "describe", "--always", "--dirty", "--abbrev=12"], folder=context.root).stdout.strip()
    except CommandError:
        return "none"
