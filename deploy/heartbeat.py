"""Receiver of the dead man's switch on a laptop's cluster (kubernetes/platform/manifests/heartbeat)."""

import json

from deploy.cluster import FIELD_MANAGER, Cluster
from deploy.context import NAMESPACE, DeployContext

SECRET = "heartbeat"  # noqa: S105 (the name of the Secret)


def publish_heartbeat_url(context: DeployContext, cluster: Cluster) -> None:
    """Write the Secret with the receiver's URL, or delete it if the setting `heartbeat_url` is not set.

    Raises:
        CommandError: If kubectl fails.
    """
    url = context.settings.heartbeat_url
    if url is None:
        cluster.kubectl("delete", "secret", SECRET, "--namespace", NAMESPACE, "--ignore-not-found")
        context.log("no heartbeat_url is set: no operator is notified when Prometheus or the cluster is down")
        return
    metadata = {"name": SECRET, "namespace": NAMESPACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"url": url.get_secret_value()}}
    options = ("--server-side", "--field-manager", FIELD_MANAGER, "--filename", "-")
    cluster.kubectl("apply", *options, stdin=json.dumps(secret))
    context.log("receiver of the dead man's switch set")
