"""What has been deployed to a cluster, kept in it: whoever rolls back need not be who deployed, nor on that machine.

A ConfigMap each, `deploy-1`, `deploy-2`, …: who, when, from which commit, which images, and the manifests themselves.
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
from deploy.images import ImageReference
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
    images: tuple[ImageReference, ...]
    manifests: str
    """Digest of what was applied, releases left out."""
    restores: int | None = None
    """The deploy that this one, a rollback, has put back."""

    @property
    def content_number(self) -> int:
        """The number of the deploy whose manifests these are."""
        return self.restores or self.number

    def describe(self) -> str:
        """Return it as a line."""
        restored_text = f", puts back {self.restores}" if self.restores else ""
        return f"deploy {self.number}{restored_text}: {self.at:%Y-%m-%d %H:%M} UTC by {self.who}, commit {self.commit}"


def load_history(cluster: Cluster) -> Sequence[DeployRecord]:
    """Return what has been deployed, oldest first."""
    found = cluster.get("configmaps", "--namespace", NAMESPACE, "--selector", _SELECTOR) or {"items": ()}
    history = [DeployRecord.model_validate_json(each["data"]["record.json"]) for each in found["items"]]
    return sorted(history, key=lambda record: record.number)


def load_manifests(cluster: Cluster, number: int) -> Sequence[Mapping[str, Any]]:
    """Return what a deploy has applied.

    Raises:
        DeployError: If it is no longer kept.
    """
    found = cluster.get("configmap", f"deploy-{number}", "--namespace", NAMESPACE)
    if found is None:
        raise DeployError(f"the manifests of deploy {number} are no longer kept")
    return list(yaml.safe_load_all(gzip.decompress(base64.b64decode(found["binaryData"]["manifests.yaml.gz"]))))


def previous(history: Sequence[DeployRecord]) -> DeployRecord:
    """Return the deploy that a rollback puts back: the one before what runs now, rollbacks themselves left out.

    Raises:
        DeployError: If there is none.
    """
    earlier = (
        [each for each in history if each.restores is None and each.number < history[-1].content_number]
        if history
        else []
    )
    if not earlier:
        raise DeployError("there is no deploy before this one to go back to")
    return earlier[-1]


def digest_without_releases(manifests: str) -> str:
    """Return the digest of manifests but those that `thale release` changes between two deploys."""
    return digest([each for each in yaml.safe_load_all(manifests) if each and each["kind"] != "InferenceService"])


def save(
    context: DeployContext,
    cluster: Cluster,
    images: Sequence[ImageReference],
    manifests: str,
    restores: int | None = None,
) -> DeployRecord:
    """Write down a deploy, and forget those that are too old.

    Raises:
        CommandError: If the cluster does not take it.
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
    """Return the commit of the working tree, with a mark where files differ from it."""
    try:
        return run(["git", "describe", "--always", "--dirty", "--abbrev=12"], folder=context.root).stdout.strip()
    except CommandError:
        return "none"
