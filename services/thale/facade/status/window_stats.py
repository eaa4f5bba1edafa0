"""Window statistics: rates and quantiles between two snapshots of the facade's counters, without Prometheus."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Metric

from thale.telemetry import metrics
from thale.telemetry.labels import MAX_MEGAPIXELS_BY_SIZE

_SIZES = (*MAX_MEGAPIXELS_BY_SIZE, "larger")
_HOUR_S = 3600.0


@dataclass(frozen=True)
class CounterSnapshot:
    """Values of all counters at one time on the monotonic clock."""

    at_s: float
    requests: Mapping[str, float]
    """Requests by status class, such as 2xx."""
    latency_counts: Mapping[str, Mapping[float, float]]
    """Cumulative histogram of request durations by size class: upper bound in seconds to number of requests."""
    plates: Mapping[tuple[str, str], float]
    """Plates by model and version."""
    in_flight: float
    queued: float

    @classmethod
    def take(cls, at_s: float) -> "CounterSnapshot":
        """Return the current values. Health checks are excluded."""
        requests: defaultdict[str, float] = defaultdict(float)
        for labels, value in _samples(metrics.REQUESTS.collect(), "_total"):
            if not _is_health_route(labels["route"]):
                requests[f"{labels['status'][0]}xx"] += value
        latency_counts: dict[str, defaultdict[float, float]] = {size: defaultdict(float) for size in _SIZES}
        for labels, value in _samples(metrics.REQUEST_SECONDS.collect(), "_bucket"):
            if labels["size"] in latency_counts:
                latency_counts[labels["size"]][float(labels["le"])] += value
        plates = {
            (labels["model"], labels["version"]): value
            for labels, value in _samples(metrics.OUTPUT_PLATES.collect(), "_total")
        }
        in_flight, queued = (gauge.collect() for gauge in (metrics.IN_FLIGHT, metrics.WAITING))
        return cls(at_s, requests, latency_counts, plates, _value(in_flight), _value(queued))


@dataclass(frozen=True)
class Latency:
    """Latency of the requests of one size class, in seconds. NaN without requests."""

    size: str
    requests: int
    p50_s: float
    p99_s: float


@dataclass(frozen=True)
class WindowStats:
    """Rates and quantiles between two snapshots."""

    window_s: float = 0.0
    requests_per_s: float = math.nan
    error_ratio: float = math.nan
    """Share of the requests with a 5xx response."""
    client_error_ratio: float = math.nan
    """Share of the requests with a 4xx response."""
    plates_per_h: float = math.nan
    plates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Plates of each model version since the start of the process."""
    latencies: Sequence[Latency] = ()
    in_flight: float = 0.0
    queued: float = 0.0

    @classmethod
    def between(cls, first: CounterSnapshot, last: CounterSnapshot) -> "WindowStats":
        """Return the statistics between two snapshots."""
        window_s = last.at_s - first.at_s
        if window_s <= 0:
            return cls(plates=last.plates, in_flight=last.in_flight, queued=last.queued)
        increases = {status: count - first.requests.get(status, 0.0) for status, count in last.requests.items()}
        requests = sum(increases.values())
        by_model: defaultdict[str, float] = defaultdict(float)
        for (model, version), count in last.plates.items():
            by_model[model] += count - min(first.plates.get((model, version), 0.0), count)
        return cls(
            window_s=window_s,
            requests_per_s=requests / window_s,
            error_ratio=increases.get("5xx", 0.0) / requests if requests else math.nan,
            client_error_ratio=increases.get("4xx", 0.0) / requests if requests else math.nan,
            plates_per_h=max(by_model.values(), default=0.0) / window_s * _HOUR_S,
            plates=last.plates,
            latencies=[_latency(size, first.latency_counts[size], last.latency_counts[size]) for size in _SIZES],
            in_flight=last.in_flight,
            queued=last.queued,
        )

    def cost_per_1000_plates(self, cost_per_hour: float) -> float:
        """Return the cost of 1,000 plates at this rate. NaN without plates."""
        return cost_per_hour / self.plates_per_h * 1000 if self.plates_per_h > 0 else math.nan


def quantile(cumulative_counts: Mapping[float, float], level: float) -> float:
    """Return a quantile of a cumulative histogram, interpolated like Prometheus' `histogram_quantile`.

    A quantile above the last finite edge is returned as that edge. NaN without values.
    """
    edges = sorted(cumulative_counts)
    total = cumulative_counts[edges[-1]] if edges else 0.0
    if total <= 0:
        return math.nan
    target_count, previous_count, lower_edge = level * total, 0.0, 0.0
    for edge in edges:
        if cumulative_counts[edge] >= target_count and cumulative_counts[edge] > previous_count:
            return (
                lower_edge
                if math.isinf(edge)
                else lower_edge
                + (edge - lower_edge) * (target_count - previous_count) / (cumulative_counts[edge] - previous_count)
            )
        previous_count, lower_edge = cumulative_counts[edge], edge if math.isfinite(edge) else lower_edge
    return lower_edge


def _latency(size: str, before: Mapping[float, float], after: Mapping[float, float]) -> Latency:
    increases = {edge: count - before.get(edge, 0.0) for edge, count in after.items()}
    return Latency(size, round(increases.get(math.inf, 0.0)), quantile(increases, 0.5), quantile(increases, 0.99))


def _samples(families: Iterable[Metric], ending: str) -> Iterator[tuple[Mapping[str, str], float]]:
    for family in families:
        for sample in family.samples:
            if sample.name.endswith(ending):
                yield sample.labels, sample.value


def _value(families: Iterable[Metric]) -> float:
    [(_, value)] = _samples(families, "")
    return value


def _is_health_route(route: str) -> bool:
    return "/health/" in route or route.endswith("/ready")
