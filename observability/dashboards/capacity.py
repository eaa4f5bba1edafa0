"""Is there room: places, queues, workers, processes; what the cluster says stands in `cluster`."""

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
        PanelRow("Places, queues and workers", _queue_panels(backend)),
        PanelRow("Workers and facades as processes", _process_panels()),
        PanelRow("TorchServe, by its own account", _torchserve_panels()),
        PanelRow("Pods and nodes", cluster.pod_and_node_panels()),
        PanelRow("GPUs", cluster.gpu_panels()),
        PanelRow("Disks", cluster.disk_panels()),
    ]
    description = "How full everything is: places, queues, workers, pods, nodes, GPUs, disks."
    return build_dashboard("thale-capacity", "GPU and capacity", description, rows, backend)


def _overview_panels() -> list[PanelBuilder]:
    return [
        stat_panel(
            "Room taken",
            Query(f"max(environment:thale_facade:saturation{{{ENVIRONMENT}}})", "taken"),
            unit="percentunit",
            description="Images at work or waiting, over the places for them.",
            healthy="Below 60 %. From 80 % on for ten minutes there is a ticket; at 100 % requests are told 503.",
            thresholds=Thresholds(warning=0.6, critical=0.8),
            decimals=0,
        ),
        stat_panel(
            "Facades",
            Query(f"sum(up{{{_FACADE}}})", "up"),
            unit="suffix: up",
            description="Facades that answer a scrape.",
            healthy="At least one; in a cluster two and more, so that one may go.",
            thresholds=Thresholds(critical=1, lower_is_worse=True),
            decimals=0,
        ),
        stat_panel(
            "Workers ready",
            Query(f"sum(min by (model, version) (thale_model_ready_workers{{{VERSION}}}))", "ready"),
            unit="suffix: ready",
            description="Model workers that can answer, all versions together.",
            healthy="At least one for each version that serves.",
            thresholds=Thresholds(critical=1, lower_is_worse=True),
            decimals=0,
        ),
        stat_panel(
            "Questions in queues",
            Query(f"sum(model_version:torchserve_queue:length_5m{{{VERSION}}})", "waiting"),
            unit="suffix: waiting",
            description="Questions that wait at TorchServe for a worker, mean of five minutes.",
            healthy="Less than one a worker. What grows for ten minutes does not catch up by itself.",
            thresholds=Thresholds(warning=2, critical=8),
            decimals=1,
        ),
        stat_panel(
            "Nodes",
            Query(f"count(kube_node_info{{{ENVIRONMENT}}})", "nodes"),
            unit="suffix: nodes",
            description="Machines of the cluster.",
            healthy="Follows the load with some minutes' delay, and goes down at night.",
            decimals=0,
        ),
        stat_panel(
            "GPUs at work",
            Query(f"avg(gpu:dcgm_gpu_utilisation:mean_1h{{{ENVIRONMENT}}})", "busy"),
            unit="percentunit",
            description="Mean use of all GPUs, over an hour.",
            healthy="Above 30 % while there are any: an idle GPU costs as much as a busy one.",
            thresholds=Thresholds(warning=0.3, critical=0.05, lower_is_worse=True),
            decimals=0,
        ),
    ]


def _queue_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Places for images",
            Query(
                f"sum(thale_facade_in_flight{{{ENVIRONMENT}}}) - sum(thale_facade_waiting{{{ENVIRONMENT}}})", "at work"
            ),
            Query(f"sum(thale_facade_waiting{{{ENVIRONMENT}}})", "waiting"),
            Query(f"sum(thale_facade_concurrency_limit{{{ENVIRONMENT}}})", "places"),
            unit="suffix: images",
            description="Images at work and waiting, and how many there may be.",
            healthy="Well below the places; waiting is short and rare.",
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Queues at TorchServe",
            Query(f"sum by (model, version) (model_version:torchserve_queue:length_5m{{{VERSION}}})", _NAME),
            unit="suffix: waiting",
            description="Questions that wait for a worker: seconds waited in a second (Little's law).",
            healthy="Below two for each version. It is what the model servers' autoscaler looks at.",
            thresholds=Thresholds(warning=2, critical=8),
            width=6,
        ),
        time_series_panel(
            "Workers ready",
            Query(f"sum by (model, version) (thale_model_ready_workers{{{VERSION}}})", _NAME),
            unit="suffix: workers",
            description="Workers that are ready to answer, as the facades see them.",
            healthy="Constant. A saw-tooth is a worker that dies and comes back.",
            width=6,
        ),
        time_series_panel(
            "Images in a batch",
            Query(f"avg by (model, version) (model_version:thale_model_batch_images:mean_5m{{{VERSION}}})", _NAME),
            unit="suffix: images",
            description="Mean number of images that a worker answered at once.",
            healthy="One on processors; on GPUs more, the fuller it is.",
            width=6,
        ),
    ]


def _process_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Time of workers taken",
            Query(
                f'sum by (model, version) (rate(thale_model_stage_duration_seconds_sum{{{VERSION},stage!="queue"}}'
                f"[$__rate_interval])) / sum by (model, version) (thale_model_ready_workers{{{VERSION}}})",
                _NAME,
            ),
            unit="percentunit",
            description="Seconds of work a second and worker: how busy workers are.",
            healthy="Below 70 %: from there on queues grow faster than the load.",
            thresholds=Thresholds(warning=0.7, critical=0.9),
            width=6,
        ),
        time_series_panel(
            "Processor time of facades",
            Query(
                f"sum by (instance) (rate(process_cpu_seconds_total{{{_FACADE}}}[$__rate_interval]))",
                "{{instance}}",
            ),
            unit="suffix: cores",
            description="Cores that each facade's own process uses; measuring processes are not in it.",
            healthy="Below 0.7: one process has one core for its event loop.",
            thresholds=Thresholds(warning=0.7, critical=0.95),
            width=6,
        ),
        time_series_panel(
            "Memory of facades",
            Query(f"process_resident_memory_bytes{{{_FACADE}}}", "{{instance}}"),
            unit="decbytes",
            description="Resident memory of each facade's own process.",
            healthy="Flat after the first hour, whatever comes in.",
            width=4,
        ),
        time_series_panel(
            "Open files of facades",
            Query(f"process_open_fds{{{_FACADE}}} / process_max_fds{{{_FACADE}}}", "{{instance}}"),
            unit="percentunit",
            description="Files and connections that are open, over those that may be.",
            healthy="Below half. What only grows is a leak, and ends in refused connections.",
            thresholds=Thresholds(warning=0.5, critical=0.8),
            width=4,
        ),
        time_series_panel(
            "Age of processes",
            Query(f"time() - process_start_time_seconds{{{ENVIRONMENT}}}", "{{job}}"),
            unit="s",
            description="How long facades and watchers have been running.",
            healthy="Only grows, but for deploys. A saw-tooth is a process that dies.",
            width=4,
        ),
    ]


def _torchserve_panels() -> list[PanelBuilder]:
    version_matcher = f'{ENVIRONMENT},model_name=~"$model",model_version=~"$version"'
    name = "{{model_name}} {{model_version}}"
    latency_rate = f"rate(ts_inference_latency_microseconds{{{version_matcher}}}[$__rate_interval]) / 1e6"
    status_classes = (("2XX", "answered"), ("4XX", "the question is at fault"), ("5XX", "failed"))
    return [
        time_series_panel(
            "Questions",
            Query(
                f"sum by (model_name, model_version) (rate(ts_inference_requests_total{{{version_matcher}}}[$__rate_interval]))",
                name,
            ),
            unit="reqps",
            description="Questions that workers were given, by TorchServe's own count: copies for the shadow and pinned "
            "versions are in it.",
            healthy="As many as facades ask and copy.",
            stacked=True,
            width=6,
        ),
        time_series_panel(
            "Mean time of an answer",
            Query(
                f"sum by (model_name, model_version) ({latency_rate}) / sum by (model_name, model_version) "
                f"(rate(ts_inference_requests_total{{{version_matcher}}}[$__rate_interval]))",
                name,
            ),
            unit="s",
            description="From question to answer as TorchServe sees it, queue included.",
            healthy="Little less than what facades see; the difference is the network between them.",
            width=6,
        ),
        time_series_panel(
            "Answers by kind",
            *(
                Query(f"sum(rate(Requests{kind}{{{ENVIRONMENT}}}[$__rate_interval]))", description)
                for kind, description in status_classes
            ),
            unit="reqps",
            description="Answers of all of TorchServe's interfaces, those about health included.",
            healthy="None failed.",
            width=4,
        ),
        time_series_panel(
            "The last question",
            Query(f"max(QueueTime{{{ENVIRONMENT}}})", "in the queue"),
            Query(f"max(WorkerThreadTime{{{ENVIRONMENT}}})", "on the way"),
            Query(
                f'max by (ModelName) (PredictionTime{{{ENVIRONMENT},ModelName=~"$model"}})', "worked on, {{ModelName}}"
            ),
            unit="ms",
            description="Where the time of the newest question went, as TorchServe tells it: one question, no mean.",
            healthy="Little on the way: that is the passing of bytes between Java and Python.",
            width=4,
        ),
        bar_gauge_panel(
            "Last start of workers",
            Query(f"max by (WorkerName) (WorkerLoadTime{{{ENVIRONMENT}}})", "{{WorkerName}}"),
            unit="ms",
            description="How long each worker took to load its model.",
            healthy="Seconds; names with a new number mean that a worker was started anew.",
            width=4,
        ),
    ]
