"""A task in the background, for the duration of a context."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def background_task(coroutine: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a coroutine in a task for the duration of the context, and cancel it at the end."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
