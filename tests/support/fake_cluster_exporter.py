"""Fake exporter of cluster and GPU metrics, in the real exposition format with the real names and labels.

The tests have neither cluster nor GPU. The values are invented. Names and labels are those of kube-state-metrics, the
kubelet, cAdvisor, cert-manager, node-exporter and NVIDIA's DCGM exporter.
"""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NAMESPACE = "thale"
NODES = {"aks-system-1": 4.0, "aks-models-1": 8.0, "aks-models-2": 8.0}
GPUS = ("aks-gpu-1", "aks-gpu-2")
CONTAINERS = {"facade": 0.8, "predictor": 2.6, "release-watcher": 0.05}
_PERIOD_S = 420.0


class FakeClusterCollector(Collector):
    """Metrics with the daily pattern of a cluster, compressed to a few minutes."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()

    def collect(self) -> Iterable[Metric]:
        """Yield the current values."""
        age_s = time.monotonic() - self._started_s
        swing = 0.5 - 0.5 * math.cos(2 * math.pi * age_s / _PERIOD_S)
        yield from _pod_metrics(age_s)
        yield from _autoscaler_metrics(swing)
        yield from _node_metrics(swing)
        yield from _gpu_metrics(age_s, swing)
        yield from _disk_metrics(age_s)
        certificate = GaugeMetricFamily(
            "certmanager_certificate_expiration_timestamp_seconds", "", labels=["name", "namespace"]
        )
        certificate.add_metric(["gateway", NAMESPACE], time.time() + 55 * 86400)
        yield certificate


def _pod_metrics(age_s: float) -> Iterator[Metric]:
    labels = ["namespace", "pod", "container"]
    cpu_seconds = CounterMetricFamily("container_cpu_usage_seconds", "", labels=labels)
    restarts = CounterMetricFamily("kube_pod_container_status_restarts", "", labels=labels)
    requested = GaugeMetricFamily("kube_pod_container_resource_requests", "", labels=[*labels, "resource", "unit"])
    for container, cores in CONTAINERS.items():
        label_values = [NAMESPACE, f"{container}-6d5f7-x2x9c", container]
        cpu_seconds.add_metric(label_values, cores * _busy_seconds(age_s))
        restarts.add_metric(label_values, 1.0 if container == "predictor" and age_s > _PERIOD_S / 60 else 0.0)
        requested.add_metric([*label_values, "cpu", "core"], 2 * cores + 2)
    yield from (cpu_seconds, restarts, requested)


def _busy_seconds(age_s: float) -> float:
    """Return the accumulated busy time of a load that oscillates between 60 and 100 %. It never decreases."""
    angular_frequency = 2 * math.pi / _PERIOD_S
    return 0.8 * age_s - 0.2 * math.sin(angular_frequency * age_s) / angular_frequency


def _autoscaler_metrics(swing: float) -> Iterator[Metric]:
    labels = ["namespace", "deployment"]
    available = GaugeMetricFamily("kube_deployment_status_replicas_available", "", labels=labels)
    unavailable = GaugeMetricFamily("kube_deployment_status_replicas_unavailable", "", labels=labels)
    labels = ["namespace", "horizontalpodautoscaler"]
    current = GaugeMetricFamily("kube_horizontalpodautoscaler_status_current_replicas", "", labels=labels)
    max_replicas_family = GaugeMetricFamily("kube_horizontalpodautoscaler_spec_max_replicas", "", labels=labels)
    for name, min_replicas, max_replicas in (
        ("facade", 2, 10),
        ("plate-seg-predictor", 1, 8),
        ("plate-landmarks-predictor", 1, 8),
    ):
        replicas = round(min_replicas + (max_replicas - min_replicas) * 0.6 * swing)
        available.add_metric([NAMESPACE, name], replicas)
        unavailable.add_metric([NAMESPACE, name], 0)
        current.add_metric([NAMESPACE, f"keda-hpa-{name}"], replicas)
        max_replicas_family.add_metric([NAMESPACE, f"keda-hpa-{name}"], max_replicas)
    yield from (available, unavailable, current, max_replicas_family)


def _node_metrics(swing: float) -> Iterator[Metric]:
    info = GaugeMetricFamily("kube_node_info", "", labels=["node", "kubelet_version"])
    allocatable = GaugeMetricFamily("kube_node_status_allocatable", "", labels=["node", "resource", "unit"])
    for node, cores in NODES.items():
        info.add_metric([node, "v1.35.2"], 1)
        allocatable.add_metric([node, "cpu", "core"], cores)
    yield from (info, allocatable)


def _gpu_metrics(age_s: float, swing: float) -> Iterator[Metric]:
    labels = ["gpu", "UUID", "device", "modelName", "Hostname"]
    families = {
        name: GaugeMetricFamily(name, "", labels=labels)
        for name in (
            "DCGM_FI_DEV_GPU_UTIL",
            "DCGM_FI_DEV_FB_USED",
            "DCGM_FI_DEV_FB_FREE",
            "DCGM_FI_DEV_POWER_USAGE",
            "DCGM_FI_DEV_GPU_TEMP",
        )
    }
    for number, host in enumerate(GPUS):
        busy = max(0.0, min(1.0, 0.25 + 0.6 * swing - 0.2 * number + 0.06 * math.sin(age_s / 7 + number)))
        values = (100 * busy, 5200 + 2800 * busy, 16384 - 5200 - 2800 * busy, 26 + 44 * busy, 38 + 30 * busy)
        for family, value in zip(families.values(), values, strict=True):
            family.add_metric(["0", f"GPU-{number}f3a9c02", "nvidia0", "Tesla T4", host], round(value))
    yield from families.values()


def _disk_metrics(age_s: float) -> Iterator[Metric]:
    labels = ["namespace", "persistentvolumeclaim"]
    free = GaugeMetricFamily("kubelet_volume_stats_available_bytes", "", labels=labels)
    size = GaugeMetricFamily("kubelet_volume_stats_capacity_bytes", "", labels=labels)
    free.add_metric([NAMESPACE, "store"], 20e9 - 1e6 * age_s)
    size.add_metric([NAMESPACE, "store"], 32e9)
    labels = ["device", "fstype", "mountpoint"]
    avail = GaugeMetricFamily("node_filesystem_avail_bytes", "", labels=labels)
    whole = GaugeMetricFamily("node_filesystem_size_bytes", "", labels=labels)
    avail.add_metric(["/dev/root", "ext4", "/"], 71e9 - 2e6 * age_s)
    whole.add_metric(["/dev/root", "ext4", "/"], 128e9)
    yield from (free, size, avail, whole)


@contextmanager
def serve_cluster_metrics() -> Iterator[int]:
    """Serve the metrics on a free port until the context ends. Yields the port."""
    registry = CollectorRegistry()
    registry.register(FakeClusterCollector())
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
