"""Builds the overlay, and applies it by fields where it differs from what the cluster has."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from deploy import cluster as clusters
from deploy.cluster import Cluster
from deploy.commands import run as run_program
from deploy.context import Job
from deploy.errors import CommandError, DeployError, ReleaseChangedError
from deploy.history import digest_without_releases, keep, manifests_of, records
from deploy.images import images
from deploy.release_file import live_releases, write_release_file

RENDERED = "rendered.yaml"
_ATTEMPTS = 3
RELEASES_MANAGER = "thale-release"
"""Who owns the fields of a release (thale.release.targets.kserve, whose import takes the Kubernetes client along)."""
_CONFLICT = re.compile(r'conflicts? with "([^"]+)"')


def run(job: Job) -> None:
    """Apply what differs, and write down the deploy.

    Raises:
        CommandError: If kubectl fails.
        DeployError: If somebody else holds a field with another value: nothing is taken from anybody.
    """
    cluster = clusters.connect(job)
    cluster.check()
    changed_meanwhile = retry_if_exception_type(ReleaseChangedError)
    for attempt in Retrying(retry=changed_meanwhile, stop=stop_after_attempt(_ATTEMPTS), reraise=True):
        with attempt:
            _apply_once(job, cluster)


def render(job: Job, cluster: Cluster) -> Path:
    """Write release.yaml as of now, build the overlay, and return the file with all manifests.

    Raises:
        CommandError: If kustomize refuses it.
    """
    write_release_file(job, images(job), live_releases(cluster) if _has_kserve(cluster) else ())
    path = job.folder / RENDERED
    path.write_text(run_program(["kubectl", "kustomize", str(job.overlay)]).stdout)
    return path


def difference(cluster: Cluster, rendered: Path) -> str:
    """Return what applying would change, as `kubectl diff` prints it; of a cluster that has nothing, a sentence.

    Raises:
        DeployError: As `apply` does.
    """
    if clusters.missing_namespace(cluster):
        objects = [each for each in yaml.safe_load_all(rendered.read_text()) if each]
        return f"the cluster has nothing of it yet: {len(objects)} objects are new"
    with _naming_conflicts():
        return cluster.diff(rendered)


def apply(cluster: Cluster, rendered: Path) -> str:
    """Apply manifests.

    Raises:
        ReleaseChangedError: If a release is no longer the one that the manifests were made with.
        DeployError: If somebody else holds a field with another value.
        CommandError: If kubectl fails otherwise.
    """
    with _naming_conflicts():
        return cluster.apply(rendered)


@contextmanager
def _naming_conflicts() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        managers = set(_CONFLICT.findall(error.said))
        if managers == {RELEASES_MANAGER}:
            raise ReleaseChangedError(
                f"`thale release` changed a release while it was being deployed: {error}"
            ) from error
        if managers:
            raise DeployError(
                f"{error}\n{', '.join(sorted(managers))} holds these fields with another value. Take the change into "
                "the manifests, or have it taken back; --force-conflicts would undo it unasked."
            ) from error
        raise


def _apply_once(job: Job, cluster: Cluster) -> None:
    """Apply what differs, if anything does; and write it down, also where a run before was interrupted in between."""
    rendered = render(job, cluster)
    text = rendered.read_text()
    known = [] if clusters.missing_namespace(cluster) else records(cluster)
    if difference(cluster, rendered):
        job.say(f"applied: {_counted(apply(cluster, rendered))}")
    elif known and known[-1].manifests == digest_without_releases(text):
        job.say("nothing differs")
        return
    job.say(keep(job, cluster, images(job), text).told())
    if known:
        _tell_what_stays(job, cluster, known[-1].content, rendered)


def _counted(said: str) -> str:
    """Return how many objects kubectl has done what with."""
    return f"{sum(line.endswith(' serverside-applied') for line in said.splitlines())} objects"


def _tell_what_stays(job: Job, cluster: Cluster, before: int, rendered: Path) -> None:
    """Name the objects of the deploy before that this one no longer has: an apply never deletes."""
    named = {
        (each["kind"], each["metadata"]["name"])
        for each in yaml.safe_load_all(rendered.read_text())
        if each is not None
    }
    for kind, name in sorted(
        {(each["kind"], each["metadata"]["name"]) for each in manifests_of(cluster, before)} - named
    ):
        job.say(f"no longer in the overlay, and still in the cluster: {kind.lower()}/{name}")


def _has_kserve(cluster: Cluster) -> bool:
    """Whether the cluster knows InferenceServices: before the platform is installed it has no releases either."""
    return cluster.get("customresourcedefinition", "inferenceservices.serving.kserve.io") is not None
