"""The reference of the metrics is written from the tables, and says what they say."""

from pathlib import Path

from thale.telemetry import controller_metrics, external_metrics, metrics
from thale.telemetry.metrics_reference import render_reference

COMMITTED = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_reference_says_what_the_tables_say() -> None:
    assert COMMITTED.read_text() == render_reference(), "write it anew with `make metrics-reference`"


def test_every_metric_stands_in_it_with_its_labels_and_their_bounds() -> None:
    rendered = render_reference()
    for metric in [*metrics.METRICS, *controller_metrics.WATCHER_METRICS]:
        labels = ", ".join(f"`{label.name}` ({label.max_values})" for label in metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} |" in rendered
    assert all(f"| `{metric.name}` |" in rendered for metric in external_metrics.EXTERNAL_METRICS)
