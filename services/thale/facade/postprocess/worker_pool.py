"""Worker processes for CPU-bound tasks, which would block the event loop.

An alarm stops a task inside its process at the deadline, so that one pathological image does not block a process. Dead
processes are replaced. A ThaleError is returned as class, message and attributes, because exceptions with custom
arguments do not survive pickling. The step timings of a task are returned as well, and the server creates the spans
(ADR 0060). The workers need no exporter, and no span is lost if a worker is killed.
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
"""Module that the fork server imports once. Workers then start in milliseconds and share its memory."""


@dataclass(frozen=True)
class _Failure:
    error_class: type[ThaleError]
    message: str
    attributes: dict[str, Any]
    """Attributes of the error."""

    def to_error(self) -> ThaleError:
        error = self.error_class.from_message(self.message)
        vars(error).update(self.attributes)
        return error


class WorkerPool:
    """A fixed number of worker processes."""

    def __init__(self, processes: int, niceness: int = 0) -> None:
        self._processes = processes
        self._niceness = niceness
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_PRELOAD])
        self._child_pipe, self._parent_pipe = self._context.Pipe(duplex=False)
        self._executor = self._start_executor()

    async def warm_up(self) -> None:
        """Start every process, so that all are ready before the first request."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._executor, os.getpid) for _ in range(self._processes)))

    async def run(self, deadline: Deadline, task: Callable[..., _Result], *arguments: object) -> _Result:
        """Run a task and return its result. If its worker dies, replace all workers and retry once.

        Raises:
            ThaleError: If the task raises it.
            DeadlineExceededError: If the task does not end before the deadline.
            ModelUnavailableError: If the worker dies again on the retry.
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
                "the post-processing worker died twice on this image: retry, then reduce the image size if it persists"
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
        """Stop the processes, including running tasks. Queued tasks are dropped."""
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
        """Replace the executor, unless another request has replaced it after the same failure."""
        if self._executor is broken:
            metrics.WORKER_POOL_RESTARTS.inc()
            broken.shutdown(wait=False, cancel_futures=True)
            self._executor = self._start_executor()


def _prepare_process(parent_pipe: Connection, niceness: int) -> None:
    """Ignore SIGINT, which the server handles, and exit when the pool is closed or the server is killed."""
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(parent_pipe,), daemon=True).start()


def _exit_with_parent(parent_pipe: Connection) -> None:
    parent_pipe.poll(None)  # no data is ever sent, so it returns when the other end is closed
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
