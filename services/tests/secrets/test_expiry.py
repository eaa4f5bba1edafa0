"""Tests of the secret expiry exporter."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

from thale.errors import SecretError
from thale.secrets.expiry import PollIntervals, export_expiry_metrics
from thale.telemetry.controller_metrics import CONTROLLER_REGISTRY

SOON = datetime(2027, 1, 31, tzinfo=UTC)
TIMEOUT_S = 60


class FakeSecrets:
    """A source with a scripted response, which counts its calls."""

    def __init__(self, response: Callable[[], Mapping[str, datetime | None]]) -> None:
        self.response = response
        self.call_count = 0

    def value(self, name: str) -> SecretStr:
        raise AssertionError("the exporter must not read values of secrets")

    def expiries(self) -> Mapping[str, datetime | None]:
        self.call_count += 1
        return self.response()


def exported_expiries() -> dict[str, float]:
    lines = generate_latest(CONTROLLER_REGISTRY).decode().splitlines()
    series = [line.split(" ") for line in lines if line.startswith("thale_secret_expiry_timestamp_seconds{")]
    return {name: float(value) for name, value in series}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, exported_expiries()
        time.sleep(0.01)


def series_name(name: str) -> str:
    return f'thale_secret_expiry_timestamp_seconds{{secret="{name}"}}'


def unavailable() -> Mapping[str, datetime]:
    raise SecretError("the vault is unreachable")


def test_expiry_is_exported_within_the_context() -> None:
    with export_expiry_metrics(FakeSecrets(lambda: {"api-key": SOON})):
        wait_until(lambda: exported_expiries() == {series_name("api-key"): SOON.timestamp()})
    wait_until(lambda: exported_expiries() == {})


def test_expiry_metrics_follow_changes_of_secrets() -> None:
    source = FakeSecrets(lambda: {"api-key": SOON, "old": SOON})
    with export_expiry_metrics(source, PollIntervals(interval_s=0.01)):
        wait_until(lambda: len(exported_expiries()) == 2)
        later = SOON + timedelta(days=365)
        source.response = lambda: {"api-key": later}
        wait_until(lambda: exported_expiries() == {series_name("api-key"): later.timestamp()})


def test_last_expiry_stays_exported_while_vault_is_down(caplog: pytest.LogCaptureFixture) -> None:
    source = FakeSecrets(lambda: {"api-key": SOON})
    with caplog.at_level(logging.WARNING), export_expiry_metrics(source, PollIntervals(interval_s=0.01, retry_s=0.01)):
        wait_until(lambda: len(exported_expiries()) == 1)
        source.response, before = unavailable, source.call_count
        wait_until(lambda: source.call_count >= before + 5)
        assert exported_expiries() == {series_name("api-key"): SOON.timestamp()}
    own = [record.message for record in caplog.records if record.name == "thale.secrets.expiry"]
    assert own == ["secrets unavailable"], "the error is logged once; threads of other tests may log as well"


def test_expiry_is_exported_after_vault_recovers() -> None:
    source = FakeSecrets(unavailable)
    with export_expiry_metrics(source, PollIntervals(retry_s=0.01)):
        wait_until(lambda: source.call_count >= 3)
        source.response = lambda: {"api-key": SOON}
        wait_until(lambda: len(exported_expiries()) == 1)


def test_exporter_does_not_wait_for_silent_vault() -> None:
    released = threading.Event()

    def silent() -> Mapping[str, datetime]:
        released.wait(TIMEOUT_S)
        return {"api-key": SOON}

    with export_expiry_metrics(FakeSecrets(silent)):
        assert exported_expiries() == {}
    released.set()
    wait_until(lambda: not any(thread.name == "secret-expiry-exporter" for thread in threading.enumerate()))
    assert exported_expiries() == {}, "a stopped exporter must not export"


def test_only_first_expiries_are_exported_of_many() -> None:
    with export_expiry_metrics(
        FakeSecrets(lambda: {f"s-{day:03}": SOON + timedelta(days=day) for day in reversed(range(500))})
    ):
        wait_until(lambda: len(exported_expiries()) == 16)
        assert min(exported_expiries()) == series_name("s-000")
        assert max(exported_expiries()) == series_name("s-015")


def permanent_secrets() -> set[str]:
    lines = generate_latest(CONTROLLER_REGISTRY).decode().splitlines()
    return {line.split('"')[1] for line in lines if line.startswith("thale_secret_without_expiry{")}


def test_secret_without_expiry_is_exported_until_it_has_one() -> None:
    expiries: dict[str, datetime | None] = {"tokens": None, "api-key": SOON}
    with export_expiry_metrics(FakeSecrets(lambda: dict(expiries)), PollIntervals(interval_s=0.01)):
        wait_until(lambda: permanent_secrets() == {"tokens"})
        assert exported_expiries() == {series_name("api-key"): SOON.timestamp()}
        expiries["tokens"] = SOON
        wait_until(lambda: permanent_secrets() == set())
        wait_until(lambda: len(exported_expiries()) == 2)
    wait_until(lambda: exported_expiries() == {})


def test_nothing_is_exported_without_source() -> None:
    with export_expiry_metrics(None):
        assert not any(thread.name == "secret-expiry-exporter" for thread in threading.enumerate())
        assert exported_expiries() == {}


def test_ended_api_keys_are_not_exported() -> None:
    past, future = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    expiries = {"api-key-0a1b2c3d": past, "api-key-4e5f6a7b": future, "api-key-pepper": past, "registry": past}
    with export_expiry_metrics(FakeSecrets(lambda: expiries)):
        wait_until(
            lambda: (
                exported_expiries().keys()
                == {series_name("api-key-4e5f6a7b"), series_name("api-key-pepper"), series_name("registry")}
            )
        )
