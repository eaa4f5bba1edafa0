"""One worker process: it receives a task over its own pipe, and returns the result on the same pipe.

A pipe per process keeps the failure of one process from the tasks of the others. An alarm stops a task at its deadline
inside the process. The server kills the process if the alarm has no effect, as during a call into C code.
"""

import logging
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from thale.errors import ImageTooLargeError, ThaleError
from thale.facade.deadline import Deadline
from thale.telemetry.step_timing import StepTimings, record_steps

logger = logging.getLogger(__name__)


class WorkerDiedError(Exception):
    """The process ended without a result. Internal to the worker pool."""


@dataclass(frozen=True)
class WorkerProcessSettings:
    """Properties of a worker process."""

    niceness: int
    memory_bytes: int
    """Memory that a process may allocate in addition to what it has at its start. Linux only."""


@dataclass(frozen=True)
class Failure:
    """A ThaleError as class, message and attributes, because custom arguments do not survive pickling."""

    error_class: type[ThaleError]
    message: str
    attributes: dict[str, Any]

    def to_error(self) -> ThaleError:
        """Return the error."""
        error = self.error_class.from_message(self.message)
        vars(error).update(self.attributes)
        return error


@dataclass(frozen=True)
class Outcome:
    """Result, failure or unexpected error of a task, with its step timings."""

    result: Any
    timings: StepTimings
    unexpected_error: str | None = None
    """Traceback of an error that is no ThaleError."""


class WorkerProcess:
    """A process that starts with its first task, and again after it has died."""

    def __init__(self, context: ForkServerContext, parent_pipe: Connection, settings: WorkerProcessSettings) -> None:
        self._context = context
        self._parent_pipe = parent_pipe
        self._settings = settings
        self._process: ForkServerProcess | None = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self) -> Connection:
        """Start the process unless it runs.

        Raises:
            WorkerDiedError: If the worker is closed, or the system cannot start a process.
        """
        if self._process is not None and not self._process.is_alive():
            self.discard()  # it died while it was idle
        with self._lock:
            if self._is_closed:
                raise WorkerDiedError
            if self._connection is None:
                self._process, self._connection = self._start_process()
            return self._connection

    def _start_process(self) -> tuple[ForkServerProcess, Connection]:
        """Return a new process and its connection. A process that cannot start leaves nothing behind."""
        connection, child_connection = self._context.Pipe()
        process = self._context.Process(
            target=_serve_tasks, args=(child_connection, self._parent_pipe, self._settings), daemon=True
        )
        try:
            process.start()
        except OSError as error:
            connection.close()
            logger.warning("worker process cannot be started", extra={"error": str(error)})
            raise WorkerDiedError from error
        finally:
            child_connection.close()
        return process, connection

    def run(self, deadline: Deadline, task: Callable[..., Any], arguments: tuple[object, ...]) -> Outcome:
        """Run a task and wait for its outcome, without a time limit. `kill` ends the wait.

        Raises:
            WorkerDiedError: If the process ends before the outcome.
        """
        connection = self.start()
        try:
            connection.send((deadline, task, arguments))
            outcome = connection.recv()
        except (EOFError, OSError) as error:
            self.discard()
            raise WorkerDiedError from error
        assert isinstance(outcome, Outcome)  # noqa: S101 (the process sends nothing else)
        return outcome

    def kill(self) -> None:
        """Kill the process. Any thread may call this."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Kill the process and never start it again."""
        with self._lock:
            self._is_closed = True
        self.kill()

    def discard(self) -> None:
        """Kill the process and wait for its end. The next task starts another one."""
        self.kill()
        with self._lock:
            process, connection = self._process, self._connection
            self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            process.join()


def _serve_tasks(connection: Connection, parent_pipe: Connection, settings: WorkerProcessSettings) -> None:
    """Run tasks until the server closes the connection."""
    os.nice(settings.niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles it
    threading.Thread(target=_exit_with_parent, args=(parent_pipe,), daemon=True).start()
    _limit_memory(settings.memory_bytes)
    while True:
        try:
            deadline, task, arguments = connection.recv()
        except EOFError:
            return
        outcome = _run_task(deadline, task, arguments, settings)
        del task, arguments  # the next task needs the memory
        connection.send_bytes(_pickle(outcome, settings))
        del outcome


def _exit_with_parent(parent_pipe: Connection) -> None:
    """Exit when the pool is closed or the server is killed, also during a task."""
    parent_pipe.poll(None)  # no data is ever sent, so it returns when the other end is closed
    os._exit(0)


def _limit_memory(memory_bytes: int) -> None:
    """Limit the private memory of this process. An allocation beyond the limit raises MemoryError.

    Linux counts the heap and private mappings as data, but not the libraries. macOS does not enforce this limit.
    """
    if sys.platform != "linux":
        return
    data_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limit = data_pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _run_task(
    deadline: Deadline, task: Callable[..., Any], arguments: tuple[object, ...], settings: WorkerProcessSettings
) -> Outcome:
    with record_steps() as timings:
        try:
            return Outcome(_run_until_deadline(deadline, task, arguments), timings)
        except ThaleError as error:
            return Outcome(Failure(type(error), str(error), vars(error)), timings)
        except MemoryError:
            return Outcome(_memory_failure(settings), timings)
        # The isolation boundary between a task and the next ones: the server raises the error for this task only.
        except Exception:  # noqa: BLE001
            return Outcome(None, timings, traceback.format_exc())


def _memory_failure(settings: WorkerProcessSettings) -> Failure:
    limit_mib = settings.memory_bytes // 2**20
    message = f"the image needs more memory than a worker may use ({limit_mib} MiB): scale it down"
    return Failure(ImageTooLargeError, message, {})


def _pickle(outcome: Outcome, settings: WorkerProcessSettings) -> bytes:
    try:
        return pickle.dumps(outcome)
    except MemoryError:
        return pickle.dumps(Outcome(_memory_failure(settings), outcome.timings))


def _run_until_deadline(deadline: Deadline, task: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    def raise_deadline_error(_signal: int, _frame: object) -> None:
        raise deadline.error()

    signal.signal(signal.SIGALRM, raise_deadline_error)
    signal.setitimer(signal.ITIMER_REAL, deadline.remaining())
    try:
        return task(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
