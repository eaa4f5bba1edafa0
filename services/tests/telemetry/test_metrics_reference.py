"""Metrics reference: rendered from the tables, and committed as docs/metrics.md."""

from pathlib import Path

from thale.telemetry import controller_metrics, external_metrics, metrics
from thale.telemetry.metrics_reference import render_reference

COMMITTED = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_committed_reference_is_up_to_date() -> None:
    assert COMMITTED.read_text() == render_reference(), "run `make generate`"


def test_reference_lists_every_metric_with_labels_and_bounds() -> None:
    rendered = render_reference()
    for metric in [*metrics.METRICS, *controller_metrics.CONTROLLER_METRICS]:
        labels = ", ".join(f"`{label.name}` ({label.max_values})" for label in metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} |" in rendered
    assert all(f"| `{metric.name}` |" in rendered for metric in external_metrics.EXTERNAL_METRICS)
