"""Tests of the circuit breaker: threshold, open interval and half-open probes."""

from dataclasses import dataclass

from thale.facade.upstream.circuit_breaker import BreakerConfig, CircuitBreaker

CONFIG = BreakerConfig(failures=3, window=5, open_s=2.0)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def open_breaker(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(CONFIG, clock)
    for _ in range(CONFIG.failures):
        assert breaker.allows()
        breaker.record_failure()
    return breaker


def test_breaker_stays_closed_on_single_failures() -> None:
    breaker = CircuitBreaker(CONFIG, Clock())
    for _ in range(20):
        breaker.record_failure()
        breaker.record_success()
        breaker.record_success()
    assert not breaker.is_open
    assert breaker.allows()


def test_breaker_opens_on_failures_within_the_window() -> None:
    breaker = CircuitBreaker(CONFIG, Clock())
    for outcome in (breaker.record_failure, breaker.record_success, breaker.record_failure, breaker.record_success):
        outcome()
    assert not breaker.is_open
    breaker.record_failure()
    assert breaker.is_open


def test_open_breaker_allows_one_probe_after_the_interval() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    assert not breaker.allows()
    clock.now += 1.9
    assert not breaker.allows()
    clock.now += 0.1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_failed_probe_restarts_the_open_interval() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 2
    assert breaker.allows()
    clock.now += 1
    breaker.record_failure()
    clock.now += 1.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()


def test_successful_probe_closes_and_clears_failures() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 2
    assert breaker.allows()
    breaker.record_success()
    breaker.record_failure()
    breaker.record_failure()
    assert not breaker.is_open
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_breaker_allows_another_probe_when_one_is_lost() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 2
    assert breaker.allows()
    clock.now += 2
    assert breaker.allows()
