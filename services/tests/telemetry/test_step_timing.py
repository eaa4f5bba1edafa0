"""Step timings: order, nesting, errors, and no recording outside `record_steps`."""

import pickle

import pytest

from thale.telemetry.step_timing import record_steps, step


def test_record_steps_keeps_start_order_and_parents() -> None:
    with record_steps() as timings:
        with step("read"):
            pass
        with step("traits"), step("length"):
            pass
    assert [(one.name, one.parent) for one in timings.steps] == [("read", None), ("traits", None), ("length", 1)]
    read, traits, length = timings.steps
    assert read.end_ns is not None
    assert traits.end_ns is not None
    assert length.end_ns is not None
    assert read.start_ns <= read.end_ns <= traits.start_ns <= length.start_ns <= length.end_ns <= traits.end_ns


def test_seconds_sums_outermost_steps_by_name() -> None:
    with record_steps() as timings:
        for _ in range(2):
            with step("read"):
                pass
        with step("traits"), step("read"):
            pass
    outer = [one for one in timings.steps if one.parent is None and one.name == "read"]
    assert set(timings.seconds()) == {"read", "traits"}
    assert timings.seconds()["read"] == pytest.approx(sum((one.end_ns or 0) - one.start_ns for one in outer) / 1e9)


def test_failed_step_records_its_error_and_closes() -> None:
    with record_steps() as timings:
        with pytest.raises(ValueError, match="broken"), step("read"):
            raise ValueError("broken")
        with step("retry"):
            pass
    assert [(one.name, one.error, one.parent) for one in timings.steps] == [
        ("read", "ValueError", None),
        ("retry", "", None),
    ]


def test_step_records_nothing_outside_record_steps() -> None:
    with pytest.raises(KeyError), step("read"):
        raise KeyError
    with record_steps() as timings:
        pass
    assert timings.steps == []


def test_step_timings_survive_pickling() -> None:
    with record_steps() as timings, step("read"):
        pass
    assert pickle.loads(pickle.dumps(timings)).steps == timings.steps
