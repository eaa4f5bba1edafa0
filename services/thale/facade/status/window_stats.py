"""The few figures that matter, over the last minutes: read off the facade's own counters, without a Prometheus.

A moment is what had been counted by then; two of them make figures.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Metric

from thale.telemetry import metrics
from thale.telemetry.labels import MEGAPIXELS_OF_SIZE

_SIZES = (*MEGAPIXELS_OF_SIZE, "larger")
_HOUR_S = 3600.0


@dataclass(frozen=True)
class Moment:
    """What had been counted at a time on the monotonic clock."""

    at: float
    requests: Mapping[str, float]
    """By class of status, as 2xx."""
    seconds: Mapping[str, Mapping[float, float]]
    """Requests that took at most so long, by class of image size."""
    plates: Mapping[tuple[str, str], float]
    """By model and version."""
    in_flight: float
    waiting: float

    @classmethod
    def now(cls, at: float) -> "Moment":
        """Return what has been counted by now. Questions about health are no requests of users."""
        requests: defaultdict[str, float] = defaultdict(float)
        for labels, value in _samples(metrics.REQUESTS.collect(), "_total"):
            if not _is_about_health(labels["route"]):
                requests[f"{labels['status'][0]}xx"] += value
        seconds: dict[str, defaultdict[float, float]] = {size: defaultdict(float) for size in _SIZES}
        for labels, value in _samples(metrics.REQUEST_SECONDS.collect(), "_bucket"):
            if labels["size"] in seconds:
                seconds[labels["size"]][float(labels["le"])] += value
        plates = {
            (labels["model"], labels["version"]): value
            for labels, value in _samples(metrics.OUTPUT_PLATES.collect(), "_total")
        }
        in_flight, waiting = (gauge.collect() for gauge in (metrics.IN_FLIGHT, metrics.WAITING))
        return cls(at, requests, seconds, plates, _value(in_flight), _value(waiting))


@dataclass(frozen=True)
class Latency:
    """How long requests with images of a class took, in seconds; NaN where there were none."""

    size: str
    requests: int
    p50_s: float
    p99_s: float


@dataclass(frozen=True)
class Figures:
    """What happened between two moments."""

    window_s: float = 0.0
    requests_per_s: float = math.nan
    failed: float = math.nan
    """Share of the requests that were answered 5xx."""
    refused: float = math.nan
    """Share of the requests that were answered 4xx."""
    plates_per_h: float = math.nan
    plates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Measured by each model version since the process started."""
    latencies: Sequence[Latency] = ()
    in_flight: float = 0.0
    waiting: float = 0.0

    @classmethod
    def between(cls, first: Moment, last: Moment) -> "Figures":
        """Return the figures of a stretch of time."""
        window_s = last.at - first.at
        if window_s <= 0:
            return cls(plates=last.plates, in_flight=last.in_flight, waiting=last.waiting)
        grown = {status: count - first.requests.get(status, 0.0) for status, count in last.requests.items()}
        requests = sum(grown.values())
        by_model: defaultdict[str, float] = defaultdict(float)
        for (model, version), count in last.plates.items():
            by_model[model] += count - min(first.plates.get((model, version), 0.0), count)
        return cls(
            window_s=window_s,
            requests_per_s=requests / window_s,
            failed=grown.get("5xx", 0.0) / requests if requests else math.nan,
            refused=grown.get("4xx", 0.0) / requests if requests else math.nan,
            plates_per_h=max(by_model.values(), default=0.0) / window_s * _HOUR_S,
            plates=last.plates,
            latencies=[_latency(size, first.seconds[size], last.seconds[size]) for size in _SIZES],
            in_flight=last.in_flight,
            waiting=last.waiting,
        )

    def price_per_1000(self, price_per_hour: float) -> float:
        """Return what 1,000 plates cost at this rate, NaN where none is measured."""
        return price_per_hour / self.plates_per_h * 1000 if self.plates_per_h > 0 else math.nan


def quantile(at_most: Mapping[float, float], level: float) -> float:
    """Return a quantile of a histogram of cumulated counts: linear within a bin, as Prometheus' `histogram_quantile`.

    Beyond the last finite edge nothing is known but that: the edge is returned. NaN without values.
    """
    edges = sorted(at_most)
    total = at_most[edges[-1]] if edges else 0.0
    if total <= 0:
        return math.nan
    wanted, below, low = level * total, 0.0, 0.0
    for edge in edges:
        if at_most[edge] >= wanted and at_most[edge] > below:
            return low if math.isinf(edge) else low + (edge - low) * (wanted - below) / (at_most[edge] - below)
        below, low = at_most[edge], edge if math.isfinite(edge) else low
    return low


def _latency(size: str, before: Mapping[float, float], after: Mapping[float, float]) -> Latency:
    grown = {edge: count - before.get(edge, 0.0) for edge, count in after.items()}
    return Latency(size, round(grown.get(math.inf, 0.0)), quantile(grown, 0.5), quantile(grown, 0.99))


def _samples(families: Iterable[Metric], ending: str) -> Iterator[tuple[Mapping[str, str], float]]:
    for family in families:
        for sample in family.samples:
            if sample.name.endswith(ending):
                yield sample.labels, sample.value


def _value(families: Iterable[Metric]) -> float:
    [(_, value)] = _samples(families, "")
    return value


def _is_about_health(route: str) -> bool:
    return "/health/" in route or route.endswith("/ready")
