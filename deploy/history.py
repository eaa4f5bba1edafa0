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
from deploy.context import NAMESPACE, Job
from deploy.errors import CommandError, DeployError
from deploy.images import Named
from deploy.state import digest_of

_KEPT = 10
_SELECTOR = "thale/deploy=true"


class Record(BaseModel):
    """One deploy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: datetime
    who: str
    commit: str
    images: tuple[Named, ...]
    manifests: str
    """Digest of what was applied, releases left out."""
    restores: int | None = None
    """The deploy that this one, a rollback, has put back."""

    @property
    def content(self) -> int:
        """The number of the deploy whose manifests these are."""
        return self.restores or self.number

    def told(self) -> str:
        """Return it as a line."""
        restored = f", puts back {self.restores}" if self.restores else ""
        return f"deploy {self.number}{restored}: {self.at:%Y-%m-%d %H:%M} UTC by {self.who}, commit {self.commit}"


def records(cluster: Cluster) -> Sequence[Record]:
    """Return what has been deployed, oldest first."""
    found = cluster.get("configmaps", "--namespace", NAMESPACE, "--selector", _SELECTOR) or {"items": ()}
    read = [Record.model_validate_json(each["data"]["record.json"]) for each in found["items"]]
    return sorted(read, key=lambda record: record.number)


def manifests_of(cluster: Cluster, number: int) -> Sequence[Mapping[str, Any]]:
    """Return what a deploy has applied.

    Raises:
        DeployError: If it is no longer kept.
    """
    found = cluster.get("configmap", f"deploy-{number}", "--namespace", NAMESPACE)
    if found is None:
        raise DeployError(f"the manifests of deploy {number} are no longer kept")
    return list(yaml.safe_load_all(gzip.decompress(base64.b64decode(found["binaryData"]["manifests.yaml.gz"]))))


def before(known: Sequence[Record]) -> Record:
    """Return the deploy that a rollback puts back: the one before what runs now, rollbacks themselves left out.

    Raises:
        DeployError: If there is none.
    """
    earlier = [each for each in known if each.restores is None and each.number < known[-1].content] if known else []
    if not earlier:
        raise DeployError("there is no deploy before this one to go back to")
    return earlier[-1]


def digest_without_releases(manifests: str) -> str:
    """Return the digest of manifests but those that `thale release` changes between two deploys."""
    return digest_of([each for each in yaml.safe_load_all(manifests) if each and each["kind"] != "InferenceService"])


def keep(job: Job, cluster: Cluster, images: Sequence[Named], manifests: str, restores: int | None = None) -> Record:
    """Write down a deploy, and forget those that are too old.

    Raises:
        CommandError: If the cluster does not take it.
    """
    known = records(cluster)
    number = known[-1].number + 1 if known else 1
    record = Record(
        number=number,
        at=datetime.now(UTC),
        who=f"{getpass.getuser()}@{socket.gethostname()}",
        commit=_commit(job),
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
    path = job.folder / "record.yaml"
    path.write_text(json.dumps(config_map))
    cluster.kubectl("create", "--filename", str(path))
    for old in known[: -_KEPT + 1]:
        cluster.kubectl("delete", "configmap", f"deploy-{old.number}", "--namespace", NAMESPACE, "--ignore-not-found")
    return record


def _commit(job: Job) -> str:
    """Return the commit of the working tree, with a mark where files differ from it."""
    try:
        return run(["git", "describe", "--always", "--dirty", "--abbrev=12"], folder=job.root).stdout.strip()
    except CommandError:
        return "none"
