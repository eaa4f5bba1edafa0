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


def test_single_failures_among_answers_do_not_open_it() -> None:
    breaker = CircuitBreaker(CONFIG, Clock())
    for _ in range(20):
        breaker.record_failure()
        breaker.record_success()
        breaker.record_success()
    assert not breaker.is_open
    assert breaker.allows()


def test_failures_within_the_window_open_it_whether_in_a_row_or_not() -> None:
    breaker = CircuitBreaker(CONFIG, Clock())
    for outcome in (breaker.record_failure, breaker.record_success, breaker.record_failure, breaker.record_success):
        outcome()
    assert not breaker.is_open
    breaker.record_failure()
    assert breaker.is_open


def test_nothing_is_asked_while_it_rests_and_then_one_probe_at_a_time() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    assert not breaker.allows()
    clock.now += 1.9
    assert not breaker.allows()
    clock.now += 0.1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_a_probe_that_fails_begins_another_rest() -> None:
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


def test_a_probe_that_succeeds_closes_it_and_old_failures_are_forgotten() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 2
    assert breaker.allows()
    breaker.record_success()
    breaker.record_failure()
    breaker.record_failure()
    assert not breaker.is_open
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_probe_that_nobody_heard_of_again_is_followed_by_another() -> None:
    clock = Clock()
    breaker = open_breaker(clock)
    clock.now += 2
    assert breaker.allows()
    clock.now += 2
    assert breaker.allows()
