"""Whatever the measuring of a canary's answer breaks, the user gets the stable version's."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from tests.support import pool_tasks, sample_images
from thale.errors import ImageError, ModelFailedError, ModelNonsenseError, ModelUnavailableError, ScaleError
from thale.facade.deadline import Deadline
from thale.facade.inference.fallback import Asking, outcome_of
from thale.facade.postprocess.worker_pool import Pool
from thale.facade.settings import Settings
from thale.facade.upstream.breaker_registry import Breakers
from thale.facade.upstream.model_client import ModelClient, Question
from thale.facade.upstream.model_response import Answer
from thale.facade.upstream.routing import Choice
from thale.schemas import ReleaseRecord


@pytest.mark.parametrize(
    ("how", "deadline_s", "outcome"), [("raises", 60, "nonsense"), ("hangs", 8, "late"), ("dies", 60, "nonsense")]
)
def test_an_answer_that_breaks_the_measuring_is_replaced(
    settings: Settings, how: str, deadline_s: float, outcome: str
) -> None:
    record = ReleaseRecord.model_validate_json(settings.record_path.read_bytes())
    stable = Choice.of(record.models["plate-seg"].versions["1.0.0"])
    canary = replace(stable, version=f"1.0.0-{how}", role="canary", fallback=stable)
    question = Question(sample_images.png(), 240, 200)

    async def read() -> tuple[list[str], list[Answer]]:
        pool = Pool(1)
        try:
            await pool.warm_up()
            async with ModelClient.connect(settings.model_url, settings.management_url) as models:
                asking = Asking(models, pool, Breakers(settings), settings)
                answers = [Answer(canary, b"", 0.1, 240, 200)]
                deadline = Deadline.after(deadline_s)
                return await asking.read(pool_tasks.stumble_on_canaries, answers, [question], deadline, how)
        finally:
            pool.close()

    versions, answers = asyncio.run(read())
    assert versions == [answer.choice.version for answer in answers] == ["1.0.0"]
    labels = {"model": "plate-seg", "version": canary.version}
    assert REGISTRY.get_sample_value("thale_model_fallbacks_total", {**labels, "reason": outcome}) == 1
    assert REGISTRY.get_sample_value("thale_model_requests_total", {**labels, "outcome": outcome}) == 1


def test_every_error_has_its_outcome() -> None:
    assert outcome_of(ModelNonsenseError("a", "1.0.0", "no")) == "nonsense"
    assert outcome_of(ModelFailedError("no")) == "failed"
    assert outcome_of(ModelUnavailableError("no")) == "unavailable"
    assert outcome_of(Deadline.after(1).exceeded()) == "late"
    assert {outcome_of(ImageError("no")), outcome_of(ScaleError("no"))} == {"refused"}
