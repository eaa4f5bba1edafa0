from dataclasses import dataclass

from thale.facade.upstream.circuit_breaker import Breaker, Limits

LIMITS = Limits(failures=3, window=5, rest_s=2.0)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(LIMITS, clock)
    for _ in range(LIMITS.failures):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_single_failures_among_answers_do_not_open_it() -> None:
    breaker = Breaker(LIMITS, Clock())
    for _ in range(20):
        breaker.failed()
        breaker.succeeded()
        breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admits()


def test_failures_within_the_window_open_it_whether_in_a_row_or_not() -> None:
    breaker = Breaker(LIMITS, Clock())
    for outcome in (breaker.failed, breaker.succeeded, breaker.failed, breaker.succeeded):
        outcome()
    assert not breaker.is_open
    breaker.failed()
    assert breaker.is_open


def test_nothing_is_asked_while_it_rests_and_then_one_probe_at_a_time() -> None:
    clock = Clock()
    breaker = opened(clock)
    assert not breaker.admits()
    clock.now += 1.9
    assert not breaker.admits()
    clock.now += 0.1
    assert [breaker.admits() for _ in range(3)] == [True, False, False]


def test_a_probe_that_fails_begins_another_rest() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2
    assert breaker.admits()
    clock.now += 1
    breaker.failed()
    clock.now += 1.9
    assert not breaker.admits()
    clock.now += 0.1
    assert breaker.admits()


def test_a_probe_that_succeeds_closes_it_and_old_failures_are_forgotten() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2
    assert breaker.admits()
    breaker.succeeded()
    breaker.failed()
    breaker.failed()
    assert not breaker.is_open
    assert [breaker.admits() for _ in range(3)] == [True, True, True]


def test_a_probe_that_nobody_heard_of_again_is_followed_by_another() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2
    assert breaker.admits()
    clock.now += 2
    assert breaker.admits()
