"""Concurrent awaits that succeed or fail together."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def run_concurrently(coroutines: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Return all results in order. The first error cancels the other coroutines, and is raised as it is.

    `asyncio.TaskGroup` raises an `ExceptionGroup`. Callers handle single errors, so the group is unwrapped here.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as errors:
        first_error = errors.exceptions[0]
    else:
        return [task.result() for task in tasks]
    # Raised outside the handler: a reference from the error to the group would be a cycle that holds the image's bytes.
    try:
        raise first_error
    finally:
        del first_error
