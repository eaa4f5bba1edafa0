"""Tests of the fallback to stable after a failure of post-processing, and of the outcomes of errors."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from prometheus_client import REGISTRY

from tests.support import pool_tasks, sample_images
from thale.errors import ImageError, InvalidModelResponseError, ModelFailedError, ModelUnavailableError, ScaleError
from thale.facade.deadline import Deadline
from thale.facade.inference.fallback import FallbackClient, classify_error
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import FacadeSettings
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.schemas import ReleaseState
from thale.telemetry import labels


@pytest.mark.integration
@pytest.mark.parametrize(
    ("failure_mode", "deadline_s", "outcome"),
    [("exception", 60, "invalid_response"), ("hang", 8, "timeout"), ("exit", 60, "invalid_response")],
)
def test_fallback_replaces_response_that_fails_postprocessing(
    settings: FacadeSettings, failure_mode: str, deadline_s: float, outcome: str
) -> None:
    release_state = ReleaseState.model_validate_json(settings.release_state_path.read_bytes())
    stable = Route.from_manifest(release_state.models["plate-seg"].versions["1.0.0"])
    canary = replace(stable, version=f"1.0.0-{failure_mode}", role="canary", fallback=stable)
    request = PredictRequest(sample_images.png(), 240, 200)

    async def postprocess() -> tuple[list[str], list[ModelResponse]]:
        pool = WorkerPool(1, 2**30)
        try:
            await pool.warm_up()
            async with ModelClient.connect(settings.model_url, settings.management_url) as models:
                fallback_client = FallbackClient(models, pool, BreakerRegistry(settings), settings)
                responses = [ModelResponse(canary, b"", 0.1, 240, 200)]
                deadline = Deadline.after(deadline_s)
                return await fallback_client.postprocess(
                    pool_tasks.fail_on_canary, responses, [request], deadline, failure_mode
                )
        finally:
            pool.close()

    series = {"model": "plate-seg", "version": canary.version}
    counters = (
        ("thale_model_fallbacks_total", {**series, "reason": outcome}),
        ("thale_model_requests_total", {**series, "outcome": outcome}),
    )
    before = [REGISTRY.get_sample_value(*counter) or 0 for counter in counters]
    versions, responses = asyncio.run(postprocess())
    assert versions == [response.route.version for response in responses] == ["1.0.0"]
    assert [REGISTRY.get_sample_value(*counter) for counter in counters] == [count + 1 for count in before]


def test_classify_error_maps_every_error() -> None:
    assert classify_error(InvalidModelResponseError("a", "1.0.0", "no")) == "invalid_response"
    assert classify_error(ModelFailedError("no")) == "error"
    assert classify_error(ModelUnavailableError("no")) == "unavailable"
    assert classify_error(Deadline.after(1).error()) == "timeout"
    assert {classify_error(ImageError("no")), classify_error(ScaleError("no"))} == {"rejected"}


def test_fallbacks_of_a_canary_are_initialised_to_zero() -> None:
    stable = Route("plate-seg", "1.0.0", "segmentation", "sha256:a", "sha256:w", ("background", "root"))
    canary = replace(stable, version="7.0.0", role="canary", fallback=stable)
    settings = FacadeSettings(release_state_path=Path("release-state.json"))
    response = ModelResponse(canary, b"", 0.1, 240, 200)
    models: Any = SimpleNamespace(predict=AsyncMock(return_value=response))
    client = FallbackClient(models, MagicMock(), BreakerRegistry(settings), settings)
    assert asyncio.run(client.predict(canary, PredictRequest(b"", 240, 200), Deadline.after(60))) is response
    for reason in labels.REASON.values:
        found = {"model": "plate-seg", "version": "7.0.0", "reason": reason}
        assert REGISTRY.get_sample_value("thale_model_fallbacks_total", found) == 0, reason
