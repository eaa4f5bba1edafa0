"""Releases in a namespace of a cluster, as a watcher and the command line reach them."""

from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import config

from thale.errors import ParameterError
from thale.kserve.checkpoint import ConfigMapNotes
from thale.kserve.client import connect
from thale.kserve.lease import KubernetesLease, new_identity
from thale.release.controller.controller import Place
from thale.release.controller.metrics_scraper import Facades
from thale.release.lifecycle.identity import SERVICE_ACCOUNT
from thale.release.targets.kserve import KServeActuator, Store
from thale.schemas import ReleasedVersion

FACADES = "http://thale-facade-metrics.{namespace}.svc:9090/metrics"
"""The headless service of all facades, whose name every one of their addresses answers to."""

_DEFAULT_NAMESPACE = "default"
_NAME = "thale-release-watch"


@contextmanager
def releases_in(
    namespace: str | None, context: str | None, facades: str | None, store: Store | None
) -> Iterator[Place]:
    """Give a namespace's releases. What changes unload is waited for at the end.

    Args:
        namespace: None means the one that the pod or the kubeconfig's context is in.
        context: Of the kubeconfig; None means its current one, or the pod's own cluster.
        facades: Address of the facades' metrics; None means `FACADES`.
        store: Where versions are registered; None suits who only moves those that are held already.

    Raises:
        ActuatorError: If no cluster is known here.
    """
    api = connect(context)
    namespace = namespace or _own_namespace(context)
    counters = Facades([facades or FACADES.format(namespace=namespace)])
    lease = KubernetesLease(api, namespace, _NAME, new_identity())
    with api, KServeActuator(api, namespace, store or _NoStore()) as actuator:
        yield Place(actuator, counters, lease, ConfigMapNotes(api, namespace, _NAME))


def _own_namespace(context: str | None) -> str:
    """Return the pod's namespace, or the one that a context of the kubeconfig names."""
    if context is None and (SERVICE_ACCOUNT / "namespace").exists():
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    chosen = next((found for found in contexts if found["name"] == context), current)
    return str(chosen["context"].get("namespace", _DEFAULT_NAMESPACE))


class _NoStore:
    """Stands where no store was named."""

    def find(self, model: str, version: str) -> ReleasedVersion:
        """Ask for a store."""
        raise ParameterError(f"say with --store where {model} {version} is registered")

    def uri(self, model: str, version: str) -> str:
        """Ask for a store."""
        raise ParameterError(f"say with --store where {model} {version} is registered")
