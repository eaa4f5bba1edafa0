"""Is there room: places, workers, queues, pods, nodes, GPUs, disks."""

from grafana_foundation_sdk.models.dashboard import Dashboard
from observability.dashboards.board import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.explore import Backend
from observability.dashboards.panels import Drawn, Limits, Query, bars, figure, lines

from thale.release.slo import Slo

_THALE = f'{ENVIRONMENT},namespace="thale"'
_FACADE = f'{ENVIRONMENT},job="thale-facade"'
_NAME = "{{model}} {{version}}"
_GPU = "{{Hostname}} GPU {{gpu}}"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row("At a glance", _glance()),
        Row("Places, queues and workers", _work(backend)),
        Row("Pods and nodes", _cluster()),
        Row("GPUs", _gpus()),
        Row("Disks", _disks()),
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
            width=8,
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
            width=8,
        ),
        lines(
            "Memory of facades",
            Query(f"process_resident_memory_bytes{{{_FACADE}}}", "{{instance}}"),
            unit="decbytes",
            shows="Resident memory of each facade's own process.",
            good="Flat after the first hour, whatever comes in.",
            width=8,
        ),
    ]


def _cluster() -> list[Drawn]:
    by_autoscaler = "max by (horizontalpodautoscaler)"
    return [
        lines(
            "Replicas",
            Query(f"sum by (deployment) (kube_deployment_status_replicas_available{{{_THALE}}})", "{{deployment}}"),
            unit="suffix: pods",
            shows="Pods that are available, by deployment.",
            good="Moves with the load; never zero.",
            width=6,
        ),
        lines(
            "Autoscaling",
            Query(
                f"{by_autoscaler} (kube_horizontalpodautoscaler_status_current_replicas{{{_THALE}}}) / "
                f"{by_autoscaler} (kube_horizontalpodautoscaler_spec_max_replicas{{{_THALE}}})",
                "{{horizontalpodautoscaler}}",
            ),
            unit="percentunit",
            shows="Replicas over the most that the autoscaler may start.",
            good="Below 100 %: at the limit more load finds no more pods.",
            limits=Limits(look=0.8, bad=1),
            top=1.1,
            width=6,
        ),
        lines(
            "Processor time of pods",
            Query(
                f'sum by (container) (rate(container_cpu_usage_seconds_total{{{_THALE},container!=""}}'
                "[$__rate_interval]))",
                "{{container}}",
            ),
            unit="suffix: cores",
            shows="Cores used, by container.",
            good="Follows the requests. A flat top is a limit, and queues behind it.",
            stacked=True,
            width=6,
        ),
        lines(
            "Processors asked for, of those that nodes have",
            Query(
                f'sum(kube_pod_container_resource_requests{{{ENVIRONMENT},resource="cpu"}}) / '
                f'sum(kube_node_status_allocatable{{{ENVIRONMENT},resource="cpu"}})',
                "asked for",
            ),
            unit="percentunit",
            shows="Requests of all pods over what nodes can give. The cluster's autoscaler adds nodes by it.",
            good="60 to 90 %: less is paid for nothing, more leaves no room for a rollout.",
            limits=Limits(look=0.9),
            top=1,
            width=6,
        ),
        bars(
            "Restarts in the last hour",
            Query(
                f"sum by (container) (increase(kube_pod_container_status_restarts_total{{{_THALE}}}[1h]))",
                "{{container}}",
            ),
            unit="suffix: restarts",
            shows="How often containers were started anew.",
            good="None.",
            limits=Limits(look=1, bad=3),
            top=3,
            height=4,
            width=12,
        ),
        bars(
            "Pods missing",
            Query(f"max by (deployment) (kube_deployment_status_replicas_unavailable{{{_THALE}}})", "{{deployment}}"),
            unit="suffix: pods",
            shows="Pods that should be there and are not.",
            good="None, but for minutes during a deploy.",
            limits=Limits(bad=1),
            top=3,
            height=4,
            width=12,
        ),
    ]


def _gpus() -> list[Drawn]:
    return [
        lines(
            "GPU use",
            Query(f"avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL{{{ENVIRONMENT}}}) / 100", _GPU),
            unit="percentunit",
            shows="Share of time in which the GPU did anything.",
            good="High while there is work. Below 5 % for two hours makes a ticket.",
            top=1,
            width=6,
        ),
        lines(
            "GPU memory",
            Query(
                f"sum by (Hostname, gpu) (DCGM_FI_DEV_FB_USED{{{ENVIRONMENT}}}) / sum by (Hostname, gpu) "
                f"(DCGM_FI_DEV_FB_USED{{{ENVIRONMENT}}} + DCGM_FI_DEV_FB_FREE{{{ENVIRONMENT}}})",
                _GPU,
            ),
            unit="percentunit",
            shows="Memory of the GPU that is taken.",
            good="Flat and below 90 %.",
            limits=Limits(look=0.9, bad=0.97),
            top=1,
            width=6,
        ),
        lines(
            "GPU power",
            Query(f"sum by (Hostname, gpu) (DCGM_FI_DEV_POWER_USAGE{{{ENVIRONMENT}}})", _GPU),
            unit="watt",
            shows="Power that each GPU draws: a better sign of work than its use.",
            good="Near the card's limit under load.",
            width=6,
        ),
        lines(
            "GPU temperature",
            Query(f"max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP{{{ENVIRONMENT}}})", _GPU),
            unit="celsius",
            shows="Temperature of the chip.",
            good="Below 80 °C: above it slows itself down.",
            limits=Limits(look=80, bad=88),
            width=6,
        ),
    ]


def _disks() -> list[Drawn]:
    return [
        lines(
            "Free space of nodes and laptops",
            Query(f"instance_mountpoint:node_filesystem:free_ratio{{{ENVIRONMENT}}}", "{{instance}} {{mountpoint}}"),
            unit="percentunit",
            shows="Share of each file system that is free.",
            good="Above 40 %; below 10 % there is a ticket.",
            limits=Limits(look=0.4, bad=0.1, downwards=True),
            top=1,
            width=12,
        ),
        lines(
            "Free space of volumes",
            Query(f"volume:kubelet_volume_stats:free_ratio{{{ENVIRONMENT}}}", "{{persistentvolumeclaim}}"),
            unit="percentunit",
            shows="Share of each volume that is free.",
            good="Above 10 %.",
            limits=Limits(look=0.25, bad=0.1, downwards=True),
            top=1,
            width=12,
        ),
    ]
