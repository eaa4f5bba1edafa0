"""Worker processes for CPU-bound tasks, which would block the event loop, and for parsers of hostile files.

A task ends at its deadline: by an alarm inside its process, and `KILL_MARGIN_S` later by SIGKILL. A task whose client
has disconnected is killed at once. The process is replaced, and no other task is affected (ADR 0086). The step timings
of a task are returned with its result, and the server creates the spans (ADR 0060). The workers need no exporter, and
no span is lost if a worker is killed.
"""

import asyncio
import logging
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from thale.errors import ModelUnavailableError
from thale.facade.deadline import Deadline
from thale.facade.postprocess.worker_process import (
    Failure,
    Outcome,
    WorkerDiedError,
    WorkerProcess,
    WorkerProcessSettings,
)
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
KILL_MARGIN_S = 1.0
"""Time after the deadline for a task to end by its alarm, before its process is killed."""
_PRELOAD = "thale.facade.postprocess.worker"
"""Module that the fork server imports once. Workers then start in milliseconds and share its memory."""


class WorkerTaskError(Exception):
    """A task failed unexpectedly. The message is the traceback in the worker process."""


class WorkerPool:
    """A fixed number of worker processes, each with a thread that waits for it."""

    def __init__(self, processes: int, memory_bytes: int, niceness: int = 0) -> None:
        """Prepare the pool. The processes start with their first task, or in `warm_up`.

        Args:
            processes: Number of processes.
            memory_bytes: Memory that one task may allocate.
            niceness: Niceness of the processes.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_PRELOAD])
        self._child_pipe, self._parent_pipe = context.Pipe(duplex=False)
        settings = WorkerProcessSettings(niceness, memory_bytes)
        self._workers = [WorkerProcess(context, self._child_pipe, settings) for _ in range(processes)]
        self._idle_workers: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle_workers.put(worker)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="worker")
        self.last_completed_at = 0.0
        """Monotonic time at which a process last returned an outcome."""

    async def warm_up(self) -> None:
        """Start every process, so that all are ready before the first request."""
        deadline = Deadline.after(60)
        await asyncio.gather(*(asyncio.to_thread(worker.run, deadline, os.getpid, ()) for worker in self._workers))

    async def run(self, deadline: Deadline, task: Callable[..., _Result], *arguments: object) -> _Result:
        """Run a task and return its result. If its process dies, retry once in another one.

        Raises:
            ThaleError: If the task raises it.
            ImageTooLargeError: If the task needs more memory than it may allocate.
            DeadlineExceededError: If the task does not end before the deadline.
            ModelUnavailableError: If the process dies again on the retry.
            WorkerTaskError: If the task fails with an error that is no ThaleError.
        """
        try:
            outcome = await self._run(deadline, task, arguments)
        except WorkerDiedError:
            logger.warning("worker process died; task retried")
            try:
                outcome = await self._run(deadline, task, arguments)
            except WorkerDiedError as error:
                logger.error("worker process died twice on one task")
                raise ModelUnavailableError(
                    "the worker process died twice on this image: retry, then reduce the image size if it persists"
                ) from error
        self.last_completed_at = time.monotonic()
        tracing.spans_from_steps(outcome.timings, "thale.")
        if outcome.unexpected_error is not None:
            raise WorkerTaskError(outcome.unexpected_error)
        if isinstance(outcome.result, Failure):
            raise outcome.result.to_error()
        result: _Result = outcome.result
        return result

    async def _run(self, deadline: Deadline, task: Callable[..., Any], arguments: tuple[object, ...]) -> Outcome:
        loop = asyncio.get_running_loop()
        job = _Job(deadline, task, arguments)
        future = loop.run_in_executor(self._threads, job.run, self._idle_workers)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await future
        except TimeoutError as error:
            loop.call_later(KILL_MARGIN_S, job.kill_overdue)
            raise deadline.error() from error
        except asyncio.CancelledError:
            job.abandon()
            raise

    def close(self) -> None:
        """Stop the processes, including running tasks. Queued tasks are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.close()
        self._parent_pipe.close()


class _Job:
    """A task that waits for a worker process or runs in one, and that can be abandoned at any time."""

    def __init__(self, deadline: Deadline, task: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self._deadline, self._task, self._arguments = deadline, task, arguments
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._is_abandoned = False

    def run(self, idle_workers: "queue.SimpleQueue[WorkerProcess]") -> Outcome:
        """Run the task on the next idle worker. Called in a thread of the pool; each thread finds an idle worker.

        Raises:
            WorkerDiedError: If the process dies, or if the job is abandoned.
        """
        worker = idle_workers.get()
        try:
            with self._lock:
                if self._is_abandoned:
                    raise WorkerDiedError
                self._worker = worker
            return worker.run(self._deadline, self._task, self._arguments)
        except WorkerDiedError:
            if not self._is_abandoned:
                metrics.WORKER_POOL_RESTARTS.inc()
            raise
        finally:
            self._return_worker(worker, idle_workers)

    def _return_worker(self, worker: WorkerProcess, idle_workers: "queue.SimpleQueue[WorkerProcess]") -> None:
        with self._lock:
            is_killed = self._worker is not None and self._is_abandoned
            self._worker, self._arguments = None, ()
        if is_killed:
            worker.discard()  # the signal may not have arrived yet
        idle_workers.put(worker)

    def kill_overdue(self) -> None:
        """Kill the process of this job if the alarm has not ended it."""
        if self.abandon():
            logger.warning("worker process killed after the deadline")
            metrics.WORKER_POOL_RESTARTS.inc()

    def abandon(self) -> bool:
        """Kill the process of this job. Returns False if the job does not run."""
        with self._lock:
            self._is_abandoned = True
            if self._worker is None:
                return False
            self._worker.kill()
            return True
