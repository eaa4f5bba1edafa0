"""Dependencies shared by the routes of both APIs."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from thale.facade.deadline import Deadline
from thale.facade.pipeline import Pipeline
from thale.facade.settings import FacadeSettings
from thale.facade.status.health import Health

_Result = TypeVar("_Result")


def _pipeline(request: Request) -> Pipeline:
    pipeline: Pipeline = request.app.state.pipeline
    return pipeline


def _health(request: Request) -> Health:
    health: Health = request.app.state.health
    return health


PipelineDependency = Annotated[Pipeline, Depends(_pipeline)]
HealthDependency = Annotated[Health, Depends(_health)]


def request_deadline(settings: FacadeSettings, timeout_s: float | None) -> Deadline:
    """Return the deadline of a request: the client's timeout, up to the server's limit."""
    limit_s = settings.request_timeout_s
    return Deadline.after(min(timeout_s or limit_s, limit_s))


async def cancel_on_disconnect(request: Request, awaitable: Awaitable[_Result]) -> _Result:
    """Await the result, or cancel the work when the client disconnects. The body must be read before.

    Raises:
        ClientDisconnect: If the client disconnected.
    """
    task = asyncio.ensure_future(awaitable)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        disconnect.cancel()
        task.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
