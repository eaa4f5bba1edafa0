"""Deadline of the request that a worker processes. Steps check it, because the client may have left (ADR 0083)."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from thale.errors import DeadlineExceededError

_DEADLINE_S = ContextVar("deadline_s", default=math.inf)
"""On the monotonic clock."""


@contextmanager
def stop_after(remaining_s: float) -> Iterator[None]:
    """Set the deadline of the work in the context; infinite for none."""
    token = _DEADLINE_S.set(time.monotonic() + remaining_s)
    try:
        yield
    finally:
        _DEADLINE_S.reset(token)


def check_deadline() -> None:
    """Stop the work of a request whose deadline has passed.

    Raises:
        DeadlineExceededError: If it has passed.
    """
    late_s = time.monotonic() - _DEADLINE_S.get()
    if late_s > 0:
        raise DeadlineExceededError(f"the deadline passed {late_s:.1f} s ago: the worker dropped the request")
