"""Declaration of metrics: each one once, with its unit, its labels, and the maximum number of values per label.

Label values come from the release state, from the code, or from a closed list. They never come from a request
unchanged, so the number of series is bounded. Tests compare these bounds with the exported series.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Label:
    """A label: its name, its meaning, and the maximum number of values that one process exports at a time."""

    name: str
    help: str
    max_values: int
    values: tuple[str, ...] = ()
    """All possible values, if they are known in advance."""

    @classmethod
    def one_of(cls, name: str, help_text: str, values: Sequence[str]) -> "Label":
        """Return a label with a closed list of values."""
        return cls(name, help_text, len(values), tuple(values))


@dataclass(frozen=True)
class Metric:
    """A declared metric and its collector."""

    collector: Counter | Gauge | Histogram
    kind: Kind
    name: str
    """The name of the family. Exported series of a counter end in `_total`, of a histogram in `_bucket`, `_sum` and
    `_count`."""
    unit: str
    help: str
    labels: tuple[Label, ...]
    buckets: tuple[float, ...] = ()

    @property
    def series_names(self) -> tuple[str, ...]:
        """The names of the exported series."""
        endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(self.name + ending for ending in endings[self.kind])

    @property
    def max_series(self) -> int:
        """The maximum number of label combinations that one process exports at a time."""
        return math.prod(label.max_values for label in self.labels)


class MetricTable:
    """The metrics of one kind of process, in order of declaration."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._metrics: list[Metric] = []

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics)

    def counter(self, name: str, unit: str, help_text: str, *labels: Label, starts_at_zero: bool = False) -> Counter:
        """Declare a counter.

        With `starts_at_zero`, its series exist from the start of the process: a rate does not count the event with
        which a series begins. All labels must have closed lists of values.
        """
        counter = Counter(name, help_text, _names(labels), unit=_suffix(name, unit), registry=self.registry)
        if starts_at_zero:
            for values in itertools.product(*(label.values for label in labels)):
                counter.labels(*values)
        self._metrics.append(Metric(counter, "counter", name, unit, help_text, labels))
        return counter

    def gauge(self, name: str, unit: str, help_text: str, *labels: Label) -> Gauge:
        """Declare a gauge."""
        gauge = Gauge(name, help_text, _names(labels), unit=_suffix(name, unit), registry=self.registry)
        self._metrics.append(Metric(gauge, "gauge", name, unit, help_text, labels))
        return gauge

    def histogram(self, name: str, unit: str, help_text: str, *labels: Label, buckets: Sequence[float]) -> Histogram:
        """Declare a histogram."""
        histogram = Histogram(
            name, help_text, _names(labels), unit=_suffix(name, unit), registry=self.registry, buckets=buckets
        )
        self._metrics.append(Metric(histogram, "histogram", name, unit, help_text, labels, tuple(buckets)))
        return histogram


def _names(labels: Sequence[Label]) -> list[str]:
    return [label.name for label in labels]


def _suffix(name: str, unit: str) -> str:
    """Return the unit for OpenMetrics, which requires that the name ends in it; else an empty string."""
    return unit if name.endswith(f"_{unit}") else ""
