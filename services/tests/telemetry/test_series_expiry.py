"""Series expiry: label bounds hold in long-lived processes."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from thale.telemetry.labels import MODEL, OUTCOME, VERSION
from thale.telemetry.metric_table import MetricTable
from thale.telemetry.series_expiry import SeriesExpirer


@pytest.fixture
def table() -> MetricTable:
    return MetricTable(CollectorRegistry())


def label_pairs(counter: Counter) -> set[tuple[str, str]]:
    [family] = counter.collect()
    return {(sample.labels["model"], sample.labels["version"]) for sample in family.samples}


def test_expirer_keeps_only_the_latest_versions(table: MetricTable) -> None:
    counter = table.counter("responses", "responses", "Responses.", MODEL, VERSION, OUTCOME)
    expirer = SeriesExpirer(table)
    for patch in range(100):
        loaded_versions = {f"1.0.{patch}", f"1.0.{max(patch - 1, 0)}"}
        expirer.update({"plate-seg": loaded_versions, "plate-landmarks": ["1.0.0"]})
        for version in loaded_versions:
            counter.labels("plate-seg", version, "ok").inc()
        counter.labels("plate-landmarks", "1.0.0", "ok").inc()
    newest = {("plate-seg", f"1.0.{patch}") for patch in range(100 - VERSION.max_values, 100)}
    assert label_pairs(counter) == newest | {("plate-landmarks", "1.0.0")}


def test_expirer_removes_models_beyond_the_bound(table: MetricTable) -> None:
    counter = table.counter("responses", "responses", "Responses.", MODEL, VERSION)
    expirer = SeriesExpirer(table)
    for number in range(30):
        expirer.update({f"model-{number}": ["1.0.0"]})
        counter.labels(f"model-{number}", "1.0.0").inc()
    assert label_pairs(counter) == {(f"model-{number}", "1.0.0") for number in range(30 - MODEL.max_values, 30)}


def test_expirer_keeps_all_loaded_versions_beyond_the_bounds(table: MetricTable) -> None:
    counter = table.counter("responses", "responses", "Responses.", MODEL, VERSION)
    loaded_versions = {f"model-{number}": [f"1.0.{patch}" for patch in range(20)] for number in range(20)}
    expirer = SeriesExpirer(table)
    for _ in range(2):
        expirer.update(loaded_versions)
        for model, versions in loaded_versions.items():
            for version in versions:
                counter.labels(model, version).inc()
    assert len(label_pairs(counter)) == 400
    expirer.update({})
    assert len(label_pairs(counter)) <= MODEL.max_values * 20
