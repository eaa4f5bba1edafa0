"""Destination of traces: the Secret `otel-collector`, which the add-on of the same name reads (observability/otel)."""

import base64
import json

from deploy.cluster import FIELD_MANAGER, Cluster
from deploy.context import DeployContext

NAMESPACE = "monitoring"
SECRET = "otel-collector"  # noqa: S105 (the name of the Secret)


def publish_trace_settings(context: DeployContext, cluster: Cluster) -> None:
    """Write the collector's variables and restart it if they changed. Without the setting `traces`, nothing changes.

    Raises:
        CommandError: If kubectl fails.
    """
    settings = context.settings.traces
    if settings is None:
        return
    variables = {"THALE_TRACES_TO": settings.exporter, "THALE_TRACES_PERCENT": f"{settings.percent:g}"}
    if settings.tempo_endpoint:
        variables["TEMPO_ENDPOINT"] = settings.tempo_endpoint
    if settings.connection_string:
        variables["APPLICATIONINSIGHTS_CONNECTION_STRING"] = settings.connection_string.get_secret_value()
    metadata = {"name": SECRET, "namespace": NAMESPACE}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in variables.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    before = cluster.get("secret", SECRET, "--namespace", NAMESPACE)
    options = ("--server-side", "--field-manager", FIELD_MANAGER, "--filename", "-")
    cluster.kubectl("apply", *options, stdin=json.dumps(secret))
    after = cluster.get("secret", SECRET, "--namespace", NAMESPACE)
    if before is None or before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
        cluster.kubectl("rollout", "restart", "deployment/otel-collector", "--namespace", NAMESPACE)
        context.log(f"traces are sent to {settings.exporter}")
