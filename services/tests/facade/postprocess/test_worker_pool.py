"""Tests of the worker pool: errors, deadlines and dead workers."""

import asyncio
import os
import time
from typing import Any

import pytest

from tests.support.pool_tasks import kill_own_process, raise_image_error
from thale.errors import DeadlineExceededError, ImageTooSmallError, ModelUnavailableError
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_pool import WorkerPool


def run(work: Any) -> Any:
    async def with_pool() -> Any:
        pool = WorkerPool(1)
        try:
            await pool.warm_up()
            return await work(pool)
        finally:
            pool.close()

    return asyncio.run(with_pool())


def test_pool_returns_errors_with_class_and_message() -> None:
    with pytest.raises(ImageTooSmallError, match="1 x 2 px"):
        run(lambda pool: pool.run(Deadline.after(60), raise_image_error))


def test_pool_stops_a_task_at_its_deadline() -> None:
    async def work(pool: WorkerPool) -> int:
        with pytest.raises(DeadlineExceededError):
            await pool.run(Deadline.after(0.2), time.sleep, 600)
        return await pool.run(Deadline.after(60), os.getpid)

    assert run(work) != os.getpid()


def test_pool_survives_a_task_that_kills_its_process() -> None:
    async def work(pool: WorkerPool) -> int:
        with pytest.raises(ModelUnavailableError):
            await pool.run(Deadline.after(60), kill_own_process)
        return await pool.run(Deadline.after(60), os.getpid)

    assert run(work) != os.getpid()
