"""Panels of cluster metrics: kube-state-metrics, cAdvisor, kubelet, DCGM exporter, node exporter."""

from observability.dashboards.dashboard import ENVIRONMENT
from observability.dashboards.panels import PanelBuilder, Query, Thresholds, bar_gauge_panel, time_series_panel

_THALE = f'{ENVIRONMENT},namespace="thale"'
_GPU = "{{Hostname}} GPU {{gpu}}"


def pod_and_node_panels() -> list[PanelBuilder]:
    """Return panels of replicas, CPU usage and CPU requests."""
    return [*_workload_panels(), *_resource_pressure_panels()]


def _workload_panels() -> list[PanelBuilder]:
    by_autoscaler = "max by (horizontalpodautoscaler)"
    return [
        time_series_panel(
            "Replicas",
            Query(f"sum by (deployment) (kube_deployment_status_replicas_available{{{_THALE}}})", "{{deployment}}"),
            unit="suffix: pods",
            description="Available pods by deployment.",
            healthy="Follows the load, and is never zero.",
            width=6,
        ),
        time_series_panel(
            "Replicas of autoscaler maximum",
            Query(
                f"{by_autoscaler} (kube_horizontalpodautoscaler_status_current_replicas{{{_THALE}}}) / "
                f"{by_autoscaler} (kube_horizontalpodautoscaler_spec_max_replicas{{{_THALE}}})",
                "{{horizontalpodautoscaler}}",
            ),
            unit="percentunit",
            description="Current replicas as a share of the autoscaler's maximum.",
            healthy="Below 100 %. At the maximum, additional load gets no additional pods.",
            thresholds=Thresholds(warning=0.8, critical=1),
            max_value=1.1,
            width=6,
        ),
        time_series_panel(
            "CPU usage of pods",
            Query(
                f'sum by (container) (rate(container_cpu_usage_seconds_total{{{_THALE},container!=""}}'
                "[$__rate_interval]))",
                "{{container}}",
            ),
            unit="suffix: cores",
            description="CPU cores used, by container.",
            healthy="Follows the requests. A plateau is a CPU limit.",
            stacked=True,
            width=6,
        ),
    ]


def _resource_pressure_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "CPU requests of allocatable",
            Query(
                f'sum(kube_pod_container_resource_requests{{{ENVIRONMENT},resource="cpu"}}) / '
                f'sum(kube_node_status_allocatable{{{ENVIRONMENT},resource="cpu"}})',
                "requested",
            ),
            unit="percentunit",
            description="CPU requests of all pods as a share of the nodes' allocatable CPU. The cluster autoscaler "
            "adds nodes when pods do not fit.",
            healthy="60 to 90 %. Below that, nodes are wasted. Above that, a rollout of pods has no capacity.",
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
            description="Container restarts within one hour.",
            healthy="None.",
            thresholds=Thresholds(warning=1, critical=3),
            max_value=3,
            decimals=0,
            height=4,
            width=12,
        ),
        bar_gauge_panel(
            "Unavailable pods",
            Query(f"max by (deployment) (kube_deployment_status_replicas_unavailable{{{_THALE}}})", "{{deployment}}"),
            unit="suffix: pods",
            description="Desired pods that are unavailable, by deployment.",
            healthy="None, except for minutes during a deploy.",
            thresholds=Thresholds(critical=1),
            max_value=3,
            decimals=0,
            height=4,
            width=12,
        ),
    ]


def gpu_panels() -> list[PanelBuilder]:
    """Return panels of the DCGM exporter's GPU metrics."""
    return [
        time_series_panel(
            "GPU utilisation by GPU",
            Query(f"avg by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL{{{ENVIRONMENT}}}) / 100", _GPU),
            unit="percentunit",
            description="Share of time in which the GPU was busy.",
            healthy="High under load. Below 5 % for two hours opens a ticket.",
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
            description="Used share of the GPU's memory.",
            healthy="Flat and below 90 %.",
            thresholds=Thresholds(warning=0.9, critical=0.97),
            max_value=1,
            width=6,
        ),
        time_series_panel(
            "GPU power",
            Query(f"sum by (Hostname, gpu) (DCGM_FI_DEV_POWER_USAGE{{{ENVIRONMENT}}})", _GPU),
            unit="watt",
            description="Power draw of each GPU. It indicates load better than utilisation does.",
            healthy="Near the GPU's power limit under load.",
            width=6,
        ),
        time_series_panel(
            "GPU temperature",
            Query(f"max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP{{{ENVIRONMENT}}})", _GPU),
            unit="celsius",
            description="Temperature of each GPU.",
            healthy="Below 80 °C. Above that, the GPU throttles.",
            thresholds=Thresholds(warning=80, critical=88),
            width=6,
        ),
    ]


def disk_panels() -> list[PanelBuilder]:
    """Return panels of free space on file systems and volumes."""
    return [
        time_series_panel(
            "Free space of file systems",
            Query(f"instance_mountpoint:node_filesystem:free_ratio{{{ENVIRONMENT}}}", "{{instance}} {{mountpoint}}"),
            unit="percentunit",
            description="Free share of each file system.",
            healthy="Above 40 %. Below 10 % opens a ticket.",
            thresholds=Thresholds(warning=0.4, critical=0.1, lower_is_worse=True),
            max_value=1,
            width=12,
        ),
        time_series_panel(
            "Free space of volumes",
            Query(f"volume:kubelet_volume_stats:free_ratio{{{ENVIRONMENT}}}", "{{persistentvolumeclaim}}"),
            unit="percentunit",
            description="Free share of each volume.",
            healthy="Above 25 %. Below 10 % opens a ticket.",
            thresholds=Thresholds(warning=0.25, critical=0.1, lower_is_worse=True),
            max_value=1,
            width=12,
        ),
    ]
