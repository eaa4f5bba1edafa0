"""Bounds hold for a process that lives for years."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from thale.telemetry.labels import MODEL, OUTCOME, VERSION
from thale.telemetry.metric_table import Table
from thale.telemetry.series_expiry import Remembered


@pytest.fixture
def table() -> Table:
    return Table(CollectorRegistry())


def told(counter: Counter) -> set[tuple[str, str]]:
    [family] = counter.collect()
    return {(sample.labels["model"], sample.labels["version"]) for sample in family.samples}


def test_a_hundred_releases_later_the_last_versions_are_told_and_no_more(table: Table) -> None:
    counter = table.counter("answers", "answers", "Answers.", MODEL, VERSION, OUTCOME)
    remembered = Remembered(table)
    for patch in range(100):
        held = {f"1.0.{patch}", f"1.0.{max(patch - 1, 0)}"}
        remembered.follow({"plate-seg": held, "plate-landmarks": ["1.0.0"]})
        for version in held:
            counter.labels("plate-seg", version, "ok").inc()
        counter.labels("plate-landmarks", "1.0.0", "ok").inc()
    newest = {("plate-seg", f"1.0.{patch}") for patch in range(100 - VERSION.most, 100)}
    assert told(counter) == newest | {("plate-landmarks", "1.0.0")}


def test_models_that_are_long_gone_go_with_their_versions(table: Table) -> None:
    counter = table.counter("answers", "answers", "Answers.", MODEL, VERSION)
    remembered = Remembered(table)
    for number in range(30):
        remembered.follow({f"model-{number}": ["1.0.0"]})
        counter.labels(f"model-{number}", "1.0.0").inc()
    assert told(counter) == {(f"model-{number}", "1.0.0") for number in range(30 - MODEL.most, 30)}


def test_whatever_is_held_is_told_even_beyond_the_bounds(table: Table) -> None:
    counter = table.counter("answers", "answers", "Answers.", MODEL, VERSION)
    held = {f"model-{number}": [f"1.0.{patch}" for patch in range(20)] for number in range(20)}
    remembered = Remembered(table)
    for _ in range(2):
        remembered.follow(held)
        for model, versions in held.items():
            for version in versions:
                counter.labels(model, version).inc()
    assert len(told(counter)) == 400
    remembered.follow({})
    assert len(told(counter)) <= MODEL.most * 20
