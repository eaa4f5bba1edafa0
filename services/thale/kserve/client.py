"""Client configuration for the Kubernetes API: the service account of a pod, or the user's kubeconfig."""

import urllib3
from kubernetes import client, config

from thale.errors import TargetError
from thale.kserve.service_account import SERVICE_ACCOUNT_DIR

_TRANSIENT_STATUSES = (429, 500, 502, 503, 504)


def load_api_client(context: str | None = None) -> client.ApiClient:
    """Return a client of the Kubernetes API.

    Args:
        context: The context in the kubeconfig. None selects the pod's service account, or else the current context.

    Raises:
        TargetError: If there is neither a service account nor a kubeconfig.
    """
    configuration = client.Configuration()
    try:
        if context is None and (SERVICE_ACCOUNT_DIR / "token").exists():
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(client_configuration=configuration, context=context)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise TargetError(f"no Kubernetes cluster is configured ({error}): run `az aks get-credentials`") from error
    return with_retries(configuration)


def with_retries(configuration: client.Configuration) -> client.ApiClient:
    """Return a client that retries for about 3 s if the API is unreachable, overloaded or failing.

    A retry is safe. A write carries the resourceVersion of its object, or may be repeated: the apply of the checkpoint
    and the creation of the Lease.
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
