"""Tests of the last known value of a source: the log of failures and of the recovery."""

import logging
from collections.abc import Callable

import pytest

from thale.auth.last_known_value import LastKnownValue, RefreshSchedule
from thale.errors import AuthenticationUnavailableError, SecretError

SCHEDULE = RefreshSchedule(interval_s=60, retry_s=10, max_age_s=60)


def read_in_turn(outcomes: list[Exception | str]) -> Callable[[], str]:
    """Return a source that raises or returns one outcome for each read."""
    remaining = iter(outcomes)

    def read() -> str:
        outcome = next(remaining)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return read


@pytest.mark.parametrize("error_class", [SecretError, RuntimeError])
def test_failure_is_logged_once_and_its_end_too(error_class: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[Exception | str] = [error_class("down"), error_class("down"), error_class("other"), "value"]
    value = LastKnownValue("test", read_in_turn(outcomes), SCHEDULE)
    with caplog.at_level(logging.WARNING):
        for _ in outcomes[:-1]:
            assert value._read_once() == SCHEDULE.retry_s
            with pytest.raises(AuthenticationUnavailableError):
                value.get()
        value._read_once()
    assert value.get() == "value"
    assert [record.message for record in caplog.records if record.name == "thale.auth.last_known_value"] == [
        "credentials unavailable",
        "credentials unavailable",
        "credentials available again",
    ]
