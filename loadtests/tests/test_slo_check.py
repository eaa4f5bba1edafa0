"""Tests of the SLO checks: allowances, significance, classification of responses."""

from pathlib import Path

import pytest

from loadtests.samples import HOSTILE, NO_RESPONSE, RequestSample, read_samples, write_samples
from loadtests.slo_check import SloResult, check_slos, results_table
from thale.slo import read_slo

SLO = read_slo()


def make_samples(size: str, duration_s: float, count: int, status: int = 200, error: str = "") -> list[RequestSample]:
    return [
        RequestSample(float(number), "Researcher", size, size, status, duration_s, error) for number in range(count)
    ]


def slo_result(objective: str, samples: list[RequestSample]) -> SloResult:
    return next(result for result in check_slos(samples, SLO) if objective in result.objective)


def test_results_table_names_the_file_of_the_objectives() -> None:
    assert results_table([]).title == "Objectives of services/thale/slo/slo.toml"
    assert results_table([], "my.toml").title == "Objectives of my.toml"


def test_check_slos_meets_all_objectives_in_time() -> None:
    samples = (
        make_samples("1mp", 0.4, 50)
        + make_samples("4mp", 2.0, 50)
        + make_samples("16mp", 6.0, 50)
        + make_samples(HOSTILE, 0.1, 9, 415)
    )
    assert [result.verdict for result in check_slos(samples, SLO)] == ["met"] * 5


def test_check_slos_reports_a_missing_class_as_not_tested() -> None:
    assert slo_result("16mp", make_samples("4mp", 2.0, 5)).verdict == "not tested"


def test_check_slos_allows_misses_within_chance() -> None:
    def slow(count: int) -> SloResult:
        return slo_result("4mp", make_samples("4mp", 2.0, 20 - count) + make_samples("4mp", 9.0, count))

    assert (slow(1).verdict, slow(1).misses) == ("met (misses within chance)", 1)
    assert slow(2).verdict == "VIOLATED"


def test_check_slos_gains_power_with_more_requests() -> None:
    assert not slo_result("4mp", make_samples("4mp", 2.0, 98) + make_samples("4mp", 9.0, 2)).is_violated
    assert slo_result("4mp", make_samples("4mp", 2.0, 980) + make_samples("4mp", 9.0, 20)).is_violated


@pytest.mark.parametrize("status", [NO_RESPONSE, 500, 502, 503, 504])
def test_check_slos_counts_no_response_and_5xx_as_failures(status: int) -> None:
    result = slo_result("availability", make_samples("4mp", 1.0, 30) + make_samples("4mp", 1.0, 2, status))
    assert (result.misses, result.verdict) == (2, "VIOLATED")


def test_check_slos_does_not_count_4xx_as_failures() -> None:
    assert slo_result("availability", make_samples("4mp", 1.0, 30, 422)).misses == 0


def test_check_slos_omits_failed_requests_from_latency() -> None:
    assert slo_result("p99 of 4mp", make_samples("4mp", 60.0, 9, 504)).requests == 0


def test_check_slos_names_an_accepted_hostile_request() -> None:
    hostile = make_samples(HOSTILE, 0.1, 99, 415) + make_samples(HOSTILE, 0.1, 1, 200, "200 after 0.10 s, not 415")
    result = slo_result("hostile", hostile)
    assert result.is_violated
    assert "not 415" in result.worst


def test_samples_round_trip_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    samples = [
        RequestSample(102.0, "BatchUser", "text/csv", "16mp", 200, 4.5),
        RequestSample(100.0, "HostileUser", "text", HOSTILE, 0, 1.0, "x"),
    ]
    write_samples(path, samples)
    assert [sample.at_s for sample in read_samples(path)] == [0.0, 2.0]
    assert [sample.error for sample in read_samples(path)] == ["x", ""]


def test_check_slos_without_requests_is_not_tested() -> None:
    assert {result.verdict for result in check_slos([], SLO)} == {"not tested"}
