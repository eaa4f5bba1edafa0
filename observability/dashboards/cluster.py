"""Panels of what a cluster tells by others: kube-state-metrics, cAdvisor, the kubelet, DCGM, node exporters."""

from observability.dashboards.dashboard import ENVIRONMENT
from observability.dashboards.panels import PanelBuilder, Query, Thresholds, bar_gauge_panel, time_series_panel

_THALE = f'{ENVIRONMENT},namespace="thale"'
_GPU = "{{Hostname}} GPU {{gpu}}"


def pod_and_node_panels() -> list[PanelBuilder]:
    """Return what deployments have of what they want, and nodes of what is asked for."""
    return [*_workload_panels(), *_resource_pressure_panels()]


def _workload_panels() -> list[PanelBuilder]:
    by_autoscaler = "max by (horizontalpodautoscaler)"
    return [
        time_series_panel(
            "Replicas",
            Query(f"sum by (deployment) (kube_deployment_status_replicas_available{{{_THALE}}})", "{{deployment}}"),
            unit="suffix: pods",
            description="Pods that are available, by deployment.",
            healthy="Moves with the load; never zero.",
            width=6,
        ),
        time_series_panel(
            "Autoscaling",
            Query(
                f"{by_autoscaler} (kube_horizontalpodautoscaler_status_current_replicas{{{_THALE}}}) / "
                f"{by_autoscaler} (kube_horizontalpodautoscaler_spec_max_replicas{{{_THALE}}})",
                "{{horizontalpodautoscaler}}",
            ),
            unit="percentunit",
            description="Replicas over the most that the autoscaler may start.",
            healthy="Below 100 %: at the limit more load finds no more pods.",
            thresholds=Thresholds(warning=0.8, critical=1),
            max_value=1.1,
            width=6,
        ),
        time_series_panel(
            "Processor time of pods",
            Query(
                f'sum by (container) (rate(container_cpu_usage_seconds_total{{{_THALE},container!=""}}'
                "[$__rate_interval]))",
                "{{container}}",
            ),
            unit="suffix: cores",
            description="Cores used, by container.",
            healthy="Follows the requests. A flat top is a limit, and queues behind it.",
            stacked=True,
            width=6,
        ),
    ]


def _resource_pressure_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Processors asked for, of those that nodes have",
            Query(
                f'sum(kube_pod_container_resource_requests{{{ENVIRONMENT},resource="cpu"}}) / '
                f'sum(kube_node_status_allocatable{{{ENVIRONMENT},resource="cpu"}})',
                "asked for",
            ),
            unit="percentunit",
            description="Requests of all pods over what nodes can give. The cluster's autoscaler adds nodes by it.",
            healthy="60 to 90 %: less is paid for nothing, more leaves no room for a rollout.",
            thresholds=Thresholds(warning=0.9),
            max_value=1,
            width=6,
        ),
        bar_gauge_panel(
            "Restarts in the last hour",
            Query(
                f"sum by (container) (increase(kube_pod_container_status_restarts_total{{{_THALE}}}[1h]))",
                "{{container}}",
            ),
            unit="suffix: restarts",
            description="How often containers were started anew.",
            healthy="None.",
            thresholds=Thresholds(warning=1, critical=3),
            max_value=3,
            decimals=0,
            height=4,
            width=12,
        ),
        bar_gauge_panel(
            "Pods missing",
            Query(f"max by (deployment) (kube_deployment_status_replicas_unavailable{{{_THALE}}})", "{{deployment}}"),
            unit="suffix: pods",
            description="Pods that should be there and are not.",
            healthy="None, but for minutes during a deploy.",
            thresholds=Thresholds(critical=1),
            max_value=3,
            decimals=0,
            height=4,
            width=12,
        ),
    ]


def gpu_panels() -> list[PanelBuilder]:
    """Return what DCGM tells of each GPU."""
    return [
        time_series_panel(
            "GPU use",
            Query(f"avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL{{{ENVIRONMENT}}}) / 100", _GPU),
            unit="percentunit",
            description="Share of time in which the GPU did anything.",
            healthy="High while there is work. Below 5 % for two hours makes a ticket.",
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "GPU memory",
            Query(
                f"sum by (Hostname, gpu) (DCGM_FI_DEV_FB_USED{{{ENVIRONMENT}}}) / sum by (Hostname, gpu) "
                f"(DCGM_FI_DEV_FB_USED{{{ENVIRONMENT}}} + DCGM_FI_DEV_FB_FREE{{{ENVIRONMENT}}})",
                _GPU,
            ),
            unit="percentunit",
            description="Memory of the GPU that is taken.",
            healthy="Flat and below 90 %.",
            thresholds=Thresholds(warning=0.9, critical=0.97),
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "GPU power",
            Query(f"sum by (Hostname, gpu) (DCGM_FI_DEV_POWER_USAGE{{{ENVIRONMENT}}})", _GPU),
            unit="watt",
            description="Power that each GPU draws: a better sign of work than its use.",
            healthy="Near the card's limit under load.",
            width=6,
        ),
        time_series_panel(
            "GPU temperature",
            Query(f"max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP{{{ENVIRONMENT}}})", _GPU),
            unit="celsius",
            description="Temperature of the chip.",
            healthy="Below 80 °C: above it slows itself down.",
            thresholds=Thresholds(warning=80, critical=88),
            width=6,
        ),
    ]


def disk_panels() -> list[PanelBuilder]:
    """Return what is free on disks."""
    return [
        time_series_panel(
            "Free space of nodes and laptops",
            Query(f"instance_mountpoint:node_filesystem:free_ratio{{{ENVIRONMENT}}}", "{{instance}} {{mountpoint}}"),
            unit="percentunit",
            description="Share of each file system that is free.",
            healthy="Above 40 %; below 10 % there is a ticket.",
            thresholds=Thresholds(warning=0.4, critical=0.1, lower_is_worse=True),
            max_value=1,
            width=12,
        ),
        time_series_panel(
            "Free space of volumes",
            Query(f"volume:kubelet_volume_stats:free_ratio{{{ENVIRONMENT}}}", "{{persistentvolumeclaim}}"),
            unit="percentunit",
            description="Share of each volume that is free.",
            healthy="Above 10 %.",
            thresholds=Thresholds(warning=0.25, critical=0.1, lower_is_worse=True),
            max_value=1,
            width=12,
        ),
    ]
