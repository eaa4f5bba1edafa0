"""Releases in a cluster: InferenceServices, changed by server-side apply.

A new version gets an entry of its own in spec.canary, at 0 percent, before the release names it; its predictor gets
ready and answers the golden plates; then one apply makes the release so. What it holds no longer stays as an entry at
0 percent until every request is answered, and is dropped in the background. Every apply names the object's version
that it was made from. Whoever is killed in between leaves at most an unused entry, which the next change drops.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from kubernetes import client
from urllib3.exceptions import HTTPError

from thale.errors import ConflictError, ReleaseError, TargetError, UnknownModelError
from thale.kserve import inference_service
from thale.release.registry import golden
from thale.release.targets import VersionedRelease, WarmUp, compute_revision
from thale.release.targets.background_unload import BackgroundUnloader
from thale.schemas import Release, VersionManifest

logger = logging.getLogger(__name__)

FIELD_MANAGER = "thale-release"
_MAX_ATTEMPTS = 10
_API_TIMEOUT_S = 10.0


class VersionStore(Protocol):
    """Where the archives of registered versions are."""

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, or raise UnknownVersionError."""
        ...

    def uri(self, model: str, version: str) -> str:
        """Return where KServe's storage initializer finds a version's archive: its `storageUri`."""
        ...


@dataclass(frozen=True)
class TargetTimeouts:
    """How long things may take, in seconds."""

    load_s: float = 1200.0
    """A predictor, from being asked for to being ready: a node may have to start first."""
    poll_s: float = 1.0
    """Between two looks at it."""
    warm_up_s: float = 120.0
    drain_s: float = 65.0
    """A facade follows within a second, and gives no answer later than a minute after its question."""


@dataclass
class KServeTarget(BackgroundUnloader):
    """Changes the releases of a namespace. Leaving the context waits until what has gone from them is unloaded."""

    api: client.ApiClient
    namespace: str
    store: VersionStore
    warm_up: WarmUp = golden.warm_up
    timeouts: TargetTimeouts = TargetTimeouts()
    url_template: str = inference_service.URL_TEMPLATE
    _removed_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """When a model's version was last released, in seconds of the monotonic clock."""

    def models(self) -> Sequence[str]:
        """Return the names of the models that are released."""
        try:
            response: Any = client.CustomObjectsApi(self.api).list_namespaced_custom_object(
                *self._resource_type, _request_timeout=_API_TIMEOUT_S
            )
        except (client.ApiException, HTTPError) as error:
            raise _to_error("the InferenceServices cannot be listed", error) from error
        return sorted(item["metadata"]["name"] for item in response["items"] if inference_service.is_release(item))

    def read(self, model: str) -> VersionedRelease:
        """Return a model's release.

        Raises:
            UnknownModelError: If there is no such InferenceService.
            TargetError: If it is none of ours, or the API does not answer.
        """
        return self._to_versioned_release(self._get(model))

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, whether it is held or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        return self.store.find(model, version)

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Make `after` so: load what is new beside the rest, make the release so, and drop later what has gone.

        Raises:
            ConflictError: If the release is no longer the one that was read. Nothing has changed.
            TargetError: If a version does not come up. The traffic goes on as before.
        """
        after = self._with_urls(after)
        known = inference_service.storage_uris(self._get(after.name))
        new = [version for version in after.versions if version not in before.release.versions]
        obsolete = known.keys() - after.versions.keys()
        if new:
            uris = {version: self.store.uri(after.name, version) for version in new}
            result = self._load_and_apply(before, after, uris, obsolete)
        else:
            result = self._apply_release(before, after, {}, obsolete)
        if obsolete:
            self._schedule_drop(after.name, obsolete)
        return result

    def drop(self, model: str, versions: Collection[str]) -> None:
        """Take the entries of these versions away, but for those that the release holds (again).

        Raises:
            ConflictError: If others change the object all the time.
            TargetError: If the API does not do it.
        """
        live = self._get(model)
        unused = inference_service.storage_uris(live).keys() - self._to_versioned_release(live).release.versions.keys()
        if unused & set(versions):
            now = self._to_versioned_release(live)
            self._apply_release(now, now.release, {}, unused - set(versions))

    def _load_and_apply(
        self, before: VersionedRelease, after: Release, uris: Mapping[str, str], obsolete: Set[str]
    ) -> VersionedRelease:
        """Give the new versions predictors, and name them once they answer; where that fails, take them away again."""
        model, new = after.name, uris.keys()
        self._apply_release(before, before.release, uris, obsolete | new)
        try:
            for version in new:
                self._wait_until_ready(model, version)
                self.warm_up(after.versions[version].url, model, version, self.timeouts.warm_up_s)
                logger.info("version loaded", extra={"model": model, "version": version})
            return self._apply_release(before, after, {}, obsolete)
        except ReleaseError:
            self._try_drop(model, new)
            raise

    def _wait_until_ready(self, model: str, version: str) -> None:
        deadline = time.monotonic() + self.timeouts.load_s
        while True:
            live = self._get(model)
            if version not in inference_service.storage_uris(live):
                raise ConflictError(f"{model} was changed by somebody else while {version} was being loaded")
            if inference_service.is_ready(live, version):
                return
            if time.monotonic() > deadline:
                raise TargetError(f"the predictor of {model} {version} is not ready after {self.timeouts.load_s:g} s")
            time.sleep(self.timeouts.poll_s)

    def _try_drop(self, model: str, versions: Collection[str]) -> None:
        try:
            self.drop(model, versions)
        except ReleaseError as error:  # the next change drops them
            logger.warning("version unload failed", extra={"model": model, "error": str(error)})

    def _apply_release(
        self, before: VersionedRelease, after: Release, uris: Mapping[str, str], extra_versions: Collection[str]
    ) -> VersionedRelease:
        """Apply a release, as long as it is the one that was read.

        The object itself changes all the time, by KServe's status: then it is read and applied again.
        """
        objects = client.CustomObjectsApi(self.api)
        desired_revision = None
        for _ in range(_MAX_ATTEMPTS):
            live = self._get(after.name)
            now = self._to_versioned_release(live)
            if now.revision != before.revision:
                if now.revision == desired_revision:
                    return now  # the apply before did it, and its answer was lost
                break
            known = inference_service.storage_uris(live).keys() | uris.keys()
            if not after.versions.keys() <= known:
                break  # somebody took away what was loaded for this very change
            desired = inference_service.resource_from_release(after, live, uris, known & set(extra_versions))
            desired_revision = self._to_versioned_release(desired).revision
            version = live["metadata"]["resourceVersion"]
            body = {**desired, "metadata": {**desired["metadata"], "resourceVersion": version}}
            try:
                response: Any = objects.patch_namespaced_custom_object(
                    *self._resource_type,
                    after.name,
                    body,
                    field_manager=FIELD_MANAGER,
                    force=True,
                    _content_type="application/apply-patch+yaml",
                    _request_timeout=_API_TIMEOUT_S,
                )
            except client.ApiException as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise _to_error(f"{after.name} cannot be changed", error) from error
            except HTTPError as error:
                raise _to_error(f"{after.name} cannot be changed", error) from error
            else:
                return self._to_versioned_release(response)
        raise ConflictError(f"{after.name} was changed by somebody else in between: read it again")

    def _schedule_drop(self, model: str, versions: Collection[str]) -> None:
        self._removed_at |= dict.fromkeys(((model, version) for version in versions), time.monotonic())

        def drop() -> None:
            time.sleep(self.timeouts.drain_s)
            latest = time.monotonic() - self.timeouts.drain_s  # one may have been released again, and left again
            self._try_drop(model, [version for version in versions if self._removed_at[model, version] <= latest])

        self._run_in_background(model, drop)

    def _get(self, model: str) -> inference_service.Resource:
        try:
            response: Any = client.CustomObjectsApi(self.api).get_namespaced_custom_object(
                *self._resource_type, model, _request_timeout=_API_TIMEOUT_S
            )
        except client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise UnknownModelError(model, list(self.models())) from error
            raise _to_error(f"{model} cannot be read", error) from error
        except HTTPError as error:
            raise _to_error(f"{model} cannot be read", error) from error
        return dict(response)

    def _to_versioned_release(self, live: inference_service.Resource) -> VersionedRelease:
        release = inference_service.release_from_resource(live, self.url_template)
        return VersionedRelease(release, compute_revision(release))

    def _with_urls(self, release: Release) -> Release:
        """Return the release with the address of each version's predictor, as it will be read."""
        versions = {
            version: manifest.model_copy(
                update={
                    "url": inference_service.predictor_url(release.name, version, self.namespace, self.url_template)
                }
            )
            for version, manifest in release.versions.items()
        }
        return release.model_copy(update={"versions": versions})

    @property
    def _resource_type(self) -> tuple[str, str, str, str]:
        return (
            inference_service.GROUP,
            inference_service.API_VERSION,
            self.namespace,
            inference_service.PLURAL,
        )


def _to_error(failure: str, error: client.ApiException | HTTPError) -> TargetError:
    why = f"{error.status} {error.reason}" if isinstance(error, client.ApiException) else str(error)
    return TargetError(f"{failure}: the Kubernetes API says {why}")
