"""The reference of the metrics is written from the tables, and says what they say."""

from pathlib import Path

from thale.telemetry import controller_metrics, external_metrics, metrics
from thale.telemetry.metrics_reference import reference

WRITTEN = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_reference_says_what_the_tables_say() -> None:
    assert WRITTEN.read_text() == reference(), "write it anew with `make metrics-reference`"


def test_every_metric_stands_in_it_with_its_labels_and_their_bounds() -> None:
    written = reference()
    for metric in [*metrics.METRICS, *controller_metrics.WATCHER_METRICS]:
        labels = ", ".join(f"`{label.name}` ({label.most})" for label in metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} |" in written
    assert all(f"| `{metric.name}` |" in written for metric in external_metrics.FOREIGN)
