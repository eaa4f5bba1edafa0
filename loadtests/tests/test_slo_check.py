"""Limits are judged as promised, and chance is not called a fault."""

from pathlib import Path

import pytest

from loadtests.samples import HOSTILE, NO_RESPONSE, RequestSample, read_samples, write_samples
from loadtests.slo_check import SloResult, check_slos
from thale.slo import read_slo

SLO = read_slo()


def make_samples(size: str, duration_s: float, count: int, status: int = 200, error: str = "") -> list[RequestSample]:
    return [
        RequestSample(float(number), "Researcher", size, size, status, duration_s, error) for number in range(count)
    ]


def slo_result(limit: str, samples: list[RequestSample]) -> SloResult:
    return next(result for result in check_slos(samples, SLO) if limit in result.objective)


def test_answers_in_time_keep_all_limits() -> None:
    samples = (
        make_samples("1mp", 0.4, 50)
        + make_samples("4mp", 2.0, 50)
        + make_samples("16mp", 6.0, 50)
        + make_samples(HOSTILE, 0.1, 9, 415)
    )
    assert [result.verdict for result in check_slos(samples, SLO)] == ["kept"] * 5


def test_a_class_that_nobody_sent_is_told_as_not_tested() -> None:
    assert slo_result("16mp", make_samples("4mp", 2.0, 5)).verdict == "not tested"


def test_one_slow_answer_of_a_few_is_within_chance_and_two_are_not() -> None:
    def slow(count: int) -> SloResult:
        return slo_result("4mp", make_samples("4mp", 2.0, 20 - count) + make_samples("4mp", 9.0, count))

    assert (slow(1).verdict, slow(1).misses) == ("kept (misses within chance)", 1)
    assert slow(2).verdict == "VIOLATED"


def test_two_in_a_hundred_are_told_from_one_in_a_hundred_by_more_requests() -> None:
    assert not slo_result("4mp", make_samples("4mp", 2.0, 98) + make_samples("4mp", 9.0, 2)).is_violated
    assert slo_result("4mp", make_samples("4mp", 2.0, 980) + make_samples("4mp", 9.0, 20)).is_violated


@pytest.mark.parametrize("status", [NO_RESPONSE, 500, 502, 503, 504])
def test_silence_and_every_5xx_is_a_failure_for_users(status: int) -> None:
    result = slo_result("availability", make_samples("4mp", 1.0, 30) + make_samples("4mp", 1.0, 2, status))
    assert (result.misses, result.verdict) == (2, "VIOLATED")


def test_a_refusal_of_what_the_client_did_wrong_is_no_failure() -> None:
    assert slo_result("availability", make_samples("4mp", 1.0, 30, 422)).misses == 0


def test_failed_requests_do_not_count_as_slow_answers() -> None:
    assert slo_result("p99 of 4mp", make_samples("4mp", 60.0, 9, 504)).requests == 0


def test_one_hostile_request_that_is_not_refused_is_one_too_many_and_is_named() -> None:
    hostile = make_samples(HOSTILE, 0.1, 99, 415) + make_samples(HOSTILE, 0.1, 1, 200, "200 after 0.10 s, not 415")
    result = slo_result("hostile", hostile)
    assert result.is_violated
    assert "not 415" in result.worst


def test_samples_come_back_from_the_file_as_they_were_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    samples = [
        RequestSample(102.0, "BatchUser", "text/csv", "16mp", 200, 4.5),
        RequestSample(100.0, "HostileUser", "text", HOSTILE, 0, 1.0, "x"),
    ]
    write_samples(path, samples)
    assert [sample.at_s for sample in read_samples(path)] == [0.0, 2.0]
    assert [sample.error for sample in read_samples(path)] == ["x", ""]


def test_a_test_in_which_nothing_was_sent_keeps_nothing_and_breaks_nothing() -> None:
    assert {result.verdict for result in check_slos([], SLO)} == {"not tested"}
