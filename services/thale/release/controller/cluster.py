"""Releases in a namespace of a cluster, as a watcher and the command line reach them."""

from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import config

from thale.errors import ParameterError
from thale.kserve.checkpoint import ConfigMapCheckpointStore
from thale.kserve.client import load_api_client
from thale.kserve.lease import KubernetesLease, new_identity
from thale.kserve.service_account import SERVICE_ACCOUNT_DIR
from thale.release.controller.controller import ReleaseEnvironment
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.targets import VersionStore
from thale.release.targets.kserve import KServeTarget
from thale.schemas import VersionManifest

FACADE_METRICS_URL = "http://thale-facade-metrics.{namespace}.svc:9090/metrics"
"""The headless service of all facades, whose name every one of their addresses answers to."""

_DEFAULT_NAMESPACE = "default"
_OBJECT_NAME = "thale-release-watch"


@contextmanager
def cluster_environment(
    namespace: str | None, context: str | None, facades: str | None, store: VersionStore | None
) -> Iterator[ReleaseEnvironment]:
    """Give a namespace's releases. What changes unload is waited for at the end.

    Args:
        namespace: None means the one that the pod or the kubeconfig's context is in.
        context: Of the kubeconfig; None means its current one, or the pod's own cluster.
        facades: Address of the facades' metrics; None means `FACADES`.
        store: Where versions are registered; None suits who only moves those that are held already.

    Raises:
        TargetError: If no cluster is known here.
    """
    api = load_api_client(context)
    namespace = namespace or _current_namespace(context)
    metrics_source = MetricsScraper([facades or FACADE_METRICS_URL.format(namespace=namespace)])
    lease = KubernetesLease(api, namespace, _OBJECT_NAME, new_identity())
    with api, KServeTarget(api, namespace, store or _NoStore()) as actuator:
        yield ReleaseEnvironment(
            actuator, metrics_source, lease, ConfigMapCheckpointStore(api, namespace, _OBJECT_NAME)
        )


def _current_namespace(context: str | None) -> str:
    """Return the pod's namespace, or the one that a context of the kubeconfig names."""
    if context is None and (SERVICE_ACCOUNT_DIR / "namespace").exists():
        return (SERVICE_ACCOUNT_DIR / "namespace").read_text().strip()
    contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    selected = next((found for found in contexts if found["name"] == context), current)
    return str(selected["context"].get("namespace", _DEFAULT_NAMESPACE))


class _NoStore:
    """Stands where no store was named."""

    def find(self, model: str, version: str) -> VersionManifest:
        """Ask for a store."""
        raise ParameterError(f"say with --store where {model} {version} is registered")

    def uri(self, model: str, version: str) -> str:
        """Ask for a store."""
        raise ParameterError(f"say with --store where {model} {version} is registered")
