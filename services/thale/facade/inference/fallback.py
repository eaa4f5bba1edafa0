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

from thale.errors import DeadlineExceededError, ModelNonsenseError, ModelUnavailableError, ThaleError
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_pool import Pool
from thale.facade.settings import Settings
from thale.facade.upstream.breaker_registry import Breakers
from thale.facade.upstream.model_client import IMAGE_FAULTS, ModelClient, Question
from thale.facade.upstream.model_response import Answer
from thale.facade.upstream.routing import Choice
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

Outcome = Literal["ok", "refused", "failed", "unavailable", "late", "nonsense"]

_SILENCE: frozenset[Outcome] = frozenset({"unavailable", "late"})
"""What opens a stable version's breaker: nobody is there. A canary's is opened by every failure."""
_FAILURES = _SILENCE | {"failed", "nonsense"}


def outcome_of(error: ThaleError) -> Outcome:
    """Return how a question went that ended with this error."""
    match error:
        case ModelNonsenseError():
            return "nonsense"
        case ModelUnavailableError():
            return "unavailable"
        case DeadlineExceededError():
            return "late"
    return "refused" if isinstance(error, IMAGE_FAULTS) else "failed"


class Asking:
    """Asks models for users."""

    def __init__(self, models: ModelClient, pool: Pool, breakers: Breakers, settings: Settings) -> None:
        self._models = models
        self._pool = pool
        self._breakers = breakers
        self._patience_s = settings.canary_patience_s

    async def ask(self, choice: Choice, question: Question, deadline: Deadline) -> Answer:
        """Return the chosen version's answer, not yet read, or the stable version's where a canary gives none.

        Raises:
            ImageError, ScaleError, ParameterError: What a stable or pinned version says of the image.
            ModelUnavailableError: If it is not there, or its breaker is open.
            ModelFailedError: If its worker failed.
            DeadlineExceededError: If the answer comes too late.
        """
        if choice.fallback is None:
            return await self._ask(choice, question, deadline)
        if not self._breakers.admits(choice):
            return await self._instead(choice, "open", question, deadline)
        patience = deadline.share(self._patience_s)
        try:
            return await self._timed(choice, question, patience, again=False)
        except ThaleError as error:
            outcome = outcome_of(error)
        if outcome == "refused":
            return await self._second_opinion(choice, question, deadline)
        self._count(choice, outcome, patience.allowed_s)
        return await self._instead(choice, outcome, question, deadline)

    async def read(
        self,
        task: Callable[..., _Result],
        answers: list[Answer],
        questions: Sequence[Question],
        deadline: Deadline,
        *rest: object,
    ) -> tuple[_Result, list[Answer]]:
        """Run a task on answers in a measuring process. Where a canary's is of no use, ask the stable version instead.

        Args:
            task: Called with the answers and the rest.
            answers: What models said.
            questions: What each was asked.
            deadline: Of the whole request.
            rest: Further arguments of the task.

        Returns:
            The result, and the answers that it was made of.

        Raises:
            ThaleError: What the task raises for reasons that no canary has to do with, or what asking again raises.
        """
        on_trial = [answer for answer in answers if answer.choice.fallback]
        patience = deadline.share() if on_trial else deadline
        try:
            result = await self._pool.run(patience, task, answers, *rest)
        # The boundary between a version on trial and the users: whatever its answer breaks must not reach them.
        except Exception as error:
            guilty = _guilty(error, on_trial)
            if not guilty:
                self._settle(answers, error)
                raise
            logger.warning("answer of a canary is of no use", extra={"error": repr(error)})
            outcome: Outcome = "late" if isinstance(error, DeadlineExceededError) else "nonsense"
        else:
            self._settle(answers)
            return result, answers
        for answer in guilty:
            self._count(answer.choice, outcome, patience.allowed_s)
        answers = await together(
            self._instead(answer.choice, outcome, question, deadline) if answer in guilty else _same(answer)
            for answer, question in zip(answers, questions, strict=True)
        )
        return await self.read(task, answers, questions, deadline, *rest)

    async def instead(self, answer: Answer, question: Question, deadline: Deadline) -> Answer:
        """Return the stable version's answer in place of a good one of a canary, an answer of others as it is."""
        if answer.choice.fallback is None:
            return answer
        self._count(answer.choice, "ok")
        return await self._ask(answer.choice.fallback, question, deadline)

    async def _ask(self, choice: Choice, question: Question, deadline: Deadline) -> Answer:
        """Ask a version that nobody stands behind."""
        if not self._breakers.admits(choice):
            metrics.MODEL_REQUESTS.labels(choice.name, choice.version, "unavailable").inc()
            tracing.event("breaker is open", choice.told())
            raise ModelUnavailableError(
                f"{choice.name} {choice.version} has not answered the last questions: try again in a few seconds"
            )
        granted_s = deadline.remaining()
        try:
            return await self._timed(choice, question, deadline)
        except ThaleError as error:
            self._count(choice, outcome_of(error), granted_s)
            raise

    async def _timed(self, choice: Choice, question: Question, deadline: Deadline, *, again: bool = True) -> Answer:
        answer = await self._models.ask(choice, question, deadline, again=again)
        version = choice.name, choice.version
        metrics.MODEL_SECONDS.labels(*version).observe(answer.seconds, tracing.exemplar())
        for stage, seconds in answer.stages.items():
            metrics.MODEL_STAGE_SECONDS.labels(*version, stage).observe(seconds)
        if answer.batch_images is not None:
            metrics.MODEL_BATCH_IMAGES.labels(*version).observe(answer.batch_images)
        return answer

    async def _instead(self, canary: Choice, reason: str, question: Question, deadline: Deadline) -> Answer:
        """Ask the stable version, and count that it answered in the canary's place."""
        assert canary.fallback is not None  # noqa: S101 (what makes it a canary)
        about = {"thale.why": "fallback", "thale.reason": reason, "thale.instead_of": canary.version}
        with tracing.span("thale.fallback", canary.fallback.told() | about):
            answer = await self._ask(canary.fallback, question, deadline)
        metrics.MODEL_FALLBACKS.labels(canary.name, canary.version, reason).inc()
        fields = {"model": canary.name, "version": canary.version, "reason": reason}
        logger.warning("stable version answered for a canary", extra=fields)
        return answer

    async def _second_opinion(self, canary: Choice, question: Question, deadline: Deadline) -> Answer:
        """Ask the stable version about an image that the canary finds at fault: one of the two is wrong."""
        try:
            answer = await self._instead(canary, "nonsense", question, deadline)
        except ThaleError:
            self._count(canary, "refused")
            raise
        self._count(canary, "nonsense")
        return answer

    def _settle(self, answers: Iterable[Answer], error: Exception | None = None) -> None:
        """Count answers that have been read: good but for those that the error blames."""
        for answer in answers:
            self._count(answer.choice, "nonsense" if _blames(error, answer) else "ok")

    def _count(self, choice: Choice, outcome: Outcome, granted_s: float = math.inf) -> None:
        """Count a question's outcome, and tell the version's breaker.

        A version that was late by a client's impatience alone is not held to be away.
        """
        metrics.MODEL_REQUESTS.labels(choice.name, choice.version, outcome).inc()
        if outcome == "late" and granted_s < self._patience_s:
            return
        failures = _SILENCE if choice.fallback is None else _FAILURES
        self._breakers.note(choice, failed=outcome in failures)


def _guilty(error: Exception, on_trial: Sequence[Answer]) -> list[Answer]:
    """Return the answers on trial that the error may be due to: the one it names, else all unless it names another."""
    if isinstance(error, ModelNonsenseError):
        return [answer for answer in on_trial if _blames(error, answer)]
    return [] if isinstance(error, IMAGE_FAULTS) else list(on_trial)


def _blames(error: Exception | None, answer: Answer) -> bool:
    told = (answer.choice.name, answer.choice.version)
    return isinstance(error, ModelNonsenseError) and (error.name, error.version) == told


async def _same(answer: Answer) -> Answer:
    return answer


async def together(work: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Return all results; when one fails, or nobody waits any more, the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
