import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

from thale.errors import SecretError
from thale.secrets.expiry import Rhythm, expiries_told
from thale.telemetry.controller_metrics import WATCHER

SOON = datetime(2027, 1, 31, tzinfo=UTC)
PATIENCE_S = 60


class Kept:
    """A source that says what it is told to, and counts how often."""

    def __init__(self, answer: Callable[[], Mapping[str, datetime]]) -> None:
        self.answer = answer
        self.asked = 0

    def value(self, name: str) -> SecretStr:
        raise AssertionError("the values of secrets are nobody's business here")

    def expiries(self) -> Mapping[str, datetime]:
        self.asked += 1
        return self.answer()


def told() -> dict[str, float]:
    lines = generate_latest(WATCHER).decode().splitlines()
    series = [line.split(" ") for line in lines if line.startswith("thale_secret_expiry_timestamp_seconds{")]
    return {name: float(value) for name, value in series}


def wait_until(held: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not held():
        assert time.monotonic() < deadline, told()
        time.sleep(0.01)


def series(name: str) -> str:
    return f'thale_secret_expiry_timestamp_seconds{{secret="{name}"}}'


def away() -> Mapping[str, datetime]:
    raise SecretError("the vault is away")


def test_expiry_is_told_as_long_as_the_context_lasts() -> None:
    with expiries_told(Kept(lambda: {"api-key": SOON})):
        wait_until(lambda: told() == {series("api-key"): SOON.timestamp()})
    wait_until(lambda: told() == {})


def test_a_renewed_secret_is_told_anew_and_one_that_is_gone_no_more() -> None:
    source = Kept(lambda: {"api-key": SOON, "old": SOON})
    with expiries_told(source, Rhythm(every_s=0.01)):
        wait_until(lambda: len(told()) == 2)
        later = SOON + timedelta(days=365)
        source.answer = lambda: {"api-key": later}
        wait_until(lambda: told() == {series("api-key"): later.timestamp()})


def test_what_was_said_last_holds_while_the_vault_is_away(caplog: pytest.LogCaptureFixture) -> None:
    source = Kept(lambda: {"api-key": SOON})
    with caplog.at_level(logging.WARNING), expiries_told(source, Rhythm(every_s=0.01, again_s=0.01)):
        wait_until(lambda: len(told()) == 1)
        source.answer, before = away, source.asked
        wait_until(lambda: source.asked >= before + 5)
        assert told() == {series("api-key"): SOON.timestamp()}
    assert [record.message for record in caplog.records] == ["secrets cannot be read"], "said once, not every time"


def test_a_vault_that_is_back_is_believed_again() -> None:
    source = Kept(away)
    with expiries_told(source, Rhythm(again_s=0.01)):
        wait_until(lambda: source.asked >= 3)
        source.answer = lambda: {"api-key": SOON}
        wait_until(lambda: len(told()) == 1)


def test_a_vault_that_says_nothing_makes_nobody_wait() -> None:
    released = threading.Event()

    def silent() -> Mapping[str, datetime]:
        released.wait(PATIENCE_S)
        return {"api-key": SOON}

    with expiries_told(Kept(silent)):
        assert told() == {}
    released.set()
    wait_until(lambda: not any(thread.name == "secrets' expiry" for thread in threading.enumerate()))
    assert told() == {}, "whoever has ended tells nothing"


def test_of_very_many_secrets_those_that_expire_first_are_told() -> None:
    with expiries_told(Kept(lambda: {f"s-{day:03}": SOON + timedelta(days=day) for day in reversed(range(500))})):
        wait_until(lambda: len(told()) == 16)
        assert min(told()) == series("s-000")
        assert max(told()) == series("s-015")


def test_without_a_source_nothing_is_told() -> None:
    with expiries_told(None):
        assert not any(thread.name == "secrets' expiry" for thread in threading.enumerate())
        assert told() == {}
