"""Fallback of requests to stable when a canary fails, and the counts of outcomes, without a model server."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from thale.errors import (
    DeadlineExceededError,
    ImageError,
    InvalidModelResponseError,
    ModelFailedError,
    ModelUnavailableError,
    ThaleError,
)
from thale.facade.deadline import Deadline
from thale.facade.inference.fallback import FallbackClient
from thale.facade.settings import FacadeSettings
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.model_client import PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route

REQUEST = PredictRequest(b"image", 240, 200)
_NUMBERS = itertools.count(1)


@dataclass
class FakeModels:
    """Model server that fails for the versions of `errors`, and records the requests."""

    errors: dict[str, ThaleError] = field(default_factory=dict)
    sent: list[tuple[str, float, bool]] = field(default_factory=list)
    """Version, seconds to the deadline, and whether a failed request is repeated."""

    async def predict(self, route: Route, request: PredictRequest, deadline: Deadline, *, retry: bool) -> ModelResponse:
        assert request is REQUEST
        self.sent.append((route.version, deadline.remaining(), retry))
        if route.version in self.errors:
            raise self.errors[route.version]
        return ModelResponse(route, route.version.encode(), 0.1, 240, 200)

    def versions(self) -> list[str]:
        return [version for version, _, _ in self.sent]


class FakePool:
    """Runs each task in this process, and records the seconds that it has."""

    def __init__(self) -> None:
        self.allowed_s: list[float] = []

    async def run(self, deadline: Deadline, task: Callable[..., Any], *arguments: object) -> Any:
        self.allowed_s.append(deadline.remaining())
        return task(*arguments)


class Case:
    """A fallback client with a stable version and a canary whose names no other test counts."""

    def __init__(self) -> None:
        number = next(_NUMBERS)
        classes = ("background", "root")
        self.stable = Route("plate-seg", f"{number}.1.0", "segmentation", "sha256:a", "sha256:w", classes)
        self.canary = replace(self.stable, version=f"{number}.2.0", role="canary", fallback=self.stable)
        self.models, self.pool = FakeModels(), FakePool()
        settings = FacadeSettings(release_state_path=Path("release-state.json"))
        self.client = FallbackClient(self.models, self.pool, BreakerRegistry(settings), settings)  # type: ignore[arg-type]

    def predict(self, route: Route, seconds: float = 60.0) -> str:
        response = asyncio.run(self.client.predict(route, REQUEST, Deadline.after(seconds)))
        assert response.data.decode() == response.route.version
        return response.route.version

    def postprocess(self, task: Callable[..., Any], routes: Sequence[Route]) -> tuple[Any, list[str]]:
        responses = [ModelResponse(route, b"", 0.1, 240, 200) for route in routes]
        requests = [REQUEST] * len(routes)
        deadline = Deadline.after(60)
        result, used = asyncio.run(self.client.postprocess(task, responses, requests, deadline, "argument"))
        return result, [response.route.version for response in used]

    def outcomes(self, route: Route) -> dict[str, float]:
        return self._counts("thale_model_requests_total", route, "outcome")

    def fallbacks(self) -> dict[str, float]:
        return self._counts("thale_model_fallbacks_total", self.canary, "reason")

    @staticmethod
    def _counts(name: str, route: Route, label: str) -> dict[str, float]:
        samples = [sample for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name]
        version = {"model": route.name, "version": route.version}
        return {s.labels[label]: s.value for s in samples if s.value and version.items() <= s.labels.items()}


@pytest.fixture
def case() -> Case:
    return Case()


FAILURES = [
    (ModelFailedError("no"), "error"),
    (ModelUnavailableError("no"), "unavailable"),
    (InvalidModelResponseError("plate-seg", "1.0.0", "no"), "invalid_response"),
    (DeadlineExceededError("no"), "timeout"),
]


@pytest.mark.parametrize(("error", "outcome"), FAILURES, ids=[outcome for _, outcome in FAILURES])
def test_stable_serves_the_request_of_a_failed_canary(case: Case, error: ThaleError, outcome: str) -> None:
    case.models.errors = {case.canary.version: error}
    assert case.predict(case.canary) == case.stable.version
    assert case.models.versions() == [case.canary.version, case.stable.version]
    assert (case.outcomes(case.canary), case.fallbacks()) == ({outcome: 1}, {outcome: 1})
    assert case.outcomes(case.stable) == {}  # counted as `ok` when post-processing has used it


def test_canary_gets_half_of_the_time_and_no_retry(case: Case) -> None:
    case.models.errors = {case.canary.version: ModelFailedError("no")}
    case.predict(case.canary, seconds=8)
    (_, canary_s, canary_retry), (_, stable_s, stable_retry) = case.models.sent
    assert 3 < canary_s <= 4
    assert 7 < stable_s <= 8
    assert (canary_retry, stable_retry) == (False, True)


def test_canary_breaker_opens_and_stable_serves(case: Case) -> None:
    case.models.errors = {case.canary.version: ModelFailedError("no")}
    requests = 200
    assert {case.predict(case.canary) for _ in range(requests)} == {case.stable.version}
    tried = case.models.versions().count(case.canary.version)
    assert 0 < tried < requests
    assert case.fallbacks() == {"error": tried, "open": requests - tried}


def test_short_deadlines_do_not_open_a_breaker(case: Case) -> None:
    case.models.errors = {case.canary.version: DeadlineExceededError("no")}
    for _ in range(200):
        case.predict(case.canary, seconds=1)
    assert case.models.versions().count(case.canary.version) == 200


def test_rejection_counts_if_stable_rejects_too(case: Case) -> None:
    case.models.errors = {route.version: ImageError("no") for route in (case.canary, case.stable)}
    with pytest.raises(ImageError):
        case.predict(case.canary)
    assert case.outcomes(case.canary) == case.outcomes(case.stable) == {"rejected": 1}
    assert case.fallbacks() == {}


def test_rejection_of_the_canary_alone_is_invalid(case: Case) -> None:
    case.models.errors = {case.canary.version: ImageError("no")}
    assert case.predict(case.canary) == case.stable.version
    assert case.outcomes(case.canary) == case.fallbacks() == {"invalid_response": 1}


def test_stable_breaker_opens_on_timeouts_only(case: Case) -> None:
    case.models.errors = {case.stable.version: ModelFailedError("no")}
    for _ in range(100):
        with pytest.raises(ModelFailedError):
            case.predict(case.stable)
    case.models.errors = {case.stable.version: DeadlineExceededError("no")}
    for _ in range(200):
        with pytest.raises((DeadlineExceededError, ModelUnavailableError)):
            case.predict(case.stable)
    tried = len(case.models.sent) - 100
    assert 0 < tried < 200
    assert case.outcomes(case.stable) == {"error": 100, "timeout": tried, "unavailable": 200 - tried}


def test_last_response_is_recorded_for_its_version(case: Case) -> None:
    names = [(route.name, route.version) for route in (case.stable, case.canary)]
    assert [case.client.last_response_at(*name) for name in names] == [0, 0]
    case.predict(case.canary)
    stable_at, canary_at = (case.client.last_response_at(*name) for name in names)
    assert (stable_at, canary_at > 0) == (0, True)


def failing_for(version: str, error: Exception) -> Callable[..., str]:
    """Return a task that fails if a response is of this version."""

    def task(responses: list[ModelResponse], argument: str) -> str:
        assert argument == "argument"
        if version in [response.route.version for response in responses]:
            raise error
        return "result"

    return task


def test_postprocessing_counts_used_responses_as_ok(case: Case) -> None:
    routes = [case.canary, case.stable]
    assert case.postprocess(failing_for("none", ValueError()), routes) == ("result", [r.version for r in routes])
    assert case.outcomes(case.canary) == case.outcomes(case.stable) == {"ok": 1}
    assert (case.fallbacks(), case.models.sent) == ({}, [])
    assert 29 < case.pool.allowed_s[0] <= 30


def test_postprocessing_without_canary_has_the_whole_time(case: Case) -> None:
    case.postprocess(failing_for("none", ValueError()), [case.stable])
    assert 59 < case.pool.allowed_s[0] <= 60


@pytest.mark.parametrize("outcome", ["invalid_response", "timeout"])
def test_stable_replaces_a_canarys_unusable_response(case: Case, outcome: str) -> None:
    error = DeadlineExceededError("no") if outcome == "timeout" else ValueError("no")
    other = Case()
    routes = [other.stable, case.canary]
    result = case.postprocess(failing_for(case.canary.version, error), routes)
    assert result == ("result", [other.stable.version, case.stable.version])
    assert case.outcomes(case.canary) == case.fallbacks() == {outcome: 1}
    assert case.outcomes(case.stable) == case.outcomes(other.stable) == {"ok": 1}


def test_only_the_named_canary_is_replaced(case: Case) -> None:
    other = Case()
    error = InvalidModelResponseError(case.canary.name, case.canary.version, "no")
    result = case.postprocess(failing_for(case.canary.version, error), [other.canary, case.canary])
    assert result == ("result", [other.canary.version, case.stable.version])
    assert (case.outcomes(case.canary), other.outcomes(other.canary)) == ({"invalid_response": 1}, {"ok": 1})


@pytest.mark.parametrize("kind", ["image", "stable's response"])
def test_postprocessing_error_without_a_suspect_is_raised(case: Case, kind: str) -> None:
    named = InvalidModelResponseError(case.stable.name, case.stable.version, "no")
    error = ImageError("no") if kind == "image" else named
    with pytest.raises(type(error)):
        case.postprocess(failing_for(case.stable.version, error), [case.stable, case.canary])
    assert case.outcomes(case.stable) == {"ok" if kind == "image" else "invalid_response": 1}
    assert case.outcomes(case.canary) == {"ok": 1}
    assert (case.fallbacks(), case.models.sent) == ({}, [])


def test_use_stable_replaces_a_canarys_response_only(case: Case) -> None:
    def use_stable(route: Route) -> str:
        response = ModelResponse(route, b"", 0.1, 240, 200)
        return asyncio.run(case.client.use_stable(response, REQUEST, Deadline.after(60))).route.version

    assert [use_stable(case.stable), use_stable(case.canary)] == [case.stable.version] * 2
    assert case.models.versions() == [case.stable.version]
    assert (case.outcomes(case.canary), case.outcomes(case.stable)) == ({"ok": 1}, {})
