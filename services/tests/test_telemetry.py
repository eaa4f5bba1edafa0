import json
import logging
import sys

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.registry import Collector

from thale import telemetry


def test_every_metric_stands_in_the_table_once() -> None:
    declared = [value for name, value in vars(telemetry).items() if name.isupper() and hasattr(value, "describe")]
    assert [*telemetry.METRICS, *telemetry.WATCHER_METRICS] == declared


@pytest.mark.parametrize(
    ("metrics", "registry"), [(telemetry.METRICS, REGISTRY), (telemetry.WATCHER_METRICS, telemetry.WATCHER)]
)
def test_every_metric_is_named_and_explained(metrics: tuple[Collector, ...], registry: CollectorRegistry) -> None:
    for metric in metrics:
        [described] = metric.describe()
        assert described.name.startswith("thale_")
        assert described.documentation.endswith(".")
        assert described.name in registry._collector_to_names[metric]


def test_a_log_line_is_one_json_object_with_its_fields_and_request() -> None:
    record = logging.makeLogRecord({"name": "thale", "levelname": "INFO", "msg": "two\nlines", "latency_ms": 84})
    token = telemetry.REQUEST_ID.set("abc")
    line = telemetry.JsonFormatter().format(record)
    telemetry.REQUEST_ID.reset(token)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["message"], told["latency_ms"], told["request_id"]) == ("two\nlines", 84, "abc")


def test_a_log_line_tells_the_exception() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.makeLogRecord({"exc_info": sys.exc_info(), "odd": object()})
    assert "ValueError: broken" in json.loads(telemetry.JsonFormatter().format(record))["exception"]
