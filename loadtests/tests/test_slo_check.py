"""Limits are judged as promised, and chance is not called a fault."""

from pathlib import Path

import pytest

from loadtests.samples import HOSTILE, NO_ANSWER, Sample, read, write
from loadtests.slo_check import Finding, judge
from thale.slo import read_slo

SLO = read_slo()


def answers(size: str, seconds: float, count: int, status: int = 200, fault: str = "") -> list[Sample]:
    return [Sample(float(number), "Researcher", size, size, status, seconds, fault) for number in range(count)]


def finding(limit: str, samples: list[Sample]) -> Finding:
    return next(found for found in judge(samples, SLO) if limit in found.limit)


def test_answers_in_time_keep_all_limits() -> None:
    kept = answers("1mp", 0.4, 50) + answers("4mp", 2.0, 50) + answers("16mp", 6.0, 50) + answers(HOSTILE, 0.1, 9, 415)
    assert [found.verdict for found in judge(kept, SLO)] == ["kept"] * 5


def test_a_class_that_nobody_sent_is_told_as_not_tested() -> None:
    assert finding("16mp", answers("4mp", 2.0, 5)).verdict == "not tested"


def test_one_slow_answer_of_a_few_is_within_chance_and_two_are_not() -> None:
    def slow(count: int) -> Finding:
        return finding("4mp", answers("4mp", 2.0, 20 - count) + answers("4mp", 9.0, count))

    assert (slow(1).verdict, slow(1).misses) == ("kept (misses within chance)", 1)
    assert slow(2).verdict == "BROKEN"


def test_two_in_a_hundred_are_told_from_one_in_a_hundred_by_more_requests() -> None:
    assert not finding("4mp", answers("4mp", 2.0, 98) + answers("4mp", 9.0, 2)).broken
    assert finding("4mp", answers("4mp", 2.0, 980) + answers("4mp", 9.0, 20)).broken


@pytest.mark.parametrize("status", [NO_ANSWER, 500, 502, 503, 504])
def test_silence_and_every_5xx_is_a_failure_for_users(status: int) -> None:
    found = finding("availability", answers("4mp", 1.0, 30) + answers("4mp", 1.0, 2, status))
    assert (found.misses, found.verdict) == (2, "BROKEN")


def test_a_refusal_of_what_the_client_did_wrong_is_no_failure() -> None:
    assert finding("availability", answers("4mp", 1.0, 30, 422)).misses == 0


def test_failed_requests_do_not_count_as_slow_answers() -> None:
    assert finding("p99 of 4mp", answers("4mp", 60.0, 9, 504)).requests == 0


def test_one_hostile_request_that_is_not_refused_is_one_too_many_and_is_named() -> None:
    hostile = answers(HOSTILE, 0.1, 99, 415) + answers(HOSTILE, 0.1, 1, 200, "200 after 0.10 s, not 415")
    found = finding("hostile", hostile)
    assert found.broken
    assert "not 415" in found.worst


def test_samples_come_back_from_the_file_as_they_were_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    samples = [
        Sample(102.0, "NightBatch", "text/csv", "16mp", 200, 4.5),
        Sample(100.0, "Hostile", "text", HOSTILE, 0, 1.0, "x"),
    ]
    write(path, samples)
    assert [sample.at_s for sample in read(path)] == [0.0, 2.0]
    assert [sample.fault for sample in read(path)] == ["x", ""]


def test_a_test_in_which_nothing_was_sent_keeps_nothing_and_breaks_nothing() -> None:
    assert {found.verdict for found in judge([], SLO)} == {"not tested"}
