"""Is there room: places, queues, workers, processes; what the cluster says stands in `cluster`."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import cluster
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Drawn, Limits, Query, bars, figure, lines
from thale.slo import Slo

_FACADE = f'{ENVIRONMENT},job="thale-facade"'
_NAME = "{{model}} {{version}}"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row("At a glance", _glance()),
        Row("Places, queues and workers", _work(backend)),
        Row("Workers and facades as processes", _processes()),
        Row("TorchServe, by its own account", _torchserve()),
        Row("Pods and nodes", cluster.pods_and_nodes()),
        Row("GPUs", cluster.gpus()),
        Row("Disks", cluster.disks()),
    ]
    purpose = "How full everything is: places, queues, workers, pods, nodes, GPUs, disks."
    return board("thale-capacity", "GPU and capacity", purpose, rows, backend)


def _glance() -> list[Drawn]:
    return [
        figure(
            "Room taken",
            Query(f"max(environment:thale_facade:saturation{{{ENVIRONMENT}}})", "taken"),
            unit="percentunit",
            shows="Images at work or waiting, over the places for them.",
            good="Below 60 %. From 80 % on for ten minutes there is a ticket; at 100 % requests are told 503.",
            limits=Limits(look=0.6, bad=0.8),
            decimals=0,
        ),
        figure(
            "Facades",
            Query(f"sum(up{{{_FACADE}}})", "up"),
            unit="suffix: up",
            shows="Facades that answer a scrape.",
            good="At least one; in a cluster two and more, so that one may go.",
            limits=Limits(bad=1, downwards=True),
            decimals=0,
        ),
        figure(
            "Workers ready",
            Query(f"sum(min by (model, version) (thale_model_ready_workers{{{VERSION}}}))", "ready"),
            unit="suffix: ready",
            shows="Model workers that can answer, all versions together.",
            good="At least one for each version that serves.",
            limits=Limits(bad=1, downwards=True),
            decimals=0,
        ),
        figure(
            "Questions in queues",
            Query(f"sum(model_version:torchserve_queue:length_5m{{{VERSION}}})", "waiting"),
            unit="suffix: waiting",
            shows="Questions that wait at TorchServe for a worker, mean of five minutes.",
            good="Less than one a worker. What grows for ten minutes does not catch up by itself.",
            limits=Limits(look=2, bad=8),
            decimals=1,
        ),
        figure(
            "Nodes",
            Query(f"count(kube_node_info{{{ENVIRONMENT}}})", "nodes"),
            unit="suffix: nodes",
            shows="Machines of the cluster.",
            good="Follows the load with some minutes' delay, and goes down at night.",
            decimals=0,
        ),
        figure(
            "GPUs at work",
            Query(f"avg(gpu:dcgm_gpu_utilisation:mean_1h{{{ENVIRONMENT}}})", "busy"),
            unit="percentunit",
            shows="Mean use of all GPUs, over an hour.",
            good="Above 30 % while there are any: an idle GPU costs as much as a busy one.",
            limits=Limits(look=0.3, bad=0.05, downwards=True),
            decimals=0,
        ),
    ]


def _work(backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Places for images",
            Query(
                f"sum(thale_facade_in_flight{{{ENVIRONMENT}}}) - sum(thale_facade_waiting{{{ENVIRONMENT}}})", "at work"
            ),
            Query(f"sum(thale_facade_waiting{{{ENVIRONMENT}}})", "waiting"),
            Query(f"sum(thale_facade_places{{{ENVIRONMENT}}})", "places"),
            unit="suffix: images",
            shows="Images at work and waiting, and how many there may be.",
            good="Well below the places; waiting is short and rare.",
            width=6,
            links=backend.to_logs(),
        ),
        lines(
            "Queues at TorchServe",
            Query(f"sum by (model, version) (model_version:torchserve_queue:length_5m{{{VERSION}}})", _NAME),
            unit="suffix: waiting",
            shows="Questions that wait for a worker: seconds waited in a second (Little's law).",
            good="Below two for each version. It is what the model servers' autoscaler looks at.",
            limits=Limits(look=2, bad=8),
            width=6,
        ),
        lines(
            "Workers ready",
            Query(f"sum by (model, version) (thale_model_ready_workers{{{VERSION}}})", _NAME),
            unit="suffix: workers",
            shows="Workers that are ready to answer, as the facades see them.",
            good="Constant. A saw-tooth is a worker that dies and comes back.",
            width=6,
        ),
        lines(
            "Images in a batch",
            Query(f"avg by (model, version) (model_version:thale_model_batch_images:mean_5m{{{VERSION}}})", _NAME),
            unit="suffix: images",
            shows="Mean number of images that a worker answered at once.",
            good="One on processors; on GPUs more, the fuller it is.",
            width=6,
        ),
    ]


def _processes() -> list[Drawn]:
    return [
        lines(
            "Time of workers taken",
            Query(
                f'sum by (model, version) (rate(thale_model_stage_seconds_sum{{{VERSION},stage!="queue"}}'
                f"[$__rate_interval])) / sum by (model, version) (thale_model_ready_workers{{{VERSION}}})",
                _NAME,
            ),
            unit="percentunit",
            shows="Seconds of work a second and worker: how busy workers are.",
            good="Below 70 %: from there on queues grow faster than the load.",
            limits=Limits(look=0.7, bad=0.9),
            width=6,
        ),
        lines(
            "Processor time of facades",
            Query(
                f"sum by (instance) (rate(process_cpu_seconds_total{{{_FACADE}}}[$__rate_interval]))",
                "{{instance}}",
            ),
            unit="suffix: cores",
            shows="Cores that each facade's own process uses; measuring processes are not in it.",
            good="Below 0.7: one process has one core for its event loop.",
            limits=Limits(look=0.7, bad=0.95),
            width=6,
        ),
        lines(
            "Memory of facades",
            Query(f"process_resident_memory_bytes{{{_FACADE}}}", "{{instance}}"),
            unit="decbytes",
            shows="Resident memory of each facade's own process.",
            good="Flat after the first hour, whatever comes in.",
            width=4,
        ),
        lines(
            "Open files of facades",
            Query(f"process_open_fds{{{_FACADE}}} / process_max_fds{{{_FACADE}}}", "{{instance}}"),
            unit="percentunit",
            shows="Files and connections that are open, over those that may be.",
            good="Below half. What only grows is a leak, and ends in refused connections.",
            limits=Limits(look=0.5, bad=0.8),
            width=4,
        ),
        lines(
            "Age of processes",
            Query(f"time() - process_start_time_seconds{{{ENVIRONMENT}}}", "{{job}}"),
            unit="s",
            shows="How long facades and watchers have been running.",
            good="Only grows, but for deploys. A saw-tooth is a process that dies.",
            width=4,
        ),
    ]


def _torchserve() -> list[Drawn]:
    chosen = f'{ENVIRONMENT},model_name=~"$model",model_version=~"$version"'
    name = "{{model_name}} {{model_version}}"
    seconds = f"rate(ts_inference_latency_microseconds{{{chosen}}}[$__rate_interval]) / 1e6"
    answers = (("2XX", "answered"), ("4XX", "the question is at fault"), ("5XX", "failed"))
    return [
        lines(
            "Questions",
            Query(
                f"sum by (model_name, model_version) (rate(ts_inference_requests_total{{{chosen}}}[$__rate_interval]))",
                name,
            ),
            unit="reqps",
            shows="Questions that workers were given, by TorchServe's own count: copies for the shadow and pinned "
            "versions are in it.",
            good="As many as facades ask and copy.",
            stacked=True,
            width=6,
        ),
        lines(
            "Mean time of an answer",
            Query(
                f"sum by (model_name, model_version) ({seconds}) / sum by (model_name, model_version) "
                f"(rate(ts_inference_requests_total{{{chosen}}}[$__rate_interval]))",
                name,
            ),
            unit="s",
            shows="From question to answer as TorchServe sees it, queue included.",
            good="Little less than what facades see; the difference is the network between them.",
            width=6,
        ),
        lines(
            "Answers by kind",
            *(Query(f"sum(rate(Requests{kind}{{{ENVIRONMENT}}}[$__rate_interval]))", words) for kind, words in answers),
            unit="reqps",
            shows="Answers of all of TorchServe's interfaces, those about health included.",
            good="None failed.",
            width=4,
        ),
        lines(
            "The last question",
            Query(f"max(QueueTime{{{ENVIRONMENT}}})", "in the queue"),
            Query(f"max(WorkerThreadTime{{{ENVIRONMENT}}})", "on the way"),
            Query(
                f'max by (ModelName) (PredictionTime{{{ENVIRONMENT},ModelName=~"$model"}})', "worked on, {{ModelName}}"
            ),
            unit="ms",
            shows="Where the time of the newest question went, as TorchServe tells it: one question, no mean.",
            good="Little on the way: that is the passing of bytes between Java and Python.",
            width=4,
        ),
        bars(
            "Last start of workers",
            Query(f"max by (WorkerName) (WorkerLoadTime{{{ENVIRONMENT}}})", "{{WorkerName}}"),
            unit="ms",
            shows="How long each worker took to load its model.",
            good="Seconds; names with a new number mean that a worker was started anew.",
            width=4,
        ),
    ]
