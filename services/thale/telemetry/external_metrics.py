"""Metrics of other programs that thale's rules and dashboards read. Tests check every query against this table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExternalMetric:
    """A metric that another program exports."""

    name: str
    """The series name as exported, with `_total` or `_bucket`."""
    labels: tuple[str, ...]
    """The labels that queries read."""
    exporter: str
    help: str


_TORCHSERVE = (
    ExternalMetric(
        "ts_inference_requests_total",
        ("model_name", "model_version"),
        "TorchServe",
        "Requests dispatched to a worker, with any outcome.",
    ),
    ExternalMetric(
        "ts_queue_latency_microseconds",
        ("model_name", "model_version"),
        "TorchServe",
        "Sum of the queueing times of requests: a counter without `_total`.",
    ),
    ExternalMetric(
        "ts_inference_latency_microseconds",
        ("model_name", "model_version"),
        "TorchServe",
        "Sum of the request durations, queue included: a counter without `_total`.",
    ),
    ExternalMetric("Requests2XX", (), "TorchServe", "2xx responses of all its APIs, probes and management included."),
    ExternalMetric("Requests4XX", (), "TorchServe", "4xx responses, including 422 for unreadable images."),
    ExternalMetric("Requests5XX", (), "TorchServe", "5xx responses, caused by the server or the worker."),
    ExternalMetric("QueueTime", (), "TorchServe", "Queueing time of the last request of any model, in milliseconds."),
    ExternalMetric(
        "WorkerThreadTime", (), "TorchServe", "Overhead of the last request outside the worker, in milliseconds."
    ),
    ExternalMetric(
        "WorkerLoadTime",
        ("WorkerName",),
        "TorchServe",
        "Load time of a worker's last start in ms; it changes with each start.",
    ),
    ExternalMetric(
        "PredictionTime",
        ("ModelName",),
        "TorchServe",
        "Duration of a model's last batch of any version, in ms.",
    ),
)
"""Metrics observed from TorchServe 0.12 with `metrics_mode=prometheus` and `disable_system_metrics=true`.

Its latencies are running sums without quantiles, and it exports no queue length. `thale_model_stage_duration_seconds`
with stage="queue" is the queueing time by version, with quantiles.
"""

_POD = ("namespace", "pod", "container")
_AUTOSCALER = ("namespace", "horizontalpodautoscaler")
_GPU = ("Hostname", "gpu")
_CLUSTER = (
    ExternalMetric("kube_node_info", (), "kube-state-metrics", "1 for each node."),
    ExternalMetric(
        "kube_node_status_allocatable", ("resource",), "kube-state-metrics", "Allocatable resources of a node."
    ),
    ExternalMetric(
        "kube_pod_container_resource_requests", ("resource",), "kube-state-metrics", "Resource requests of containers."
    ),
    ExternalMetric("kube_pod_container_status_restarts_total", _POD, "kube-state-metrics", "Restarts of a container."),
    ExternalMetric(
        "kube_deployment_status_replicas_available",
        ("namespace", "deployment"),
        "kube-state-metrics",
        "Available pods of a deployment.",
    ),
    ExternalMetric(
        "kube_deployment_status_replicas_unavailable",
        ("namespace", "deployment"),
        "kube-state-metrics",
        "Desired pods of a deployment that are unavailable.",
    ),
    ExternalMetric(
        "kube_horizontalpodautoscaler_status_current_replicas",
        _AUTOSCALER,
        "kube-state-metrics",
        "Current replicas of an autoscaler.",
    ),
    ExternalMetric(
        "kube_horizontalpodautoscaler_spec_max_replicas",
        _AUTOSCALER,
        "kube-state-metrics",
        "Maximum replicas of an autoscaler.",
    ),
    ExternalMetric(
        "container_cpu_usage_seconds_total",
        ("namespace", "container"),
        "cAdvisor",
        "CPU time of a container. The empty container name is the whole pod.",
    ),
    ExternalMetric(
        "kubelet_volume_stats_available_bytes",
        ("namespace", "persistentvolumeclaim"),
        "kubelet",
        "Free space of a volume.",
    ),
    ExternalMetric("kubelet_volume_stats_capacity_bytes", ("persistentvolumeclaim",), "kubelet", "Size of a volume."),
    ExternalMetric(
        "node_filesystem_avail_bytes",
        ("fstype", "mountpoint"),
        "node-exporter",
        "Free space of a file system, without the blocks reserved for root.",
    ),
    ExternalMetric("node_filesystem_size_bytes", ("mountpoint",), "node-exporter", "Size of a file system."),
    ExternalMetric(
        "certmanager_certificate_expiration_timestamp_seconds",
        ("namespace", "name"),
        "cert-manager",
        "Unix time at which a certificate expires.",
    ),
    ExternalMetric("DCGM_FI_DEV_GPU_UTIL", _GPU, "DCGM exporter", "GPU utilisation in percent."),
    ExternalMetric("DCGM_FI_DEV_FB_USED", _GPU, "DCGM exporter", "Used GPU memory in MiB."),
    ExternalMetric("DCGM_FI_DEV_FB_FREE", _GPU, "DCGM exporter", "Free GPU memory in MiB."),
    ExternalMetric("DCGM_FI_DEV_POWER_USAGE", _GPU, "DCGM exporter", "Power draw of a GPU in watts."),
    ExternalMetric("DCGM_FI_DEV_GPU_TEMP", _GPU, "DCGM exporter", "Temperature of a GPU in degrees Celsius."),
)
"""Metrics of a cluster. Their names and labels follow the exporters' documentation; no exporter was run."""

EXTERNAL_METRICS: tuple[ExternalMetric, ...] = (
    ExternalMetric(
        "ALERTS", ("alertname", "alertstate", "severity"), "Prometheus", "1 for each pending or firing alert."
    ),
    ExternalMetric("up", ("cluster",), "Prometheus", "1 if the last scrape of a target succeeded, else 0."),
    ExternalMetric(
        "process_start_time_seconds", (), "facade, rollout controller", "Unix time at which the process started."
    ),
    ExternalMetric("process_cpu_seconds_total", (), "facade", "CPU time of the facade's main process."),
    ExternalMetric("process_resident_memory_bytes", (), "facade", "Resident memory of the facade's main process."),
    ExternalMetric("process_open_fds", (), "facade", "Open file descriptors of the facade, sockets included."),
    ExternalMetric("process_max_fds", (), "facade", "Maximum number of open file descriptors of the facade."),
    *_TORCHSERVE,
    *_CLUSTER,
)
