"""Requests to a model that is scaled to zero: they wait for a replica, and the facade stays ready."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from tests.support.sample_releases import make_release
from tests.support.unix_http_server import run_unix_http_server
from thale.errors import ModelStartingError, ModelUnavailableError
from thale.facade.api.problems import spec_for, to_problem
from thale.facade.deadline import Deadline
from thale.facade.inference.fallback import classify_error
from thale.facade.status.health import Health
from thale.facade.status.request_path_probe import RequestPathProbe
from thale.facade.upstream import model_client
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.release_source import ReleaseSource
from thale.facade.upstream.routing import Route
from thale.schemas import ReleaseState

IMAGE = PredictRequest(b"plate", 4, 3)
ROUTE = Route("plate-seg", "1.0.0", "segmentation", "sha256:0", "sha256:1", ("background", "root"))


@pytest.fixture(autouse=True)
def _poll_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_client, "_START_PAUSE_S", 0.02)


async def predict(address: str, deadline_s: float, *, scale_to_zero: bool = True, retry: bool = True) -> ModelResponse:
    async with ModelClient.connect(address, address, scale_to_zero=scale_to_zero) as client:
        return await client.predict(ROUTE, IMAGE, Deadline.after(deadline_s), retry=retry)


def test_request_waits_until_a_replica_starts(tmp_path: Path) -> None:
    path = tmp_path / "inference.sock"

    async def start_late() -> ModelResponse:
        waiting = asyncio.create_task(predict(f"unix:{path}", 60))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        with run_unix_http_server(path):
            return await waiting

    assert asyncio.run(start_late()).data.startswith(b"POST /predictions/plate-seg/1.0.0")


def test_request_gets_503_shortly_before_its_deadline(tmp_path: Path) -> None:
    deadline = Deadline.after(model_client._START_MARGIN_S + 0.5)

    async def wait() -> float:
        address = f"unix:{tmp_path / 'absent.sock'}"
        async with ModelClient.connect(address, address, scale_to_zero=True) as client:
            with pytest.raises(ModelStartingError, match=r"plate-seg .* is scaled to zero") as caught:
                await client.predict(ROUTE, IMAGE, deadline)
        assert caught.value.retry_after_s == 30
        return deadline.remaining()

    assert asyncio.run(wait()) > 0


def test_starting_model_is_503_and_counts_as_unavailable() -> None:
    error = ModelStartingError("plate-seg", "1.0.0", 55.0)
    assert spec_for(ModelStartingError).status == 503
    assert to_problem(error).type == "/problems/model-starting"
    assert classify_error(error) == "unavailable"


@pytest.mark.parametrize(("scale_to_zero", "retry"), [(False, True), (True, False)], ids=["not configured", "canary"])
def test_request_does_not_wait_without_the_setting(scale_to_zero: bool, retry: bool, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        asyncio.run(predict(f"unix:{tmp_path / 'absent.sock'}", 60, scale_to_zero=scale_to_zero, retry=retry))
    assert not isinstance(caught.value, ModelStartingError)


class NoWorkers:
    async def count_ready_workers(self, name: str, version: str, url: str = "") -> int | None:
        return None


class FixedState:
    def __init__(self, state: ReleaseState) -> None:
        self.state = state

    def current(self) -> ReleaseState:
        return self.state


class WorkingPath:
    stable_routes: Sequence[Route] = ()

    async def wait_for_first(self) -> None:
        assert not self.stable_routes, "a model without a worker is not probed: the probe would keep it running"

    def failures(self) -> list[str]:
        return []


@pytest.mark.parametrize("scale_to_zero", [True, False])
def test_facade_without_replicas_is_ready_if_they_can_start(scale_to_zero: bool) -> None:
    release_state = ReleaseState(models={"plate-seg": make_release()})
    health = Health(
        cast(ModelClient, NoWorkers()),
        cast(ReleaseSource, FixedState(release_state)),
        cast(RequestPathProbe, WorkingPath()),
        None,
        scale_to_zero=scale_to_zero,
    )
    readiness = asyncio.run(health.readiness())
    assert readiness.is_ready is scale_to_zero
    assert not readiness.is_version_ready("plate-seg", "1.0.0")
