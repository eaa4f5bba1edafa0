"""Live releases as a file, and their restoration in a new cluster.

The release state is stored in the cluster only, so a deleted cluster loses it. The overlay's release.yaml, which each
deploy writes and an organisation commits, has the releases of that time. `save-releases` writes a file at any time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy import readiness
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.day_two.procedure import Action, Procedure
from deploy.errors import DeployError, MissingPrerequisite
from deploy.overlay import RELEASE_FIELD_MANAGER
from deploy.release_file import read_live_releases
from thale.host.files import write_atomically

Release = Mapping[str, Any]

_KIND = "InferenceService"


def save_releases(cluster: Cluster, path: Path) -> Sequence[str]:
    """Write the live releases to a file, and return the names of their models. The file has no secret.

    Raises:
        DeployError: If the cluster has no release: an empty file must not replace a full one.
    """
    releases = read_live_releases(cluster)
    if not releases:
        raise DeployError(f"the cluster has no release: {path} is unchanged")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, yaml.safe_dump_all(releases, sort_keys=False, width=10_000).encode())
    return [release["metadata"]["name"] for release in releases]


def read_releases(path: Path) -> Sequence[Release]:
    """Return the releases of a file of `save_releases`, or of an overlay's release.yaml.

    Raises:
        DeployError: If the file is missing or has no release.
    """
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    except (OSError, yaml.YAMLError) as error:
        raise DeployError(
            f"{path} cannot be read ({error}): pass a file of save-releases, or a release.yaml"
        ) from error
    releases = [document for document in documents if document.get("kind") == _KIND]
    releases += [
        yaml.safe_load(document["patch"])
        for document in documents
        if document.get("kind") == "PatchTransformer" and document["target"] == {"kind": _KIND, "name": _name(document)}
    ]
    if not releases:
        raise DeployError(
            f"{path} has no release: pass a file of save-releases, or run make deploy to serve the first release"
        )
    return releases


def plan_restore(context: DeployContext, cluster: Cluster, releases: Sequence[Release]) -> Procedure:
    """Return the actions that set the stable versions of a new cluster to those of a file.

    Canaries are not restored: a rollout starts again.
    """
    live = {release["metadata"]["name"]: release for release in read_live_releases(cluster)}
    changed = [release for release in releases if live.get(release["metadata"]["name"]) != release]
    missing = [release["metadata"]["name"] for release in releases if release["metadata"]["name"] not in live]
    apply = (
        *("kubectl", "apply", "--server-side", "--field-manager", RELEASE_FIELD_MANAGER),
        *("--force-conflicts", "--filename", "-"),
    )
    return Procedure(
        name="restoration of the releases",
        actions=[
            Action(
                f"{release['metadata']['name']}: stable version {release['spec']['predictor']['name']}",
                [apply],
                check=lambda: readiness.run(context),
                stdin=yaml.safe_dump(release, sort_keys=False, width=10_000),
            )
            for release in changed
        ],
        problems=[
            MissingPrerequisite(f"the cluster has no InferenceService {name}", "deploy first: make deploy")
            for name in missing
        ],
        undo=f"thale release rollback, or restore another file; namespace {NAMESPACE}",
    )


def _name(document: Mapping[str, Any]) -> str:
    return str(document["metadata"]["name"])
