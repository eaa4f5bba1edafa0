"""`python -m thale.telemetry.metrics_reference`: the reference of all metrics in Markdown, as the tables themselves say it."""

import sys
from collections.abc import Iterator

from thale.telemetry import controller_metrics, metrics
from thale.telemetry.external_metrics import EXTERNAL_METRICS, ExternalMetric
from thale.telemetry.metric_table import Label, Metric, MetricTable

_HEAD = """\
# Metrics

Written by `make metrics-reference` from `services/thale/telemetry/`, where every metric is declared once. Names are
those of the families: on the wire a counter's series end in `_total`, a histogram's in `_bucket`, `_sum` and `_count`.
Beside a label stands the most values that one process tells at a time; a test holds that against a facade after hostile
traffic.

The facade answers at `/metrics` of its metrics port (9090), and at `/` with a page of the few figures that matter. Who
asks for OpenMetrics, as Prometheus does with `--enable-feature=exemplar-storage`, gets the trace ids of examples beside
the buckets of histograms. The watcher of rollouts answers at its own port (9091), TorchServe at 8082 or where
`TS_METRICS_ADDRESS` says.

![The page of figures: requests a second, latency by image size, versions and their shares](figures-page.png)"""


def render_reference() -> str:
    """Return the reference."""
    thale_sections = [
        *_table_section("The facade", metrics.METRICS),
        *_table_section("The watcher", controller_metrics.WATCHER_METRICS),
    ]
    return "\n".join([_HEAD, *thale_sections, *_labels_section(), *_external_section(), ""])


def _table_section(title: str, table: MetricTable) -> Iterator[str]:
    yield from ("", f"## {title}", "", "| Metric | Type | Unit | Labels | What it is |", "|---|---|---|---|---|")
    for metric in table:
        yield f"| `{metric.name}` | {metric.kind} | {metric.unit} | {_label_names(metric)} | {_escape_cell(metric.help)} |"
    yield from ("", "Edges of the histograms' buckets:", "")
    for metric in table:
        if metric.buckets:
            yield f"- `{metric.name}`: {', '.join(f'{edge:g}' for edge in metric.buckets)}"


def _labels_section() -> Iterator[str]:
    tables = (metrics.METRICS, controller_metrics.WATCHER_METRICS)
    labels = {(label.name, label.help): label for table in tables for metric in table for label in metric.labels}
    yield from ("", "## Labels", "", "| Label | Most values | What it is | Values |", "|---|---|---|---|")
    for label in sorted(labels.values(), key=lambda label: (label.name, label.help)):
        yield f"| `{label.name}` | {label.max_values} | {_escape_cell(label.help)} | {_label_values(label)} |"


def _external_section() -> Iterator[str]:
    yield from ("", "## Metrics of others", "", "Read by rules and dashboards, or told by what thale starts.", "")
    yield from ("| Metric | Labels that are read | Told by | What it is |", "|---|---|---|---|")
    for metric in sorted(EXTERNAL_METRICS, key=_by_exporter):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {labels} | {metric.exporter} | {_escape_cell(metric.help)} |"


def _by_exporter(metric: ExternalMetric) -> tuple[str, str]:
    return metric.exporter.lower(), metric.name.lower()


def _label_names(metric: Metric) -> str:
    return ", ".join(f"`{label.name}` ({label.max_values})" for label in metric.labels)


def _label_values(label: Label) -> str:
    return ", ".join(f"`{value}`" for value in label.values)


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the reference to standard output. Returns the exit status."""
    sys.stdout.write(render_reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
