"""Receiver of the dead man's switch on a laptop's cluster (kubernetes/platform/manifests/heartbeat)."""

import base64
import json

from deploy.cluster import FIELD_MANAGER, Cluster
from deploy.context import NAMESPACE, DeployContext

SECRET = "heartbeat"  # noqa: S105 (the name of the Secret)


def publish_heartbeat_url(context: DeployContext, cluster: Cluster) -> None:
    """Write the Secret with the receiver's URL. Without the setting `heartbeat_url`, an existing Secret stays.

    Raises:
        CommandError: If kubectl fails.
    """
    url = context.settings.heartbeat_url
    if url is None:
        if cluster.get("secret", SECRET, "--namespace", NAMESPACE) is not None:
            return
        context.log("no heartbeat_url is set: no operator is notified when Prometheus or the cluster is down")
        return
    metadata = {"name": SECRET, "namespace": NAMESPACE}
    data = {"url": base64.b64encode(url.get_secret_value().encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    options = ("--server-side", "--field-manager", FIELD_MANAGER, "--filename", "-")
    cluster.kubectl("apply", *options, stdin=json.dumps(secret))
    context.log("receiver of the dead man's switch set")
