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
from thale.telemetry.step_timing import Notes, taking_notes

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_PRELOAD = "thale.facade.postprocess.worker"
"""Imported once in the server that forks the processes: they start in milliseconds and share its memory."""


@dataclass(frozen=True)
class _Failure:
    kind: type[ThaleError]
    message: str
    told: dict[str, Any]
    """The error's own attributes."""

    def error(self) -> ThaleError:
        error = self.kind.saying(self.message)
        vars(error).update(self.told)
        return error


class Pool:
    """A few processes that measure."""

    def __init__(self, processes: int, niceness: int = 0) -> None:
        self._processes = processes
        self._niceness = niceness
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_PRELOAD])
        self._far_end, self._lifeline = self._context.Pipe(duplex=False)
        self._executor = self._start()

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
            logger.warning("a measuring process died; its task is tried once more")
        try:
            return await self._run(deadline, task, arguments)
        except BrokenProcessPool as error:
            logger.error("a measuring process died twice under one task")
            raise ModelUnavailableError(
                "the measuring process died on this image twice: try again, and with a smaller image if it persists"
            ) from error

    async def _run(self, deadline: Deadline, task: Callable[..., _Result], arguments: tuple[object, ...]) -> _Result:
        executor = self._executor
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline.remaining()):
                outcome, notes = await loop.run_in_executor(executor, _run_here, deadline, task, arguments)
        except BrokenProcessPool:
            self._replace(executor)
            raise
        except TimeoutError as error:
            raise deadline.exceeded() from error
        tracing.tell(notes, "thale.")
        if isinstance(outcome, _Failure):
            raise outcome.error()
        return outcome

    def close(self) -> None:
        """End the processes, whatever they are doing; tasks that wait are dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._lifeline.close()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._processes,
            mp_context=self._context,
            initializer=_prepare_process,
            initargs=(self._far_end, self._niceness),
        )

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """Start anew, unless another request that saw the same death has done so already."""
        if self._executor is broken:
            metrics.MEASURING_RESTARTS.inc()
            broken.shutdown(wait=False, cancel_futures=True)
            self._executor = self._start()


def _prepare_process(lifeline: Connection, niceness: int) -> None:
    """Leave Ctrl-C to the server, and end with the pool: when it is closed, or when the server is killed."""
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()


def _follow(lifeline: Connection) -> None:
    lifeline.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(0)


def _run_here(
    deadline: Deadline, task: Callable[..., _Result], arguments: tuple[object, ...]
) -> "tuple[_Result | _Failure, Notes]":
    with taking_notes() as notes:
        return _outcome(deadline, task, arguments), notes


def _outcome(deadline: Deadline, task: Callable[..., _Result], arguments: tuple[object, ...]) -> "_Result | _Failure":
    def ring(_signal: int, _frame: object) -> None:
        raise deadline.exceeded()

    try:
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, deadline.remaining())
        try:
            return task(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except ThaleError as error:
        return _Failure(type(error), str(error), vars(error))
