"""The way into the Kubernetes cluster: the one that this process runs in, or that the user's kubeconfig names."""

from pathlib import Path

import urllib3
from kubernetes import client, config

from thale.errors import TargetError

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Every pod has this file that may talk to its cluster."""

_TRANSIENT_STATUSES = (429, 500, 502, 503, 504)


def load_api_client(context: str | None = None) -> client.ApiClient:
    """Return a client of the cluster.

    Args:
        context: The kubeconfig's; None takes the pod's service account, or else the current one.

    Raises:
        TargetError: If there is neither a service account nor a kubeconfig.
    """
    configuration = client.Configuration()
    try:
        if context is None and SERVICE_ACCOUNT_TOKEN.exists():
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(client_configuration=configuration, context=context)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise TargetError(f"no cluster is known here ({error}): log in, as with az aks get-credentials") from error
    return with_retries(configuration)


def with_retries(configuration: client.Configuration) -> client.ApiClient:
    """Return a client that asks again where the API is away, busy or failing for a moment: about 3 s in all.

    Every write of ours names the version that it changes, or is a lease's, which does: asking twice does no harm.
    """
    configuration.retries = urllib3.Retry(
        total=5,
        backoff_factor=0.1,
        status_forcelist=_TRANSIENT_STATUSES,
        allowed_methods=None,
        raise_on_status=False,
        retry_after_max=2,
    )
    return client.ApiClient(configuration)
