"""Release environment of a namespace in a cluster, for the controller and the command line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kubernetes import config
from kubernetes.client import ApiClient

from thale.errors import ParameterError, UnknownModelError
from thale.kserve.checkpoint import ConfigMapCheckpointStore
from thale.kserve.client import load_api_client
from thale.kserve.inference_service import URL_TEMPLATE
from thale.kserve.informer import InferenceServiceInformer
from thale.kserve.lease import KubernetesLease, new_identity
from thale.kserve.service_account import SERVICE_ACCOUNT_DIR
from thale.release.controller.controller import ReleaseEnvironment
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.copies.copier import ReleaseCopier
from thale.release.targets import VersionedRelease, VersionStore, compute_revision
from thale.release.targets.kserve import KServeTarget
from thale.release.targets.predictor_loading import Progress, log_progress
from thale.schemas import VersionManifest

FACADE_METRICS_URL = "http://thale-facade-metrics.{namespace}.svc:9090/metrics"
"""Headless service that resolves to the addresses of all facades."""

_DEFAULT_NAMESPACE = "default"
WATCH_OBJECT_NAME = "thale-release-watch"
"""Name of the Lease of the controllers, and of the ConfigMap of their checkpoint, which the facade mounts."""
_RESYNC_PERIOD_S = 60
_FIRST_LIST_TIMEOUT_S = 10.0


@contextmanager
def cluster_environment(
    namespace: str | None,
    context: str | None,
    facades: str | None,
    store: VersionStore | None,
    progress: Progress = log_progress,
    copier: ReleaseCopier | None = None,
) -> Iterator[ReleaseEnvironment]:
    """Yield the release environment of a namespace. On exit, wait for pending unloads.

    Args:
        namespace: Namespace of the InferenceServices. None: the namespace of the pod or of the kubeconfig context.
        context: Context of the kubeconfig. None: the current context, or the cluster of the pod.
        facades: URL of the facades' metrics. None: `FACADE_METRICS_URL`.
        store: Store of registered versions. None is sufficient for changes among loaded versions.
        progress: Receives a line for each change of state of a version that is being loaded.
        copier: Copies the changes of releases for a controller. None: no copies.

    Raises:
        TargetError: If no cluster is configured.
    """
    api = load_api_client(context)
    namespace = namespace or _current_namespace(context)
    metrics_source = MetricsScraper([facades or FACADE_METRICS_URL.format(namespace=namespace)])
    lease = KubernetesLease(api, namespace, WATCH_OBJECT_NAME, new_identity())
    checkpoint_store = ConfigMapCheckpointStore(api, namespace, WATCH_OBJECT_NAME)
    with api, KServeTarget(api, namespace, store or _NoStore(), progress=progress) as target:
        yield ReleaseEnvironment(
            target, metrics_source, lease, checkpoint_store, lambda: watch_releases(api, namespace, target), copier
        )


@contextmanager
def watch_releases(api: ApiClient, namespace: str, target: KServeTarget) -> Iterator["WatchedReleases"]:
    """Watch the releases of a namespace within the context, for a controller.

    The controller does not wait for the replicas of a canary: it judges the canary meanwhile, and tries the step again.
    """
    target.timeouts = replace(target.timeouts, scale_s=0.0)
    with InferenceServiceInformer.running(api, namespace, URL_TEMPLATE, _RESYNC_PERIOD_S) as informer:
        informer.wait_for_first_list(_FIRST_LIST_TIMEOUT_S)
        yield WatchedReleases(informer)


@dataclass(frozen=True)
class WatchedReleases:
    """Releases from a watch. A read sends no request."""

    informer: InferenceServiceInformer

    def models(self) -> Sequence[str]:
        """Return the names of the released models.

        Raises:
            ModelUnavailableError: If the API has not responded yet.
        """
        return sorted(self.informer.current().models)

    def read(self, model: str) -> VersionedRelease:
        """Return the release of a model.

        Raises:
            UnknownModelError: If the model has no release.
        """
        models = self.informer.current().models
        if model not in models:
            raise UnknownModelError(model, sorted(models))
        return VersionedRelease(models[model], compute_revision(models[model]))


def _current_namespace(context: str | None) -> str:
    """Return the namespace of the pod, or the namespace of a context in the kubeconfig."""
    if context is None and (SERVICE_ACCOUNT_DIR / "namespace").exists():
        return (SERVICE_ACCOUNT_DIR / "namespace").read_text().strip()
    contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    selected = next((found for found in contexts if found["name"] == context), current)
    return str(selected["context"].get("namespace", _DEFAULT_NAMESPACE))


class _NoStore:
    """Store for an environment without one. It reports the missing option."""

    def find(self, model: str, version: str) -> VersionManifest:
        """Raise an error that names the missing option."""
        raise ParameterError(f"{model} {version} is not loaded: pass --store with the store of registered versions")

    def uri(self, model: str, version: str) -> str:
        """Raise an error that names the missing option."""
        raise ParameterError(f"{model} {version} is not loaded: pass --store with the store of registered versions")

    def signatures(self, manifest: VersionManifest) -> Mapping[str, bytes]:
        """Raise an error that names the missing option."""
        card = manifest.card
        raise ParameterError(f"{card.name} {card.version} is not loaded: pass --store with the store of its signatures")
