"""What a piece of work consisted of and how long each step took, noted where the work is done.

Who does the work only names its steps. Who wants to know takes notes around it, and makes of them what is needed: spans
of a trace (`telemetry.tracing`), figures of a `Server-Timing` header. So measuring and models know of no telemetry, a
process without any library for it can be seen into, and where nobody takes notes a step costs some microseconds.

    with taking_notes() as notes:
        with step("decode"):
            ...
    notes.seconds()  # {"decode": 0.031}
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Step:
    """One step. It may have steps within."""

    name: str
    start_ns: int
    """Since 1970, as all processes of a machine count."""
    parent: int | None
    """Place of the enclosing step in the notes, None where there is none."""
    end_ns: int | None = None
    """None while it goes on."""
    error: str = ""
    """Class of the exception that ended it."""


@dataclass
class StepTimings:
    """The steps of one piece of work, in the order in which they began. Crosses processes by pickling."""

    steps: list[Step] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)
    # One look at the calendar for all steps: it may be set back meanwhile, and no step lasts less than nothing.
    _epoch_ns: int = field(default_factory=lambda: time.time_ns() - time.perf_counter_ns())

    def seconds(self) -> dict[str, float]:
        """Return what the outermost steps took, by name; steps of one name are added up."""
        seconds_by_name: dict[str, float] = {}
        for recorded in self.steps:
            if recorded.parent is None and recorded.end_ns is not None:
                seconds_by_name[recorded.name] = (
                    seconds_by_name.get(recorded.name, 0.0) + (recorded.end_ns - recorded.start_ns) / 1e9
                )
        return seconds_by_name

    @contextmanager
    def _record_step(self, name: str) -> Iterator[None]:
        recorded = Step(name, self._now_ns(), self._open[-1] if self._open else None)
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
    """Note the steps of what this thread or task does in the context. Notes within notes keep theirs to themselves."""
    timings = StepTimings()
    token = _CURRENT_TIMINGS.set(timings)
    try:
        yield timings
    finally:
        _CURRENT_TIMINGS.reset(token)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Call what is done in the context a step, whether it succeeds or not."""
    timings = _CURRENT_TIMINGS.get()
    if timings is None:
        yield
        return
    with timings._record_step(name):
        yield
