"""Supervised service: a process that runs under a process guard and is restarted by a restart policy."""

import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thale.errors import LocalPlatformError
from thale.local import process_guard
from thale.local.background_process import with_guard

_KILL_TIMEOUT_S = 2.0
_TAIL_LINES = 20
_TAIL_BYTES = 8192


@dataclass(frozen=True)
class RestartPolicy:
    """Limit of restarts: `max_restarts` within `window_s`, with exponential backoff from `initial_delay_s`."""

    max_restarts: int = 5
    window_s: float = 120.0
    initial_delay_s: float = 0.5

    def delay_after(self, exit_times_s: Sequence[float]) -> float | None:
        """Return the delay in seconds before the next restart, or None to give up.

        Args:
            exit_times_s: Times of all exits in seconds, the latest last.
        """
        recent = [exit_s for exit_s in exit_times_s if exit_times_s[-1] - exit_s < self.window_s]
        if len(recent) > self.max_restarts:
            return None
        return float(self.initial_delay_s * 2 ** (len(recent) - 1))


@dataclass
class Service:
    """A supervised command. `command` is called at each start, because its arguments can change.

    `notify` receives one line for each exit and restart. `stop` kills a command that has not ended after `grace_s`.
    """

    name: str
    command: Callable[[], Sequence[str]]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    notify: Callable[[str], None]
    restart_policy: RestartPolicy = RestartPolicy()
    grace_s: float = process_guard.GRACE_PERIOD_S
    _process: "subprocess.Popen[bytes] | None" = None
    _exit_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    _next_start_s: float = 0.0

    @property
    def is_running(self) -> bool:
        """True if the command is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int | None:
        """Process id of the guard of the current start, or None if the command is not started."""
        process = self._process  # the supervisor's thread may clear it
        return process.pid if process is not None else None

    def start(self) -> None:
        """Start the command in its folder under a process guard, which appends its output to its log.

        Raises:
            LocalPlatformError: If the command cannot be determined or started, or the log cannot be written.
        """
        try:
            self.log.open("ab").close()
            self._process = subprocess.Popen(  # noqa: S603 (the command is ours)
                with_guard(self.command(), grace_s=self.grace_s, log=self.log),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env=dict(self.environment),
                start_new_session=True,
            )
        except OSError as error:
            raise LocalPlatformError(f"{self.name} cannot be started: {error}") from error

    def restart_if_dead(self) -> None:
        """Restart the command if it has exited and its delay has passed. The supervisor calls this periodically.

        Raises:
            LocalPlatformError: If the restart policy is exceeded. The message ends with the last lines of the log.
        """
        if self._process is None:
            if time.monotonic() >= self._next_start_s:
                self.start()
            return
        status = self._process.poll()
        if status is None:
            return
        self._clear_process()
        self._exit_times_s.append(time.monotonic())
        delay_s = self.restart_policy.delay_after(self._exit_times_s)
        message = f"{self.name} exited with status {status}"
        if delay_s is None:
            raise LocalPlatformError(
                f"{message} after {len(self._exit_times_s)} starts and is not restarted. {tail(self.log)}"
            )
        self._next_start_s = time.monotonic() + delay_s
        self.notify(f"{message}: restart in {delay_s:g} s (log: {self.log})")

    def request_stop(self) -> None:
        """Request the process guard to end the command, without waiting."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> None:
        """End the command and all its child processes, after its grace period at the latest."""
        self.request_stop()
        self._wait(self.grace_s + _KILL_TIMEOUT_S)
        self._clear_process()

    def kill(self) -> None:
        """Kill the command and all its child processes without a grace period."""
        self._kill()
        self._clear_process()

    def kill_unresponsive(self, process_id: int) -> None:
        """Kill the start with this `process_id`, if it is the current one. `restart_if_dead` restarts the command."""
        if self.process_id == process_id:
            self._kill()

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGQUIT)
        self._wait(_KILL_TIMEOUT_S)

    def _wait(self, timeout_s: float) -> None:
        process = self._process
        if process is None:
            return
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _clear_process(self) -> None:
        self.request_stop()
        self._process = None


def tail(log: Path) -> str:
    """Return the path and the last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        return f"{log} does not exist"
    return "\n".join([f"The last lines of {log}:", *(f"  {line}" for line in lines)])
