"""Steps are noted where somebody wants to know, and cost nothing to speak of elsewhere."""

import pickle

import pytest

from thale.telemetry.step_timing import record_steps, step


def test_steps_are_noted_in_the_order_in_which_they_began_with_the_step_around_them() -> None:
    with record_steps() as notes:
        with step("read"):
            pass
        with step("measure"), step("length"):
            pass
    assert [(one.name, one.parent) for one in notes.steps] == [("read", None), ("measure", None), ("length", 1)]
    read, measure, length = notes.steps
    assert read.end_ns is not None
    assert measure.end_ns is not None
    assert length.end_ns is not None
    assert read.start_ns <= read.end_ns <= measure.start_ns <= length.start_ns <= length.end_ns <= measure.end_ns


def test_what_the_outermost_steps_took_is_added_up_by_name() -> None:
    with record_steps() as notes:
        for _ in range(2):
            with step("read"):
                pass
        with step("measure"), step("read"):
            pass
    outer = [one for one in notes.steps if one.parent is None and one.name == "read"]
    assert set(notes.seconds()) == {"read", "measure"}
    assert notes.seconds()["read"] == pytest.approx(sum((one.end_ns or 0) - one.start_ns for one in outer) / 1e9)


def test_a_step_that_fails_tells_by_what_and_the_next_one_is_no_part_of_it() -> None:
    with record_steps() as notes:
        with pytest.raises(ValueError, match="broken"), step("read"):
            raise ValueError("broken")
        with step("again"):
            pass
    assert [(one.name, one.error, one.parent) for one in notes.steps] == [
        ("read", "ValueError", None),
        ("again", "", None),
    ]


def test_without_notes_nothing_is_kept_and_errors_pass_through() -> None:
    with pytest.raises(KeyError), step("read"):
        raise KeyError
    with record_steps() as notes:
        pass
    assert notes.steps == []


def test_notes_cross_processes() -> None:
    with record_steps() as notes, step("read"):
        pass
    assert pickle.loads(pickle.dumps(notes)).steps == notes.steps
