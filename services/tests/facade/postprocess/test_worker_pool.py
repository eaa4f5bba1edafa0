"""Tests of the worker pool: errors, deadlines and dead workers."""

import asyncio
import os
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests.support import heic_files
from tests.support.pool_tasks import (
    allocate,
    block_alarm,
    fail_unexpectedly,
    kill_own_process,
    raise_image_error,
    wait_for_file,
    write_and_sleep,
)
from thale.errors import DeadlineExceededError, ImageTooLargeError, ImageTooSmallError, ModelUnavailableError
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_pool import WorkerPool, WorkerTaskError
from thale.imaging.image_io import decode

MEMORY_BYTES = 256 * 2**20


def run(work: Any, processes: int = 1, memory_bytes: int = MEMORY_BYTES) -> Any:
    async def with_pool() -> Any:
        pool = WorkerPool(processes, memory_bytes)
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


def test_heic_beyond_the_memory_of_a_task_is_too_large() -> None:
    async def work(pool: WorkerPool) -> int:
        with pytest.raises(ImageTooLargeError, match="memory"):
            await pool.run(Deadline.after(60), decode, heic_files.grid(30, 30, 1920, 1920))
        return int((await pool.run(Deadline.after(60), decode, heic_files.grid(1, 1, 64, 64))).size)

    assert run(work, memory_bytes=32 * 2**20) == 64 * 64 * 3


def test_pool_survives_a_task_that_kills_its_process() -> None:
    async def work(pool: WorkerPool) -> int:
        with pytest.raises(ModelUnavailableError):
            await pool.run(Deadline.after(60), kill_own_process)
        return await pool.run(Deadline.after(60), os.getpid)

    assert run(work) != os.getpid()


def test_pool_recovers_when_a_process_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pool: WorkerPool) -> int:
        with pytest.raises(ModelUnavailableError):
            await pool.run(Deadline.after(60), kill_own_process)
        with monkeypatch.context() as patch:
            patch.setattr(ForkServerProcess, "start", lambda self: os.open("/nothing/here", os.O_RDONLY))
            with pytest.raises(ModelUnavailableError):
                await pool.run(Deadline.after(60), os.getpid)
        return await pool.run(Deadline.after(60), os.getpid)

    assert run(work) != os.getpid()


@pytest.mark.slow
def test_pool_kills_a_task_that_blocks_its_alarm() -> None:
    async def work(pool: WorkerPool) -> tuple[int, int]:
        before = await pool.run(Deadline.after(60), os.getpid)
        with pytest.raises(DeadlineExceededError):
            await pool.run(Deadline.after(1), block_alarm)  # the task must have started by then
        return before, await pool.run(Deadline.after(60), os.getpid)

    before, after = run(work)
    assert before != after


def test_killed_task_does_not_affect_other_tasks(tmp_path: Path) -> None:
    async def work(pool: WorkerPool) -> None:
        other = asyncio.create_task(pool.run(Deadline.after(60), wait_for_file, str(tmp_path / "end")))
        with pytest.raises(ModelUnavailableError):
            await pool.run(Deadline.after(60), kill_own_process)
        assert not other.done()
        (tmp_path / "end").touch()
        await other

    run(work, processes=2)


def test_cancelled_task_is_killed(tmp_path: Path) -> None:
    async def work(pool: WorkerPool) -> int:
        task = asyncio.create_task(pool.run(Deadline.after(60), write_and_sleep, str(tmp_path / "pid")))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        task.cancel()
        return await pool.run(Deadline.after(60), os.getpid)

    assert run(work) != int((tmp_path / "pid").read_text())


def test_queued_task_is_dropped_at_its_deadline(tmp_path: Path) -> None:
    async def work(pool: WorkerPool) -> None:
        running = asyncio.create_task(pool.run(Deadline.after(60), wait_for_file, str(tmp_path / "end")))
        await asyncio.sleep(0)  # the first task has the only worker
        with pytest.raises(DeadlineExceededError):
            await pool.run(Deadline.after(0.2), kill_own_process)
        (tmp_path / "end").touch()
        await running  # the worker of the running task is not killed

    run(work)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_task_beyond_its_memory_is_refused() -> None:
    async def work(pool: WorkerPool) -> int:
        with pytest.raises(ImageTooLargeError, match="256 MiB"):
            await pool.run(Deadline.after(60), allocate, 2 * MEMORY_BYTES)
        return await pool.run(Deadline.after(60), allocate, MEMORY_BYTES // 2)

    assert run(work) == MEMORY_BYTES // 2


def test_unexpected_error_has_the_traceback_of_the_worker() -> None:
    with pytest.raises(WorkerTaskError, match="injected fault"):
        run(lambda pool: pool.run(Deadline.after(60), fail_unexpectedly))
