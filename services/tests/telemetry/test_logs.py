import json
import logging
import sys

from thale import telemetry


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
