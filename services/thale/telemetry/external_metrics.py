"""Metrics of others that thale's rules and dashboards read, so that those can be held against a table as well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExternalMetric:
    """A metric that another program exports."""

    name: str
    """As on the wire, with `_total` or `_bucket`."""
    labels: tuple[str, ...]
    """Those that are read."""
    exporter: str
    help: str


_TORCHSERVE = (
    ExternalMetric(
        "ts_inference_requests_total",
        ("model_name", "model_version"),
        "TorchServe",
        "Questions that a worker was given, whatever came of them.",
    ),
    ExternalMetric(
        "ts_queue_latency_microseconds",
        ("model_name", "model_version"),
        "TorchServe",
        "Time that questions waited for a worker, summed up: a counter without `_total`.",
    ),
    ExternalMetric(
        "ts_inference_latency_microseconds",
        ("model_name", "model_version"),
        "TorchServe",
        "Time from question to answer, queue included, summed up: a counter without `_total`.",
    ),
    ExternalMetric("Requests2XX", (), "TorchServe", "Answers of all its interfaces, probes and management included."),
    ExternalMetric("Requests4XX", (), "TorchServe", "Answers that blame the question, 422 for bad images among them."),
    ExternalMetric("Requests5XX", (), "TorchServe", "Answers that blame the server or the worker."),
    ExternalMetric(
        "QueueTime", (), "TorchServe", "Milliseconds that the last question waited for a worker, of any model."
    ),
    ExternalMetric(
        "WorkerThreadTime", (), "TorchServe", "Milliseconds of the last question beside the worker's own work."
    ),
    ExternalMetric(
        "WorkerLoadTime", ("WorkerName",), "TorchServe", "Milliseconds of a worker's last start: new with each start."
    ),
    ExternalMetric(
        "PredictionTime", ("ModelName",), "TorchServe", "Milliseconds of the last batch; of all versions of a model."
    ),
)
"""What TorchServe 0.12 was seen to tell with `metrics_mode=prometheus` and `disable_system_metrics=true`.

Its latencies are running sums without quantiles, and the length of its queue is not told: `thale_model_stage_duration_seconds`
with stage="queue" tells how long questions wait, by version and with quantiles.
"""

_POD = ("namespace", "pod", "container")
_AUTOSCALER = ("namespace", "horizontalpodautoscaler")
_GPU = ("Hostname", "gpu")
_CLUSTER = (
    ExternalMetric("kube_node_info", (), "kube-state-metrics", "1 for each node."),
    ExternalMetric("kube_node_status_allocatable", ("resource",), "kube-state-metrics", "What pods may use of a node."),
    ExternalMetric(
        "kube_pod_container_resource_requests", ("resource",), "kube-state-metrics", "What pods have asked for."
    ),
    ExternalMetric(
        "kube_pod_container_status_restarts_total", _POD, "kube-state-metrics", "Times a container began anew."
    ),
    ExternalMetric(
        "kube_deployment_status_replicas_available",
        ("namespace", "deployment"),
        "kube-state-metrics",
        "Pods of a deployment that are available.",
    ),
    ExternalMetric(
        "kube_deployment_status_replicas_unavailable",
        ("namespace", "deployment"),
        "kube-state-metrics",
        "Pods of a deployment that should be there and are not.",
    ),
    ExternalMetric(
        "kube_horizontalpodautoscaler_status_current_replicas",
        _AUTOSCALER,
        "kube-state-metrics",
        "Replicas that an autoscaler sees.",
    ),
    ExternalMetric(
        "kube_horizontalpodautoscaler_spec_max_replicas",
        _AUTOSCALER,
        "kube-state-metrics",
        "Most replicas that an autoscaler may start.",
    ),
    ExternalMetric(
        "container_cpu_usage_seconds_total",
        ("namespace", "container"),
        "cAdvisor",
        "Processor time of a container; the empty name is the whole pod.",
    ),
    ExternalMetric(
        "kubelet_volume_stats_available_bytes", ("namespace", "persistentvolumeclaim"), "kubelet", "Free on a volume."
    ),
    ExternalMetric("kubelet_volume_stats_capacity_bytes", ("persistentvolumeclaim",), "kubelet", "Size of a volume."),
    ExternalMetric(
        "node_filesystem_avail_bytes", ("fstype", "mountpoint"), "node-exporter", "Free on a file system, for anybody."
    ),
    ExternalMetric("node_filesystem_size_bytes", ("mountpoint",), "node-exporter", "Size of a file system."),
    ExternalMetric(
        "certmanager_certificate_expiration_timestamp_seconds",
        ("namespace", "name"),
        "cert-manager",
        "When a certificate ends, seconds since 1970.",
    ),
    ExternalMetric("DCGM_FI_DEV_GPU_UTIL", _GPU, "DCGM exporter", "Percent of the time in which a GPU did anything."),
    ExternalMetric("DCGM_FI_DEV_FB_USED", _GPU, "DCGM exporter", "MiB of a GPU's memory that are taken."),
    ExternalMetric("DCGM_FI_DEV_FB_FREE", _GPU, "DCGM exporter", "MiB of a GPU's memory that are free."),
    ExternalMetric("DCGM_FI_DEV_POWER_USAGE", _GPU, "DCGM exporter", "Watts that a GPU draws."),
    ExternalMetric("DCGM_FI_DEV_GPU_TEMP", _GPU, "DCGM exporter", "Degrees Celsius of a GPU."),
)
"""What only a cluster tells. None ran here: names and labels are those of the exporters' documents."""

EXTERNAL_METRICS: tuple[ExternalMetric, ...] = (
    ExternalMetric(
        "ALERTS", ("alertname", "alertstate", "severity"), "Prometheus", "1 for each alert that is pending or firing."
    ),
    ExternalMetric("up", (), "Prometheus", "1 where the last scrape of a target succeeded."),
    ExternalMetric(
        "process_start_time_seconds", (), "facade, watcher", "When the process started, seconds since 1970."
    ),
    ExternalMetric("process_cpu_seconds_total", (), "facade", "Processor time of the facade's own process."),
    ExternalMetric("process_resident_memory_bytes", (), "facade", "Memory of the facade's own process."),
    ExternalMetric("process_open_fds", (), "facade", "Open files and connections of the facade."),
    ExternalMetric("process_max_fds", (), "facade", "Most files and connections that the facade may open."),
    *_TORCHSERVE,
    *_CLUSTER,
)
