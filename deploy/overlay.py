"""Builds the overlay and applies it server-side if it differs from the cluster."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from deploy import cluster as clusters
from deploy.cluster import Cluster
from deploy.commands import run as run_program
from deploy.context import DeployContext
from deploy.errors import CommandError, DeployError, ReleaseChangedError
from deploy.history import digest_without_releases, load_history, load_manifests, save
from deploy.images import load_image_references
from deploy.release_file import read_live_releases, write_release_file

RENDERED = "rendered.yaml"
_ATTEMPTS = 3
RELEASE_FIELD_MANAGER = "thale-release"
"""Field manager of releases, as in thale.release.targets.kserve, whose import would load the Kubernetes client."""
_CONFLICT = re.compile(r'conflicts? with "([^"]+)"')


def run(context: DeployContext) -> None:
    """Apply the differences and record the deploy.

    Raises:
        CommandError: If kubectl fails.
        DeployError: If another manager owns a field with another value. No field is taken over.
    """
    cluster = clusters.connect(context)
    cluster.check_environment()
    release_changed = retry_if_exception_type(ReleaseChangedError)
    for attempt in Retrying(retry=release_changed, stop=stop_after_attempt(_ATTEMPTS), reraise=True):
        with attempt:
            _apply_once(context, cluster)


def render(context: DeployContext, cluster: Cluster) -> Path:
    """Write release.yaml from the live releases, build the overlay, and return the file with all manifests.

    Raises:
        CommandError: If kustomize fails.
    """
    write_release_file(
        context, load_image_references(context), read_live_releases(cluster) if _has_kserve(cluster) else ()
    )
    path = context.folder / RENDERED
    path.write_text(run_program(["kubectl", "kustomize", str(context.overlay)]).stdout)
    return path


def difference(cluster: Cluster, rendered: Path) -> str:
    """Return the output of `kubectl diff`, or a sentence for a cluster without a deploy.

    Raises:
        DeployError: As for `apply`.
    """
    if clusters.is_namespace_missing(cluster):
        objects = [each for each in yaml.safe_load_all(rendered.read_text()) if each]
        return f"the cluster has no deploy yet: {len(objects)} objects are new"
    with _explain_conflicts():
        return cluster.diff(rendered)


def apply(cluster: Cluster, rendered: Path) -> str:
    """Apply manifests.

    Raises:
        ReleaseChangedError: If a release changed after the manifests were built.
        DeployError: If another manager owns a field with another value.
        CommandError: If kubectl fails otherwise.
    """
    with _explain_conflicts():
        return cluster.apply(rendered)


@contextmanager
def _explain_conflicts() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        managers = set(_CONFLICT.findall(error.output))
        if managers == {RELEASE_FIELD_MANAGER}:
            raise ReleaseChangedError(f"`thale release` changed a release during the deploy: {error}") from error
        if managers:
            raise DeployError(
                f"{error}\n{', '.join(sorted(managers))} owns these fields with another value. Copy the change into "
                "the manifests, or have its author revert it. Do not use --force-conflicts: it overwrites the change."
            ) from error
        raise


def _apply_once(context: DeployContext, cluster: Cluster) -> None:
    """Apply the differences, if any, and record the deploy if it is not recorded yet."""
    rendered = render(context, cluster)
    text = rendered.read_text()
    history = [] if clusters.is_namespace_missing(cluster) else load_history(cluster)
    if difference(cluster, rendered):
        context.log(f"applied: {_count_applied(apply(cluster, rendered))}")
    elif history and history[-1].manifests == digest_without_releases(text):
        context.log("no differences")
        return
    context.log(save(context, cluster, load_image_references(context), text).describe())
    if history:
        _log_orphaned_objects(context, cluster, history[-1].content_number, rendered)


def _count_applied(output: str) -> str:
    """Return the number of applied objects, with its unit."""
    return f"{sum(line.endswith(' serverside-applied') for line in output.splitlines())} objects"


def _log_orphaned_objects(context: DeployContext, cluster: Cluster, previous_number: int, rendered: Path) -> None:
    """Log the objects of the previous deploy that are no longer in the overlay: an apply never deletes."""
    current_objects = {
        (each["kind"], each["metadata"]["name"])
        for each in yaml.safe_load_all(rendered.read_text())
        if each is not None
    }
    for kind, name in sorted(
        {(each["kind"], each["metadata"]["name"]) for each in load_manifests(cluster, previous_number)}
        - current_objects
    ):
        context.log(f"no longer in the overlay but still in the cluster: {kind.lower()}/{name}")


def _has_kserve(cluster: Cluster) -> bool:
    """Return whether the cluster has the kind InferenceService. Without KServe there are no releases."""
    return cluster.get("customresourcedefinition", "inferenceservices.serving.kserve.io") is not None
