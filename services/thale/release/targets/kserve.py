"""Release target of a cluster: InferenceServices, changed by server-side apply.

A new version first receives an entry in spec.canary at 0 percent. When its predictor is ready and has predicted the
golden plates, one apply writes the release. A version gets its replicas before it gets more requests. A removed version
stays at 0 percent until its last response, and a background thread drops its entry. Every apply carries the
resourceVersion of its read. An interrupted change removes its entry. A killed process leaves at most an unused entry,
which the next change or `thale release drop` removes (ADR 0019).
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from kubernetes import client
from urllib3.exceptions import HTTPError

from thale.errors import ConflictError, ReleaseError, TargetError, UnknownModelError
from thale.kserve import inference_service
from thale.kserve.propagation import PropagationCheck
from thale.release.registry import golden
from thale.release.registry.signatures import SignaturePolicy, check_registered
from thale.release.targets import TargetTimeouts, VersionedRelease, VersionStore, WarmUp, compute_revision
from thale.release.targets.background_unload import BackgroundUnloader
from thale.release.targets.predictor_loading import PredictorLoading, Progress, log_progress
from thale.schemas import Release, VersionManifest

logger = logging.getLogger(__name__)

FIELD_MANAGER = "thale-release"
_MAX_ATTEMPTS = 10
_API_TIMEOUT_S = 10.0
_ROLLBACK_OR_ABORT = ("roll back", "abort")
"""Changes that remove a bad version. A restart of predictors does not prevent them."""
_ROLLBACK_SCALE_S = 60.0
"""Maximum wait for all replicas of the version that replaces a bad one. Then one replica is sufficient."""
DEFAULT_TIMEOUTS = TargetTimeouts(load_s=1200.0, drain_s=65.0)
"""A predictor may wait for a new node. A facade reads a change within a second and responds within a minute."""


@dataclass
class KServeTarget(BackgroundUnloader):
    """Release target of a namespace. Leaving the context waits for pending unloads."""

    api: client.ApiClient
    namespace: str
    store: VersionStore
    warm_up: WarmUp = golden.warm_up
    timeouts: TargetTimeouts = DEFAULT_TIMEOUTS
    url_template: str = inference_service.URL_TEMPLATE
    progress: Progress = log_progress
    _removed_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """Time at which a model's version was last removed from its release, in seconds of the monotonic clock."""

    def models(self) -> Sequence[str]:
        """Return the names of the released models."""
        try:
            response: Any = client.CustomObjectsApi(self.api).list_namespaced_custom_object(
                *self._resource_type, _request_timeout=_API_TIMEOUT_S
            )
        except (client.ApiException, HTTPError) as error:
            raise _to_error("the InferenceServices cannot be listed", error) from error
        return sorted(item["metadata"]["name"] for item in response["items"] if inference_service.is_release(item))

    def read(self, model: str) -> VersionedRelease:
        """Return the release of a model.

        Raises:
            UnknownModelError: If there is no such InferenceService.
            TargetError: If it is not a release of thale, or the API does not respond.
        """
        return self._to_versioned_release(self._get(model))

    def find(self, model: str, version: str) -> VersionManifest:
        """Return a registered version, loaded or not.

        Raises:
            UnknownVersionError: If the store has no such version.
        """
        return self.store.find(model, version)

    def unused(self, model: str) -> Sequence[str]:
        """Return the versions with a predictor that the release does not contain, ascending."""
        live = self._get(model)
        return inference_service.unused_versions(live, self._to_versioned_release(live).release)

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        """Load new versions, apply the release, and drop removed versions in the background.

        Raises:
            ConflictError: If the release has changed since `before` was read. Nothing is changed.
            SignatureError: If a new version is not signed by a trusted key, and there are trusted keys.
            StoreError: If the cluster cannot read the store of a new version.
            TargetError: If a version cannot be loaded, its replicas are not ready, or KServe would restart all
                predictors. The traffic does not change.
        """
        after = self._with_urls(after)
        self._check_propagation(before.release, after)
        live = self._get(after.name)
        known = inference_service.storage_uris(live)
        new = [version for version in after.versions if version not in before.release.versions]
        obsolete = known.keys() - after.versions.keys()
        replicas = _replicas_before(before.release, after, live)
        if new:
            self._check_signatures([after.versions[version] for version in new])
            uris = {version: self.store.uri(after.name, version) for version in new}
            result = self._load_and_apply(before, after, uris, obsolete, replicas)
        else:
            self._scale(before, after, obsolete, replicas)
            result = self._apply_release(before, after, {}, obsolete)
        if obsolete:
            self._schedule_drop(after.name, obsolete)
        return result

    def drop(self, model: str, versions: Collection[str]) -> None:
        """Remove the predictors of these versions, except versions that the release contains (again).

        Raises:
            ConflictError: If the object changed concurrently in every attempt.
            TargetError: If the API request fails.
        """
        live = self._get(model)
        unused = inference_service.storage_uris(live).keys() - self._to_versioned_release(live).release.versions.keys()
        if unused & set(versions):
            now = self._to_versioned_release(live)
            self._apply_release(now, now.release, {}, unused - set(versions))

    def _check_propagation(self, before: Release, after: Release) -> None:
        if before == after:
            return
        check = PropagationCheck(self.api)
        if _is_rollback_or_abort(after):
            check.warn()
        else:
            check.require()

    def _check_signatures(self, manifests: Collection[VersionManifest]) -> None:
        policy = SignaturePolicy.from_environment()
        if policy.keys:
            for manifest in manifests:
                check_registered(manifest, self.store.signatures(manifest), policy)

    def _load_and_apply(
        self,
        before: VersionedRelease,
        after: Release,
        uris: Mapping[str, str],
        obsolete: Set[str],
        replicas: Mapping[str, int],
    ) -> VersionedRelease:
        """Create predictors for new versions, and apply the release after warm-up.

        If it fails or is interrupted, drop them again.
        """
        model, new = after.name, uris.keys()
        is_created = False
        try:
            self._apply_release(before, before.release, uris, obsolete | new, replicas)
            is_created = True
            for version in new:
                self._wait_until_ready(model, version)
                self.warm_up(after.versions[version].url, model, version, self.timeouts.warm_up_s)
                logger.info("version loaded", extra={"model": model, "version": version})
            self._wait_for_replicas(after, replicas)
            return self._apply_release(before, after, {}, obsolete)
        except (ReleaseError, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):
                self.progress(f"interrupted: the predictor of {model} {', '.join(new)} is being removed")
            if is_created or isinstance(error, KeyboardInterrupt):
                self._try_drop(model, new)
            raise

    def _scale(
        self, before: VersionedRelease, after: Release, extra_versions: Set[str], replicas: Mapping[str, int]
    ) -> None:
        """Start the replicas that a version needs for its new share of the requests, and wait for them.

        Raises:
            TargetError: If they are not ready in time. The weight does not change.
        """
        if replicas:
            self._apply_release(before, before.release, {}, extra_versions, replicas)
            self._wait_for_replicas(after, replicas)

    def _wait_until_ready(self, model: str, version: str) -> None:
        loading = self._observe(model, version)
        while True:
            live = self._get(model)
            if version not in inference_service.storage_uris(live):
                raise ConflictError(f"{model} was changed concurrently while {version} was being loaded")
            if inference_service.is_ready(live, version):
                return
            loading.observe()
            if loading.elapsed_s > self.timeouts.load_s:
                raise TargetError(
                    f"the predictor of {model} {version} is not ready after {self.timeouts.load_s:g} s: "
                    f"{loading.last_state}"
                )
            time.sleep(self.timeouts.poll_s)

    def _wait_for_replicas(self, after: Release, replicas: Mapping[str, int]) -> None:
        """Wait until versions have their replicas. A rollback waits for up to a minute.

        Raises:
            TargetError: If a pod has failed, or the replicas are not ready in time.
        """
        limit_s = (
            min(self.timeouts.scale_s, _ROLLBACK_SCALE_S) if _is_rollback_or_abort(after) else self.timeouts.scale_s
        )
        for version, count in replicas.items():
            loading = self._observe(after.name, version)
            while True:
                loading.observe()
                if loading.ready_replicas is None or loading.ready_replicas >= count:
                    break
                if loading.elapsed_s >= limit_s:
                    if _is_rollback_or_abort(after) and loading.ready_replicas:
                        break
                    raise TargetError(
                        f"{after.name} {version} has {loading.ready_replicas} of {count} ready replicas for its new "
                        f"share of the requests ({loading.last_state}): the traffic has not changed; repeat the change "
                        "when they are ready, as the controller does"
                    )
                time.sleep(self.timeouts.poll_s)

    def _observe(self, model: str, version: str) -> PredictorLoading:
        return PredictorLoading(self.api, self.namespace, model, version, self.progress)

    def _try_drop(self, model: str, versions: Collection[str]) -> None:
        try:
            self.drop(model, versions)
        except ReleaseError as error:  # the next change drops the versions
            logger.warning("version unload failed", extra={"model": model, "error": str(error)})

    def _apply_release(
        self,
        before: VersionedRelease,
        after: Release,
        uris: Mapping[str, str],
        extra_versions: Collection[str],
        replicas: Mapping[str, int] = MappingProxyType({}),
    ) -> VersionedRelease:
        """Apply a release, if it has not changed since the read.

        KServe changes the object's status often. Each such change is a conflict, and the release is applied again.
        """
        objects = client.CustomObjectsApi(self.api)
        desired_revision = None
        for _ in range(_MAX_ATTEMPTS):
            live = self._get(after.name)
            now = self._to_versioned_release(live)
            if now.revision != before.revision:
                if now.revision == desired_revision:
                    return now  # the previous apply succeeded, and its response was lost
                break
            known = inference_service.storage_uris(live).keys() | uris.keys()
            if not after.versions.keys() <= known:
                break  # another client removed the predictor that was loaded for this change
            desired = inference_service.resource_from_release(after, live, uris, known & set(extra_versions), replicas)
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
        raise ConflictError(f"{after.name} was changed concurrently: read it again")

    def _schedule_drop(self, model: str, versions: Collection[str]) -> None:
        self._removed_at |= dict.fromkeys(((model, version) for version in versions), time.monotonic())

        def drop() -> None:
            time.sleep(self.timeouts.drain_s)
            # A version may have been released again and removed again within the drain time.
            latest = time.monotonic() - self.timeouts.drain_s
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
        """Return the release with the predictor address of each version, as `read` returns it."""
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


def _is_rollback_or_abort(release: Release) -> bool:
    return bool(release.history) and release.history[-1].what in _ROLLBACK_OR_ABORT


def _replicas_before(before: Release, after: Release, live: inference_service.Resource) -> Mapping[str, int]:
    """Return the replicas that a version needs before a change that raises its share, if it needs more than now."""
    if after.stable != before.stable:
        version, percent = after.stable, 100.0
    elif after.canary is not None:
        version, percent = after.canary, after.weight_percent
    else:
        return {}
    now_percent = before.weight_percent if version == before.canary else 0.0
    count = inference_service.replicas_for_share(live, round(percent))
    return {version: count} if count > inference_service.replicas_for_share(live, round(now_percent)) else {}


def _to_error(failure: str, error: client.ApiException | HTTPError) -> TargetError:
    why = f"{error.status} {error.reason}" if isinstance(error, client.ApiException) else str(error)
    return TargetError(f"{failure}: the Kubernetes API returned {why}")
