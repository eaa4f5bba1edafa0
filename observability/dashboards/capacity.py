"""Capacity dashboard: saturation, queues, workers and processes. Module `cluster` has the panels of the cluster."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import cluster
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
from observability.dashboards.links import Backend
from observability.dashboards.panels import (
    PanelBuilder,
    Query,
    Thresholds,
    bar_gauge_panel,
    stat_panel,
    time_series_panel,
)
from thale.slo import Slo

_FACADE = f'{ENVIRONMENT},job="thale-facade"'
_NAME = "{{model}} {{version}}"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow("At a glance", _overview_panels()),
        PanelRow("Admission, queues and workers", _queue_panels(backend)),
        PanelRow("Worker and facade processes", _process_panels()),
        PanelRow("TorchServe's own metrics", _torchserve_panels()),
        PanelRow("Pods and nodes", cluster.pod_and_node_panels()),
        PanelRow("GPUs", cluster.gpu_panels()),
        PanelRow("Disks", cluster.disk_panels()),
    ]
    description = "Saturation of facades, queues, workers, pods, nodes, GPUs and disks."
    return build_dashboard("thale-capacity", "GPU and capacity", description, rows, backend)


def _overview_panels() -> list[PanelBuilder]:
    return [*_serving_overview_panels(), *_node_overview_panels()]


def _serving_overview_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Saturation",
            Query(f"max(environment:thale_facade:saturation{{{ENVIRONMENT}}})", "saturation"),
            unit="percentunit",
            description="In-flight requests, running or queued, as a share of the admission limits.",
            healthy="Below 60 %. Above 80 % for ten minutes opens a ticket. At 100 %, requests are rejected with 503.",
            thresholds=Thresholds(warning=0.6, critical=0.8),
            decimals=0,
        ),
        stat_panel(
            "Facades",
            Query(f"sum(up{{{_FACADE}}})", "up"),
            unit="suffix: up",
            description="Facades whose last scrape succeeded.",
            healthy="At least one. In a cluster at least two, so that one may fail.",
            thresholds=Thresholds(critical=1, lower_is_worse=True),
            decimals=0,
        ),
        stat_panel(
            "Ready workers",
            Query(f"sum(min by (model, version) (thale_model_ready_workers{{{VERSION}}}))", "ready"),
            unit="suffix: ready",
            description="Ready model workers of all versions.",
            healthy="At least one for each serving version.",
            thresholds=Thresholds(critical=1, lower_is_worse=True),
            decimals=0,
        ),
        stat_panel(
            "Queued model requests",
            Query(f"sum(model_version:torchserve_queue:length_5m{{{VERSION}}})", "queued"),
            unit="suffix: queued",
            description="Requests in TorchServe's queues, mean over five minutes.",
            healthy="Less than one per worker. A queue that grows for ten minutes does not drain by itself.",
            thresholds=Thresholds(warning=2, critical=8),
            decimals=1,
        ),
    ]


def _node_overview_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Nodes",
            Query(f"count(kube_node_info{{{ENVIRONMENT}}})", "nodes"),
            unit="suffix: nodes",
            description="Nodes of the cluster.",
            healthy="Follows the load with a delay of some minutes, and scales down at night.",
            decimals=0,
        ),
        stat_panel(
            "GPU utilisation",
            Query(f"avg(gpu:dcgm_gpu_utilisation:mean_1h{{{ENVIRONMENT}}})", "utilisation"),
            unit="percentunit",
            description="Mean utilisation of all GPUs over one hour.",
            healthy="Above 30 %. An idle GPU costs as much as a busy one.",
            thresholds=Thresholds(warning=0.3, critical=0.05, lower_is_worse=True),
            decimals=0,
        ),
    ]


def _queue_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "In flight and admission limit",
            Query(
                f"sum(thale_facade_in_flight{{{ENVIRONMENT}}}) - sum(thale_facade_waiting{{{ENVIRONMENT}}})", "running"
            ),
            Query(f"sum(thale_facade_waiting{{{ENVIRONMENT}}})", "queued"),
            Query(f"sum(thale_facade_concurrency_limit{{{ENVIRONMENT}}})", "limit"),
            unit="suffix: images",
            description="Running and queued images, and the sum of the admission limits.",
            healthy="Well below the limit. Queues are short and rare.",
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Queue length at TorchServe",
            Query(f"sum by (model, version) (model_version:torchserve_queue:length_5m{{{VERSION}}})", _NAME),
            unit="suffix: queued",
            description="Requests that wait for a worker, computed as waiting time per second (Little's law).",
            healthy="Below two for each version. The predictors' autoscaler scales on CPU usage instead.",
            thresholds=Thresholds(warning=2, critical=8),
            width=6,
        ),
        time_series_panel(
            "Ready workers by version",
            Query(f"sum by (model, version) (thale_model_ready_workers{{{VERSION}}})", _NAME),
            unit="suffix: workers",
            description="Ready workers, summed over the facades' views.",
            healthy="Constant. A saw-tooth is a worker that crashes and restarts.",
            width=6,
        ),
        time_series_panel(
            "Batch size",
            Query(f"avg by (model, version) (model_version:thale_model_batch_images:mean_5m{{{VERSION}}})", _NAME),
            unit="suffix: images",
            description="Mean number of images per batch of a worker.",
            healthy="One on CPUs. On GPUs it rises with the load.",
            width=6,
        ),
    ]


def _process_panels() -> list[PanelBuilder]:
    return [*_worker_process_panels(), *_facade_process_panels()]


def _worker_process_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Worker utilisation",
            Query(
                f'sum by (model, version) (rate(thale_model_stage_duration_seconds_sum{{{VERSION},stage!="queue"}}'
                f"[$__rate_interval])) / sum by (model, version) (thale_model_ready_workers{{{VERSION}}})",
                _NAME,
            ),
            unit="percentunit",
            description="Busy time per second and worker.",
            healthy="Below 70 %. Above that, queues grow faster than the load.",
            thresholds=Thresholds(warning=0.7, critical=0.9),
            width=6,
        ),
    ]


def _facade_process_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "CPU usage of facades",
            Query(
                f"sum by (instance) (rate(process_cpu_seconds_total{{{_FACADE}}}[$__rate_interval]))",
                "{{instance}}",
            ),
            unit="suffix: cores",
            description="CPU cores used by each facade's main process, without the worker pool.",
            healthy="Below 0.7. The event loop of one process can use one core.",
            thresholds=Thresholds(warning=0.7, critical=0.95),
            width=6,
        ),
        time_series_panel(
            "Memory of facades",
            Query(f"process_resident_memory_bytes{{{_FACADE}}}", "{{instance}}"),
            unit="decbytes",
            description="Resident memory of each facade's main process.",
            healthy="Flat after the first hour under any load.",
            width=4,
        ),
        time_series_panel(
            "Open file descriptors of facades",
            Query(f"process_open_fds{{{_FACADE}}} / process_max_fds{{{_FACADE}}}", "{{instance}}"),
            unit="percentunit",
            description="Open file descriptors, sockets included, as a share of the limit.",
            healthy="Below 50 %. Steady growth is a leak, and ends in refused connections.",
            thresholds=Thresholds(warning=0.5, critical=0.8),
            width=4,
        ),
        time_series_panel(
            "Process uptime",
            Query(f"time() - process_start_time_seconds{{{ENVIRONMENT}}}", "{{job}}"),
            unit="s",
            description="Uptime of facades and rollout controllers.",
            healthy="Grows steadily between deploys. A saw-tooth is a process that crashes.",
            width=4,
        ),
    ]


def _torchserve_panels() -> list[PanelBuilder]:
    return [*_torchserve_request_panels(), *_torchserve_worker_panels()]


def _torchserve_request_panels() -> list[PanelBuilder]:
    version_matcher = f'{ENVIRONMENT},model_name=~"$model",model_version=~"$version"'
    name = "{{model_name}} {{model_version}}"
    latency_rate = f"rate(ts_inference_latency_microseconds{{{version_matcher}}}[$__rate_interval]) / 1e6"
    status_classes = (("2XX", "2xx"), ("4XX", "4xx"), ("5XX", "5xx"))
    return [
        time_series_panel(
            "Model requests",
            Query(
                f"sum by (model_name, model_version) "
                f"(rate(ts_inference_requests_total{{{version_matcher}}}[$__rate_interval]))",
                name,
            ),
            unit="reqps",
            description="Requests dispatched to workers, by TorchServe's own count, shadow traffic and pinned versions "
            "included.",
            healthy="Equal to the facades' model requests plus shadow traffic.",
            stacked=True,
            width=6,
        ),
        time_series_panel(
            "Mean latency",
            Query(
                f"sum by (model_name, model_version) ({latency_rate}) / sum by (model_name, model_version) "
                f"(rate(ts_inference_requests_total{{{version_matcher}}}[$__rate_interval]))",
                name,
            ),
            unit="s",
            description="Mean request duration measured by TorchServe, queue included.",
            healthy="Slightly below the facades' measurement. The difference is the network.",
            width=6,
        ),
        time_series_panel(
            "Responses by status class",
            *(
                Query(f"sum(rate(Requests{suffix}{{{ENVIRONMENT}}}[$__rate_interval]))", legend)
                for suffix, legend in status_classes
            ),
            unit="reqps",
            description="Responses of all TorchServe APIs, health checks included.",
            healthy="No 5xx.",
            width=4,
        ),
    ]


def _torchserve_worker_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Last request",
            Query(f"max(QueueTime{{{ENVIRONMENT}}})", "queue"),
            Query(f"max(WorkerThreadTime{{{ENVIRONMENT}}})", "overhead"),
            Query(
                f'max by (ModelName) (PredictionTime{{{ENVIRONMENT},ModelName=~"$model"}})', "prediction, {{ModelName}}"
            ),
            unit="ms",
            description="Durations of the last request, measured by TorchServe. It is a single request, not a mean.",
            healthy="Low overhead: it is the transfer between Java and Python.",
            width=4,
        ),
        bar_gauge_panel(
            "Worker load time",
            Query(f"max by (WorkerName) (WorkerLoadTime{{{ENVIRONMENT}}})", "{{WorkerName}}"),
            unit="ms",
            description="Load time of each worker's model at its last start.",
            healthy="A few seconds. A worker name with a new number is a restart.",
            width=4,
        ),
    ]
