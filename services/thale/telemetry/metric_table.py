"""How a metric is declared: once, with its unit, what its labels mean, and how many values each of them can have.

Label values come from the release record, from the code, or from a closed list; never from a request as it is. So the
number of series has a bound, which stands here and is held against the wire by tests.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Label:
    """A label: its name, what its values are, and the most of them that one process tells at a time."""

    name: str
    help: str
    max_values: int
    values: tuple[str, ...] = ()
    """All that there are, where they are known beforehand."""

    @classmethod
    def one_of(cls, name: str, help_text: str, values: Sequence[str]) -> "Label":
        """Return a label whose values are known."""
        return cls(name, help_text, len(values), tuple(values))


@dataclass(frozen=True)
class Metric:
    """A metric as it is declared, and the object that counts."""

    collector: Counter | Gauge | Histogram
    kind: Kind
    name: str
    """Of the family: a counter's series end in `_total` on the wire, a histogram's in `_bucket`, `_sum`, `_count`."""
    unit: str
    help: str
    labels: tuple[Label, ...]
    buckets: tuple[float, ...] = ()

    @property
    def series_names(self) -> tuple[str, ...]:
        """What its series are called on the wire."""
        endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(self.name + ending for ending in endings[self.kind])

    @property
    def max_series(self) -> int:
        """The most combinations of label values that one process tells at a time."""
        return math.prod(label.max_values for label in self.labels)


class MetricTable:
    """The metrics of one kind of process, in the order in which they are declared."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._metrics: list[Metric] = []

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics)

    def counter(self, name: str, unit: str, help_text: str, *labels: Label) -> Counter:
        """Declare what only grows."""
        counter = Counter(name, help_text, _names(labels), unit=_suffix(name, unit), registry=self.registry)
        self._metrics.append(Metric(counter, "counter", name, unit, help_text, labels))
        return counter

    def gauge(self, name: str, unit: str, help_text: str, *labels: Label) -> Gauge:
        """Declare what goes up and down."""
        gauge = Gauge(name, help_text, _names(labels), unit=_suffix(name, unit), registry=self.registry)
        self._metrics.append(Metric(gauge, "gauge", name, unit, help_text, labels))
        return gauge

    def histogram(self, name: str, unit: str, help_text: str, *labels: Label, buckets: Sequence[float]) -> Histogram:
        """Declare what is measured again and again."""
        histogram = Histogram(
            name, help_text, _names(labels), unit=_suffix(name, unit), registry=self.registry, buckets=buckets
        )
        self._metrics.append(Metric(histogram, "histogram", name, unit, help_text, labels, tuple(buckets)))
        return histogram


def _names(labels: Sequence[Label]) -> list[str]:
    return [label.name for label in labels]


def _suffix(name: str, unit: str) -> str:
    """Return the unit as OpenMetrics tells it: that of names that end in it."""
    return unit if name.endswith(f"_{unit}") else ""
