"""Settings of the caller limits: the URL of the store, and the policy that follows from them."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import ValidationError

from thale.facade.limits.policy import SECOND_US, CallerLimits
from thale.facade.settings import FacadeSettings


def settings(**fields: object) -> FacadeSettings:
    return FacadeSettings(release_state_path=Path("release-state.json"), **fields)


@pytest.mark.parametrize("url", ["redis://limit-store:6379/0", "rediss://store.example.org:6380/1"])
def test_store_url_is_accepted(url: str) -> None:
    assert settings(limit_store_url=url).limit_store_url == url


@pytest.mark.parametrize("url", ["redis://:secret@store:6379/0", "redis://user@store/0"])
def test_store_url_with_a_credential_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="THALE_LIMIT_STORE_PASSWORD_PATH") as raised:
        settings(limit_store_url=url)
    assert "secret" not in raised.value.errors(include_input=False)[0]["msg"]


@pytest.mark.parametrize("url", ["http://store:6379", "store:6379", ""])
def test_store_url_of_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(limit_store_url=url)


def test_store_url_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"thale\[redis\]"):
        settings(limit_store_url="redis://store:6379/0")


def test_limits_never_exceed_the_settings() -> None:
    limits = CallerLimits.from_settings(settings(caller_rate_per_s=3, caller_daily_megapixels=5))
    assert limits.interval_us == 333_334
    assert limits.daily_pixels == 5_000_000


def test_lease_is_longer_than_any_request() -> None:
    limits = CallerLimits.from_settings(settings(upload_timeout_s=100, request_timeout_s=50))
    assert limits.lease_us > 150 * SECOND_US
