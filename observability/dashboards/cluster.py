"""Panels of what a cluster tells by others: kube-state-metrics, cAdvisor, the kubelet, DCGM, node exporters."""

from observability.dashboards.dashboard import ENVIRONMENT
from observability.dashboards.panels import Drawn, Limits, Query, bars, lines

_THALE = f'{ENVIRONMENT},namespace="thale"'
_GPU = "{{Hostname}} GPU {{gpu}}"


def pods_and_nodes() -> list[Drawn]:
    """Return what deployments have of what they want, and nodes of what is asked for."""
    return [*_at_work(), *_in_want()]


def _at_work() -> list[Drawn]:
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
    ]


def _in_want() -> list[Drawn]:
    return [
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
            decimals=0,
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
            decimals=0,
            height=4,
            width=12,
        ),
    ]


def gpus() -> list[Drawn]:
    """Return what DCGM tells of each GPU."""
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


def disks() -> list[Drawn]:
    """Return what is free on disks."""
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
