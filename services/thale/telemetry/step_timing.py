"""Step timings of a piece of work, recorded where the work is done.

The working code only names its steps. The caller records them, and converts them to spans (`telemetry.tracing`) or to a
`Server-Timing` header. Post-processing and models therefore need no telemetry library. Without a recorder, a step costs
a few microseconds.

    with record_steps() as timings:
        with step("decode"):
            ...
    timings.seconds()  # {"decode": 0.031}
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class TimedStep:
    """One step. It may contain nested steps."""

    name: str
    start_ns: int
    """Unix time, which all processes of a machine share."""
    parent: int | None
    """Index of the enclosing step, or None."""
    end_ns: int | None = None
    """None while the step runs."""
    error: str = ""
    """Class name of the exception that ended the step."""


@dataclass
class StepTimings:
    """The steps of one piece of work, in the order of their start. Picklable, so that it can cross processes."""

    steps: list[TimedStep] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)
    # The wall clock is read once: it may be set back meanwhile, and a duration must never be negative.
    _epoch_ns: int = field(default_factory=lambda: time.time_ns() - time.perf_counter_ns())

    def seconds(self) -> dict[str, float]:
        """Return the durations of the outermost steps by name. Steps with the same name are summed."""
        seconds_by_name: dict[str, float] = {}
        for recorded in self.steps:
            if recorded.parent is None and recorded.end_ns is not None:
                seconds_by_name[recorded.name] = (
                    seconds_by_name.get(recorded.name, 0.0) + (recorded.end_ns - recorded.start_ns) / 1e9
                )
        return seconds_by_name

    @contextmanager
    def _record_step(self, name: str) -> Iterator[None]:
        recorded = TimedStep(name, self._now_ns(), self._open[-1] if self._open else None)
        self._open.append(len(self.steps))
        self.steps.append(recorded)
        try:
            yield
        except BaseException as error:
            recorded.error = type(error).__name__
            raise
        finally:
            self._open.pop()
            recorded.end_ns = self._now_ns()

    def _now_ns(self) -> int:
        return self._epoch_ns + time.perf_counter_ns()


_CURRENT_TIMINGS: ContextVar[StepTimings | None] = ContextVar("step_timings", default=None)


@contextmanager
def record_steps() -> Iterator[StepTimings]:
    """Record the steps of this thread or task in the context. A nested recorder receives the steps inside it alone."""
    timings = StepTimings()
    token = _CURRENT_TIMINGS.set(timings)
    try:
        yield timings
    finally:
        _CURRENT_TIMINGS.reset(token)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Record the context as a step, whether it succeeds or fails."""
    timings = _CURRENT_TIMINGS.get()
    if timings is None:
        yield
        return
    with timings._record_step(name):
        yield
