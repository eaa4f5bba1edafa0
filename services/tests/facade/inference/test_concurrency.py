"""Tests of concurrent awaits: results in order, the original error, and cancellation."""

import asyncio

import pytest

from thale.errors import ModelFailedError
from thale.facade.inference.concurrency import run_concurrently


async def return_after(seconds: float, value: str) -> str:
    await asyncio.sleep(seconds)
    return value


async def fail_after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    raise ModelFailedError("no")


async def record_cancellation(cancelled: list[bool]) -> str:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        cancelled.append(True)
        raise
    return "never"


def test_run_concurrently_returns_results_in_order() -> None:
    async def run() -> list[str]:
        return await run_concurrently([return_after(0.02, "a"), return_after(0, "b")])

    assert asyncio.run(run()) == ["a", "b"]


def test_run_concurrently_raises_first_error_and_cancels_rest() -> None:
    cancelled: list[bool] = []

    async def run() -> None:
        with pytest.raises(ModelFailedError, match="no") as caught:
            await run_concurrently([record_cancellation(cancelled), fail_after(0)])
        assert caught.value.__context__ is None  # no reference to the group, which would be a cycle

    asyncio.run(run())
    assert cancelled == [True]


def test_run_concurrently_cancels_all_when_caller_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await run_concurrently([record_cancellation(cancelled) for _ in range(2)])

    asyncio.run(run())
    assert cancelled == [True, True]
