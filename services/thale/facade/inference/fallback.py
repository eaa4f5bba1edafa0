"""Asking the version that was chosen, and the stable one where a canary does not answer, all within one request.

Whatever a canary does (fail, be away, be late, answer nonsense, blame a good image) may take half of the time that is
left; then the stable version is asked. Every question is counted once, when its outcome is certain: an answer is good
when a measuring process could use it.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, TypeVar

from thale.errors import DeadlineExceededError, InvalidModelResponseError, ModelUnavailableError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import Settings
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.model_client import IMAGE_ERRORS, ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

Outcome = Literal["ok", "rejected", "error", "unavailable", "timeout", "invalid_response"]

_UNREACHABLE_OUTCOMES: frozenset[Outcome] = frozenset({"unavailable", "timeout"})
"""What opens a stable version's breaker: nobody is there. A canary's is opened by every failure."""
_FAILURE_OUTCOMES = _UNREACHABLE_OUTCOMES | {"error", "invalid_response"}


def classify_error(error: ThaleError) -> Outcome:
    """Return how a question went that ended with this error."""
    match error:
        case InvalidModelResponseError():
            return "invalid_response"
        case ModelUnavailableError():
            return "unavailable"
        case DeadlineExceededError():
            return "timeout"
    return "rejected" if isinstance(error, IMAGE_ERRORS) else "error"


class FallbackClient:
    """Asks models for users."""

    def __init__(self, models: ModelClient, pool: WorkerPool, breakers: BreakerRegistry, settings: Settings) -> None:
        self._models = models
        self._pool = pool
        self._breakers = breakers
        self._canary_timeout_s = settings.canary_timeout_s

    async def predict(self, route: Route, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Return the chosen version's answer, not yet read, or the stable version's where a canary gives none.

        Raises:
            ImageError, ScaleError, ParameterError: What a stable or pinned version says of the image.
            ModelUnavailableError: If it is not there, or its circuit breaker is open.
            ModelFailedError: If its worker failed.
            DeadlineExceededError: If the answer comes too late.
        """
        if route.fallback is None:
            return await self._predict_without_fallback(route, request, deadline)
        if not self._breakers.allows(route):
            return await self._fall_back(route, "open", request, deadline)
        canary_deadline = deadline.half(self._canary_timeout_s)
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
        """Run a task on answers in a measuring process. Where a canary's is of no use, ask the stable version instead.

        Args:
            task: Called with the responses and `arguments`.
            responses: Model responses.
            requests: The request behind each response.
            deadline: Of the whole request.
            arguments: Further arguments of the task.

        Returns:
            The result, and the answers that it was made of.

        Raises:
            ThaleError: What the task raises for reasons that no canary has to do with, or what asking again raises.
        """
        canaries = [response for response in responses if response.route.fallback]
        canary_deadline = deadline.half() if canaries else deadline
        try:
            result = await self._pool.run(canary_deadline, task, responses, *arguments)
        # The boundary between a version on trial and the users: whatever its answer breaks must not reach them.
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
        responses = await gather_or_cancel(
            self._fall_back(response.route, outcome, request, deadline)
            if response in suspects
            else _return_unchanged(response)
            for response, request in zip(responses, requests, strict=True)
        )
        return await self.postprocess(task, responses, requests, deadline, *arguments)

    async def use_stable(self, response: ModelResponse, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Return the stable version's answer in place of a good one of a canary, an answer of others as it is."""
        if response.route.fallback is None:
            return response
        self._record_outcome(response.route, "ok")
        return await self._predict_without_fallback(response.route.fallback, request, deadline)

    async def _predict_without_fallback(
        self, route: Route, request: PredictRequest, deadline: Deadline
    ) -> ModelResponse:
        """Ask a version that nobody stands behind."""
        if not self._breakers.allows(route):
            metrics.MODEL_REQUESTS.labels(route.name, route.version, "unavailable").inc()
            tracing.add_event("circuit breaker is open", route.span_attributes())
            raise ModelUnavailableError(
                f"{route.name} {route.version} has not answered the last questions: try again in a few seconds"
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
        metrics.MODEL_SECONDS.labels(*version).observe(response.seconds, tracing.exemplar())
        for stage, seconds in response.stages.items():
            metrics.MODEL_STAGE_SECONDS.labels(*version, stage).observe(seconds)
        if response.batch_images is not None:
            metrics.MODEL_BATCH_IMAGES.labels(*version).observe(response.batch_images)
        return response

    async def _fall_back(
        self, canary: Route, reason: str, request: PredictRequest, deadline: Deadline
    ) -> ModelResponse:
        """Ask the stable version, and count that it answered in the canary's place."""
        assert canary.fallback is not None  # noqa: S101 (what makes it a canary)
        attributes = {"thale.role": "fallback", "thale.reason": reason, "thale.fallback_for": canary.version}
        with tracing.span("thale.fallback", canary.fallback.span_attributes() | attributes):
            response = await self._predict_without_fallback(canary.fallback, request, deadline)
        metrics.MODEL_FALLBACKS.labels(canary.name, canary.version, reason).inc()
        fields = {"model": canary.name, "version": canary.version, "reason": reason}
        logger.warning("stable version served a failed canary request", extra=fields)
        return response

    async def _verify_rejection(self, canary: Route, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Ask the stable version about an image that the canary finds at fault: one of the two is wrong."""
        try:
            response = await self._fall_back(canary, "invalid_response", request, deadline)
        except ThaleError:
            self._record_outcome(canary, "rejected")
            raise
        self._record_outcome(canary, "invalid_response")
        return response

    def _record_outcomes(self, responses: Iterable[ModelResponse], error: Exception | None = None) -> None:
        """Count answers that have been read: good but for those that the error blames."""
        for response in responses:
            self._record_outcome(response.route, "invalid_response" if _names_version(error, response) else "ok")

    def _record_outcome(self, route: Route, outcome: Outcome, allowed_s: float = math.inf) -> None:
        """Count a question's outcome, and tell the version's breaker.

        A version that was late by a client's impatience alone is not held to be away.
        """
        metrics.MODEL_REQUESTS.labels(route.name, route.version, outcome).inc()
        if outcome == "timeout" and allowed_s < self._canary_timeout_s:
            return
        failure_outcomes = _UNREACHABLE_OUTCOMES if route.fallback is None else _FAILURE_OUTCOMES
        self._breakers.record(route, is_failure=outcome in failure_outcomes)


def _suspects(error: Exception, canaries: Sequence[ModelResponse]) -> list[ModelResponse]:
    """Return the answers on trial that the error may be due to: the one it names, else all unless it names another."""
    if isinstance(error, InvalidModelResponseError):
        return [response for response in canaries if _names_version(error, response)]
    return [] if isinstance(error, IMAGE_ERRORS) else list(canaries)


def _names_version(error: Exception | None, response: ModelResponse) -> bool:
    served_version = (response.route.name, response.route.version)
    return isinstance(error, InvalidModelResponseError) and (error.name, error.version) == served_version


async def _return_unchanged(response: ModelResponse) -> ModelResponse:
    return response


async def gather_or_cancel(coroutines: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Return all results; when one fails, or nobody waits any more, the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
