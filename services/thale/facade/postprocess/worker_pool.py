"""Processes for what would stop the event loop: started warm, bounded by the deadline, replaced when they die.

A task that is late is stopped inside its process by an alarm, so that one hopeless image cannot keep a process from
everybody else. An error of ours crosses back as its class, its words and its attributes, because exceptions with
arguments of their own do not survive pickling. The steps of a task cross back as well, and become spans here: the
processes need no exporter of their own, and lose no span when they are killed.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from thale.errors import ModelUnavailableError, ThaleError
from thale.facade.deadline import Deadline
from thale.telemetry import metrics, tracing
from thale.telemetry.step_timing import StepTimings, record_steps

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_PRELOAD = "thale.facade.postprocess.worker"
"""Imported once in the server that forks the processes: they start in milliseconds and share its memory."""


@dataclass(frozen=True)
class _Failure:
    error_class: type[ThaleError]
    message: str
    attributes: dict[str, Any]
    """The error's own attributes."""

    def to_error(self) -> ThaleError:
        error = self.error_class.from_message(self.message)
        vars(error).update(self.attributes)
        return error


class WorkerPool:
    """A few processes that measure."""

    def __init__(self, processes: int, niceness: int = 0) -> None:
        self._processes = processes
        self._niceness = niceness
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_PRELOAD])
        self._child_pipe, self._parent_pipe = self._context.Pipe(duplex=False)
        self._executor = self._start_executor()

    async def warm_up(self) -> None:
        """Start every process, so that the first request finds them ready."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._executor, os.getpid) for _ in range(self._processes)))

    async def run(self, deadline: Deadline, task: Callable[..., _Result], *arguments: object) -> _Result:
        """Return the task's result. Where a process dies under it, all are replaced and the task is tried once more.

        Raises:
            ThaleError: What the task raises.
            DeadlineExceededError: If it takes too long.
            ModelUnavailableError: If a process dies under it a second time.
        """
        try:
            return await self._run(deadline, task, arguments)
        except BrokenProcessPool:
            logger.warning("post-processing worker died; task retried")
        try:
            return await self._run(deadline, task, arguments)
        except BrokenProcessPool as error:
            logger.error("post-processing worker died twice on one task")
            raise ModelUnavailableError(
                "the measuring process died on this image twice: try again, and with a smaller image if it persists"
            ) from error

    async def _run(self, deadline: Deadline, task: Callable[..., _Result], arguments: tuple[object, ...]) -> _Result:
        executor = self._executor
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline.remaining()):
                outcome, timings = await loop.run_in_executor(executor, _run_task, deadline, task, arguments)
        except BrokenProcessPool:
            self._replace(executor)
            raise
        except TimeoutError as error:
            raise deadline.error() from error
        tracing.spans_from_steps(timings, "thale.")
        if isinstance(outcome, _Failure):
            raise outcome.to_error()
        return outcome

    def close(self) -> None:
        """End the processes, whatever they are doing; tasks that wait are dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._parent_pipe.close()

    def _start_executor(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._processes,
            mp_context=self._context,
            initializer=_prepare_process,
            initargs=(self._child_pipe, self._niceness),
        )

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """Start anew, unless another request that saw the same death has done so already."""
        if self._executor is broken:
            metrics.WORKER_POOL_RESTARTS.inc()
            broken.shutdown(wait=False, cancel_futures=True)
            self._executor = self._start_executor()


def _prepare_process(parent_pipe: Connection, niceness: int) -> None:
    """Leave Ctrl-C to the server, and end with the pool: when it is closed, or when the server is killed."""
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(parent_pipe,), daemon=True).start()


def _exit_with_parent(parent_pipe: Connection) -> None:
    parent_pipe.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(0)


def _run_task(
    deadline: Deadline, task: Callable[..., _Result], arguments: tuple[object, ...]
) -> "tuple[_Result | _Failure, StepTimings]":
    with record_steps() as timings:
        return _run_until_deadline(deadline, task, arguments), timings


def _run_until_deadline(
    deadline: Deadline, task: Callable[..., _Result], arguments: tuple[object, ...]
) -> "_Result | _Failure":
    def raise_deadline_error(_signal: int, _frame: object) -> None:
        raise deadline.error()

    try:
        signal.signal(signal.SIGALRM, raise_deadline_error)
        signal.setitimer(signal.ITIMER_REAL, deadline.remaining())
        try:
            return task(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except ThaleError as error:
        return _Failure(type(error), str(error), vars(error))
