"""Model requests with fallback: stable serves a request within the same call if the canary fails (ADR 0012).

A failing canary costs at most half of the remaining time. Failures are errors, unavailability, timeouts, invalid
responses, and rejections of an image that stable accepts. Each model request is counted once, when its outcome is
final. A response counts as `ok` when post-processing has used it.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

from thale.errors import DeadlineExceededError, InvalidModelResponseError, ModelUnavailableError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.inference.canary_timeout import CanaryTimeout
from thale.facade.inference.concurrency import run_concurrently
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import FacadeSettings
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.model_client import IMAGE_ERRORS, ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.telemetry import labels, metrics, tracing

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

Outcome = Literal["ok", "rejected", "error", "unavailable", "timeout", "invalid_response"]

_UNREACHABLE_OUTCOMES: frozenset[Outcome] = frozenset({"unavailable", "timeout"})
"""The outcomes that open a stable version's circuit breaker. Every failure opens a canary's (ADR 0013)."""
_FAILURE_OUTCOMES = _UNREACHABLE_OUTCOMES | {"error", "invalid_response"}


def classify_error(error: ThaleError) -> Outcome:
    """Return the outcome of a model request that failed with this error."""
    match error:
        case InvalidModelResponseError():
            return "invalid_response"
        case ModelUnavailableError():
            return "unavailable"
        case DeadlineExceededError():
            return "timeout"
    return "rejected" if isinstance(error, IMAGE_ERRORS) else "error"


class FallbackClient:
    """Sends model requests for clients, with circuit breakers and fallback."""

    def __init__(
        self, models: ModelClient, pool: WorkerPool, breakers: BreakerRegistry, settings: FacadeSettings
    ) -> None:
        self._models = models
        self._pool = pool
        self._breakers = breakers
        self._canary_timeout = CanaryTimeout(settings)
        self._last_response_at: dict[tuple[str, str], float] = {}

    def last_response_at(self, name: str, version: str) -> float:
        """Return the monotonic time of a model version's last response, or 0."""
        return self._last_response_at.get((name, version), 0.0)

    async def predict(self, route: Route, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Return the response of the route's version, unparsed, or stable's response if a canary fails.

        Raises:
            ImageError, ScaleError, ParameterError: If a stable or pinned version rejects the image.
            ModelUnavailableError: If the version is unavailable or its circuit breaker is open.
            ModelFailedError: If its worker failed.
            DeadlineExceededError: If there is no response before the deadline.
        """
        if route.fallback is None:
            return await self._predict_without_fallback(route, request, deadline)
        for reason in labels.REASON.values:  # initialised to 0 so that rate() sees the first increment
            metrics.MODEL_FALLBACKS.labels(route.name, route.version, reason)
        if not self._breakers.allows(route):
            return await self._fall_back(route, "open", request, deadline)
        canary_deadline = deadline.half(self._canary_timeout.seconds(route))
        try:
            return await self._predict_and_record(route, request, canary_deadline, retry=False)
        except ThaleError as error:
            outcome = classify_error(error)
        if outcome == "rejected":
            return await self._verify_rejection(route, request, deadline)
        self._record_outcome(route, outcome, canary_deadline.allowed_s)
        return await self._fall_back(route, outcome, request, deadline)

    async def postprocess(
        self,
        task: Callable[..., _Result],
        responses: list[ModelResponse],
        requests: Sequence[PredictRequest],
        deadline: Deadline,
        *arguments: object,
    ) -> tuple[_Result, list[ModelResponse]]:
        """Run a worker task on responses. Replace a canary's unusable response by stable's.

        Args:
            task: Called with the responses and `arguments`.
            responses: Model responses.
            requests: The model request of each response.
            deadline: Deadline of the whole request.
            arguments: Further arguments of the task.

        Returns:
            The result, and the responses that it is based on.

        Raises:
            ThaleError: If the task fails and no canary is a suspect, or if the fallback fails.
        """
        canaries = [response for response in responses if response.route.fallback]
        canary_deadline = deadline.half() if canaries else deadline
        try:
            result = await self._pool.run(canary_deadline, task, responses, *arguments)
        # The isolation boundary between a canary and the clients: no error caused by its response may reach them.
        except Exception as error:
            suspects = _suspects(error, canaries)
            if not suspects:
                self._record_outcomes(responses, error)
                raise
            logger.warning("canary response unusable", extra={"error": repr(error)})
            outcome: Outcome = "timeout" if isinstance(error, DeadlineExceededError) else "invalid_response"
        else:
            self._record_outcomes(responses)
            return result, responses
        for response in suspects:
            self._record_outcome(response.route, outcome, canary_deadline.allowed_s)
        responses = await run_concurrently(
            self._fall_back(response.route, outcome, request, deadline)
            if response in suspects
            else _return_unchanged(response)
            for response, request in zip(responses, requests, strict=True)
        )
        return await self.postprocess(task, responses, requests, deadline, *arguments)

    async def use_stable(self, response: ModelResponse, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Replace a canary's valid response by stable's. Return any other response unchanged."""
        if response.route.fallback is None:
            return response
        self._record_outcome(response.route, "ok")
        return await self._predict_without_fallback(response.route.fallback, request, deadline)

    async def _predict_without_fallback(
        self, route: Route, request: PredictRequest, deadline: Deadline
    ) -> ModelResponse:
        """Call a version that has no fallback."""
        if not self._breakers.allows(route):
            metrics.MODEL_REQUESTS.labels(route.name, route.version, "unavailable").inc()
            tracing.add_event("circuit breaker is open", route.span_attributes())
            raise ModelUnavailableError(
                f"the last requests to {route.name} {route.version} failed: retry in a few seconds"
            )
        allowed_s = deadline.remaining()
        try:
            return await self._predict_and_record(route, request, deadline)
        except ThaleError as error:
            self._record_outcome(route, classify_error(error), allowed_s)
            raise

    async def _predict_and_record(
        self, route: Route, request: PredictRequest, deadline: Deadline, *, retry: bool = True
    ) -> ModelResponse:
        response = await self._models.predict(route, request, deadline, retry=retry)
        version = route.name, route.version
        self._last_response_at[version] = time.monotonic()
        self._canary_timeout.record(route, response.seconds)
        metrics.MODEL_SECONDS.labels(*version).observe(response.seconds, tracing.exemplar())
        for stage, seconds in response.stages.items():
            metrics.MODEL_STAGE_SECONDS.labels(*version, stage).observe(seconds)
        if response.batch_images is not None:
            metrics.MODEL_BATCH_IMAGES.labels(*version).observe(response.batch_images)
        return response

    async def _fall_back(
        self, canary: Route, reason: str, request: PredictRequest, deadline: Deadline
    ) -> ModelResponse:
        """Call stable, and count the fallback."""
        assert canary.fallback is not None  # noqa: S101 (every canary has a fallback)
        attributes = {"thale.role": "fallback", "thale.reason": reason, "thale.fallback_for": canary.version}
        with tracing.span("thale.fallback", canary.fallback.span_attributes() | attributes):
            response = await self._predict_without_fallback(canary.fallback, request, deadline)
        metrics.MODEL_FALLBACKS.labels(canary.name, canary.version, reason).inc()
        fields = {"model": canary.name, "version": canary.version, "reason": reason}
        logger.warning("stable version served a failed canary request", extra=fields)
        return response

    async def _verify_rejection(self, canary: Route, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Verify the canary's rejection of an image by calling stable."""
        try:
            response = await self._fall_back(canary, "invalid_response", request, deadline)
        except ThaleError:
            self._record_outcome(canary, "rejected")
            raise
        self._record_outcome(canary, "invalid_response")
        return response

    def _record_outcomes(self, responses: Iterable[ModelResponse], error: Exception | None = None) -> None:
        """Count post-processed responses as `ok`, except for the one that the error names."""
        for response in responses:
            self._record_outcome(response.route, "invalid_response" if _names_version(error, response) else "ok")

    def _record_outcome(self, route: Route, outcome: Outcome, allowed_s: float = math.inf) -> None:
        """Count the outcome of a model request, and record it in the version's circuit breaker.

        A timeout caused by a client's short deadline is not recorded in the circuit breaker.
        """
        metrics.MODEL_REQUESTS.labels(route.name, route.version, outcome).inc()
        if outcome == "timeout" and not self._canary_timeout.is_full_attempt(route, allowed_s):
            return
        failure_outcomes = _UNREACHABLE_OUTCOMES if route.fallback is None else _FAILURE_OUTCOMES
        self._breakers.record(route, is_failure=outcome in failure_outcomes)


def _suspects(error: Exception, canaries: Sequence[ModelResponse]) -> list[ModelResponse]:
    """Return the canary responses that may have caused the error: the named one, or all if the error names none."""
    if isinstance(error, InvalidModelResponseError):
        return [response for response in canaries if _names_version(error, response)]
    return [] if isinstance(error, IMAGE_ERRORS) else list(canaries)


def _names_version(error: Exception | None, response: ModelResponse) -> bool:
    served_version = (response.route.name, response.route.version)
    return isinstance(error, InvalidModelResponseError) and (error.name, error.version) == served_version


async def _return_unchanged(response: ModelResponse) -> ModelResponse:
    return response
