"""Tests of readiness: its reasons, its cache, series of removed versions, and the models of the API."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.support.sample_releases import make_version
from thale.errors import ModelUnavailableError
from thale.facade.status.health import Health, Readiness, model_infos
from thale.schemas import Release, ReleaseState, VersionManifest
from thale.telemetry import metrics


def version_of(name: str, version: str) -> VersionManifest:
    manifest = make_version(version)
    return manifest.model_copy(update={"name": name, "card": manifest.card.model_copy(update={"name": name})})


def state_of(*names: str, weight_percent: float = 5.0) -> ReleaseState:
    """Return a state with three versions of each model: stable, canary, and one of neither role."""
    versions = ("1.0.0", "1.1.0", "0.9.0")
    return ReleaseState(
        models={
            name: Release(
                task="segmentation",
                stable="1.0.0",
                canary="1.1.0",
                weight_percent=weight_percent,
                versions={version: version_of(name, version) for version in versions},
            )
            for name in names
        }
    )


class ReportedPlatform:
    """Dependencies of `Health`: a release state, counted workers, a probe and an authenticator."""

    def __init__(self, state: ReleaseState | None) -> None:
        self.state, self.workers, self.polls = state, 1, 0
        self.failures: list[str] = []
        self.has_credentials = True
        self.is_recoverable = True
        self.probe = SimpleNamespace(
            wait_for_first=self.wait_for_first,
            failures=lambda: self.failures,
            is_recoverable=lambda: self.is_recoverable,
            stable_routes=[],
        )

    def health(self) -> Health:
        models: Any = SimpleNamespace(count_ready_workers=self.count_ready_workers)
        source: Any = SimpleNamespace(current=self.current)
        authenticator: Any = SimpleNamespace(is_available=lambda: self.has_credentials)
        return Health(models, source, self.probe, authenticator)  # type: ignore[arg-type]

    async def count_ready_workers(self, *_version: str) -> int:
        self.polls += 1
        return self.workers

    async def wait_for_first(self) -> None:
        pass

    def current(self) -> ReleaseState:
        if self.state is None:
            raise ModelUnavailableError("release-state.json cannot be read")
        return self.state


@pytest.mark.parametrize(
    ("change", "missing", "public"),
    [
        ({}, (), ()),
        ({"state": None}, ("release-state.json cannot be read",), ("the release state cannot be read",)),
        ({"state": ReleaseState(models={})}, ("no model is released",), ("no model is released",)),
        ({"failures": ["the pool is stuck"]}, ("the pool is stuck",), ("the request path fails",)),
        (
            {"has_credentials": False},
            ("no source of credentials can be read; the log has the reason ('credentials unavailable')",),
            ("no source of credentials can be read",),
        ),
        (
            {"workers": 0, "failures": ["a", "b"]},
            ("plate-seg 1.0.0 has no ready worker", "a", "b"),
            ("a stable model has no ready worker", "the request path fails"),
        ),
    ],
)
def test_readiness_has_full_and_public_reasons(
    change: dict[str, object], missing: tuple[str, ...], public: tuple[str, ...]
) -> None:
    platform = ReportedPlatform(state_of("plate-seg"))
    vars(platform).update(change)
    readiness = asyncio.run(platform.health().readiness())
    assert (readiness.missing, readiness.public_reasons) == (missing, public)
    assert readiness.is_ready == (not missing)


@pytest.mark.parametrize(("workers", "cached_s"), [(1, 1.0), (0, 0.2)])
def test_readiness_is_cached_shorter_while_not_ready(
    monkeypatch: pytest.MonkeyPatch, workers: int, cached_s: float
) -> None:
    now = [1000.0]
    monkeypatch.setattr("thale.facade.status.health.time.monotonic", lambda: now[0])
    platform = ReportedPlatform(state_of("plate-seg"))
    platform.workers = workers
    health = platform.health()

    async def poll_twice() -> list[int]:
        polls = []
        for elapsed_s in (0, 0.9 * cached_s, 0.2 * cached_s):
            now[0] += elapsed_s
            await health.readiness()
            polls.append(platform.polls)
        return polls

    versions = 3
    assert asyncio.run(poll_twice()) == [versions, versions, 2 * versions]


def test_unready_facade_logs_each_change_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr("thale.facade.status.health.time.monotonic", lambda: now[0])
    platform = ReportedPlatform(state_of("plate-seg"))
    health = platform.health()

    async def poll(*failures: str) -> int:
        now[0] += 60
        platform.failures = [*failures]
        await health.readiness()
        return len([record for record in caplog.records if record.message == "facade not ready"])

    async def poll_all() -> list[int]:
        return [await poll(), await poll("b"), await poll("b"), await poll("a"), await poll(), await poll("a")]

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(poll_all()) == [0, 1, 1, 2, 2, 3]


def test_series_of_removed_versions_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("thale.facade.status.health.time.monotonic", lambda: now[0])
    platform = ReportedPlatform(state_of("kept", "removed"))
    health = platform.health()

    def workers_of(name: str) -> float | None:
        return REGISTRY.get_sample_value("thale_model_ready_workers", {"model": name, "version": "1.0.0"})

    async def remove() -> None:
        await health.readiness()
        for name in ("kept", "removed"):
            metrics.MODEL_WORKERS.labels(name, "1.0.0").set(1)
        platform.state = state_of("kept")
        now[0] += 60
        await health.readiness()

    asyncio.run(remove())
    assert (workers_of("kept"), workers_of("removed")) == (1, None)
    metrics.MODEL_WORKERS.remove("kept", "1.0.0")


def test_probe_gets_the_stable_versions_with_workers() -> None:
    platform = ReportedPlatform(state_of("plate-seg", "plate-landmarks"))
    asyncio.run(platform.health().readiness())
    assert [(route.version, route.role) for route in platform.probe.stable_routes] == [("1.0.0", "stable")] * 2
    platform.workers = 0
    asyncio.run(platform.health().readiness())
    assert platform.probe.stable_routes == []


def test_liveness_is_that_of_the_request_path() -> None:
    platform = ReportedPlatform(state_of("plate-seg"))
    assert platform.health().is_live()
    platform.is_recoverable = False
    assert not platform.health().is_live()


def test_model_infos_have_state_weight_and_order() -> None:
    workers = {("b", "1.0.0"): 2, ("b", "1.1.0"): 0, ("b", "0.9.0"): None}
    first, second = model_infos(state_of("b", "a", weight_percent=12.5), Readiness(workers))
    assert (first.name, second.name) == ("a", "b")
    assert {version.state for version in first.versions} == {"unavailable"}
    found = [(v.version, v.state, v.default, v.canary, v.traffic_percent) for v in second.versions]
    assert found == [
        ("0.9.0", "unavailable", False, False, 0.0),
        ("1.0.0", "ready", True, False, 87.5),
        ("1.1.0", "loading", False, True, 12.5),
    ]
