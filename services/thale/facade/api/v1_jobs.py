"""Routes of jobs: measurements of the images of an experiment in the background."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse

from thale.facade.api.authentication import PREDICT, READ
from thale.facade.api.experiment_dependencies import (
    Cursor,
    JobWorkerDependency,
    PageLimit,
    ServiceDependency,
    caller_id,
    parse_body,
    parse_number_cursor,
)
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.experiments.service import ExperimentService
from thale.schemas.experiment import Job, JobEvent, JobImagePage, JobImageState, JobPage, JobRequest

router = APIRouter(route_class=LimitedRoute)
_TAG = "jobs"
EVENT_STREAM = "text/event-stream"
STREAM_S = 20.0
"""Duration of one stream. A client reconnects with the id of the last event, so that no stream delays a shutdown."""
_POLL_S = 1.0
_MAX_EVENTS = 200
JobPath = Annotated[str, Path(max_length=100, description="Id of the job.")]


@router.post(
    "/v1/jobs",
    dependencies=[PREDICT],
    operation_id="submitJob",
    tags=[_TAG],
    summary="Submit a job",
    responses=PROBLEM_RESPONSES,
)
async def submit_job(request: Request, service: ServiceDependency, worker: JobWorkerDependency) -> Job:
    """Measure images of an experiment in the background: those without a measurement, or all.

    The job is stored and survives a restart. Its images are measured one by one with a low priority.
    """
    body = await parse_body(request, JobRequest)
    creator = caller_id(request)
    job = await service.store.call(lambda store: store.jobs.submit(body, creator))
    worker.wake()
    return job


@router.get(
    "/v1/jobs",
    dependencies=[READ],
    operation_id="listJobs",
    tags=[_TAG],
    summary="List the jobs",
    responses=PROBLEM_RESPONSES,
)
async def list_jobs(
    service: ServiceDependency,
    experiment: Annotated[str | None, Query(max_length=200, description="Only jobs of this experiment.")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> JobPage:
    """Return a page of jobs with their progress, the newest first."""
    return await service.store.call(lambda store: store.jobs.list(experiment, limit, cursor))


@router.get(
    "/v1/jobs/{job}",
    dependencies=[READ],
    operation_id="getJob",
    tags=[_TAG],
    summary="Return the progress of a job",
    responses=PROBLEM_RESPONSES,
)
async def get_job(job: JobPath, service: ServiceDependency) -> Job:
    """Return one job with its progress."""
    return await service.store.call(lambda store: store.jobs.get(job))


@router.get(
    "/v1/jobs/{job}/images",
    dependencies=[READ],
    operation_id="listJobImages",
    tags=[_TAG],
    summary="List the images of a job",
    responses=PROBLEM_RESPONSES,
)
async def list_job_images(
    job: JobPath,
    service: ServiceDependency,
    state: Annotated[JobImageState | None, Query(description="Only images in this state.")] = None,
    limit: PageLimit = 100,
    cursor: Cursor = None,
) -> JobImagePage:
    """Return a page of the images of a job, with the reason of each failure."""
    position = parse_number_cursor(cursor)
    return await service.store.call(lambda store: store.jobs.images(job, state, limit, position))


@router.get(
    "/v1/jobs/{job}/events",
    dependencies=[READ],
    operation_id="streamJobEvents",
    tags=[_TAG],
    summary="Follow a job as server-sent events",
    responses={
        200: {
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
            "description": "Events whose data are JobEvent objects.",
        },
        **PROBLEM_RESPONSES,
    },
    response_class=StreamingResponse,
)
async def stream_events(
    request: Request,
    job: JobPath,
    service: ServiceDependency,
    after: Annotated[
        int, Query(ge=0, le=2**53, description="Only events after this id. The header Last-Event-ID replaces it.")
    ] = 0,
) -> StreamingResponse:
    """Return the events of a job as they happen, for up to 20 seconds, and until the job ends.

    Browsers and other clients of server-sent events reconnect by themselves, with the header Last-Event-ID.
    """
    last = request.headers.get("last-event-id", "")
    first = int(last) if last.isascii() and last.isdecimal() and len(last) <= 15 else after
    await service.store.call(lambda store: store.jobs.get(job))  # an unknown job is a 404, and no empty stream
    return StreamingResponse(
        _events(service, job, first), media_type=EVENT_STREAM, headers={"Cache-Control": "no-store"}
    )


async def _events(service: ExperimentService, job: str, after: int) -> AsyncIterator[str]:
    yield f"retry: {round(_POLL_S * 1000)}\n\n"
    ends = time.monotonic() + STREAM_S
    while time.monotonic() < ends:
        position = after
        events: tuple[JobEvent, ...] = await service.store.call(
            lambda store, position=position: store.jobs.events(job, position, _MAX_EVENTS)  # type: ignore[misc]
        )
        for event in events:
            after = event.id
            yield f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
            if event.type == "finished":
                return
        if len(events) < _MAX_EVENTS:
            await asyncio.sleep(_POLL_S)


@router.post(
    "/v1/jobs/{job}/cancel",
    dependencies=[PREDICT],
    operation_id="cancelJob",
    tags=[_TAG],
    summary="Cancel a job",
    responses=PROBLEM_RESPONSES,
)
async def cancel_job(request: Request, job: JobPath, service: ServiceDependency) -> Job:
    """Cancel the images that wait. Images in progress are completed, and measurements stay."""
    await request.body()
    return await service.store.call(lambda store: store.jobs.cancel(job))


@router.post(
    "/v1/jobs/{job}/retry",
    dependencies=[PREDICT],
    operation_id="retryJob",
    tags=[_TAG],
    summary="Measure failed images again",
    responses=PROBLEM_RESPONSES,
)
async def retry_job(request: Request, job: JobPath, service: ServiceDependency, worker: JobWorkerDependency) -> Job:
    """Queue the images again that failed, are quarantined or were cancelled."""
    await request.body()
    found = await service.store.call(lambda store: store.jobs.retry(job))
    worker.wake()
    return found
