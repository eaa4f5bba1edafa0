"""Worker of jobs in the facade: measures their images through the normal request path, with low priority.

An image starts only while client requests use at most half of the processing slots. A client request therefore waits
for one image of a job at most. Every state is in the database: after a restart, any facade continues the job.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from thale.errors import (
    ExperimentStoreError,
    ImageError,
    ModelStartingError,
    ModelUnavailableError,
    OverloadedError,
    ParameterError,
    ScaleError,
    ShuttingDownError,
    ThaleError,
    UnknownExperimentError,
)
from thale.facade.admission.controller import AdmissionController
from thale.facade.deadline import Deadline
from thale.facade.experiments.service import ExperimentService, prepare
from thale.facade.postprocess.worker_pool import WorkerTaskError
from thale.facade.request.options import RequestOptions, Upload
from thale.facade.settings import FacadeSettings
from thale.telemetry import metrics

if TYPE_CHECKING:
    from thale.experiments.image_claims import ClaimedImage
    from thale.experiments.store import ExperimentStore

logger = logging.getLogger(__name__)

_START_DELAY_S = 5.0
"""The first poll imports SQLAlchemy, which would delay the start of the facade."""
_IDLE_POLL_S = 15.0
_BUSY_POLL_S = 0.5
_UNAVAILABLE_DELAY_S = 5.0
_RENEWAL_S = 20.0
_PERMANENT = (ImageError, ScaleError, ParameterError)
_TEMPORARY = (ModelUnavailableError, ModelStartingError, OverloadedError, ShuttingDownError)
"""Errors of the server's state. They are no failed attempts of the image."""


class JobWorker:
    """Measures the images of jobs, some at a time."""

    def __init__(self, service: ExperimentService, admission: AdmissionController, settings: FacadeSettings) -> None:
        self._service = service
        self._admission = admission
        self._settings = settings
        self._id = uuid.uuid4().hex
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for images now: a job was submitted or retried."""
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the worker for the duration of the context. Images in progress are given back at its end."""
        tasks = [asyncio.create_task(self._run(number)) for number in range(self._settings.max_in_flight)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, number: int) -> None:
        await self._wait(_START_DELAY_S)
        while True:
            try:
                delay_s = await self._run_one(f"{self._id}-{number}"[:40])
            except ExperimentStoreError as error:
                logger.warning("experiment store unavailable", extra={"code": error.code})
                delay_s = _IDLE_POLL_S
            # Isolation boundary between the images of jobs: the worker must outlive an unexpected error.
            except Exception:
                logger.exception("job worker failed unexpectedly")
                delay_s = _IDLE_POLL_S
            if delay_s:
                await self._wait(delay_s)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _run_one(self, worker: str) -> float:
        """Measure the next image, if there is one. Return the seconds to wait before the next one."""
        if not self._admission.has_spare_capacity():
            await asyncio.sleep(_BUSY_POLL_S)
            return 0.0
        claimed = await self._service.store.call(lambda store: store.claims.claim(worker))
        if claimed is None:
            return _IDLE_POLL_S
        try:
            async with self._lease(claimed):
                await self._measure(claimed)
        except asyncio.CancelledError:
            release = self._service.store.call(lambda store: store.claims.release(claimed))
            with suppress(ThaleError):
                await asyncio.shield(asyncio.ensure_future(release))
            raise
        except _TEMPORARY as error:
            logger.info("job waits for the server", extra={"code": error.code})
            await self._service.store.call(lambda store: store.claims.release(claimed))
            await asyncio.sleep(_UNAVAILABLE_DELAY_S)
        return 0.0

    async def _measure(self, claimed: "ClaimedImage") -> None:
        options = RequestOptions(
            request_id=f"{claimed.job_id}-{claimed.sha256[:12]}",
            deadline=Deadline.after(self._settings.request_timeout_s),
            name=claimed.name,
            experiment=claimed.experiment_id,
            **dict(claimed.parameters),
        )
        try:
            data = await self._service.store.call(lambda store: store.images.read(claimed.sha256))
            measured = await self._service.measure(Upload(data), options)
        except _TEMPORARY:
            raise
        except ThaleError as error:
            await self._fail(claimed, str(error), is_permanent=isinstance(error, _PERMANENT))
            return
        except WorkerTaskError:
            logger.exception("image of a job failed unexpectedly")
            await self._fail(claimed, "the post-processing failed unexpectedly: see the server's log", False)
            return

        def complete(store: "ExperimentStore") -> None:
            with suppress(UnknownExperimentError):  # it was deleted meanwhile, with the job
                store.claims.complete(claimed, prepare(measured, options))

        await self._service.store.call(complete)
        metrics.JOB_IMAGES.labels("measured").inc()

    async def _fail(self, claimed: "ClaimedImage", reason: str, is_permanent: bool) -> None:
        reason = reason[:1000]
        await self._service.store.call(lambda store: store.claims.fail(claimed, reason, is_permanent=is_permanent))
        metrics.JOB_IMAGES.labels("failed").inc()

    @asynccontextmanager
    async def _lease(self, claimed: "ClaimedImage") -> AsyncIterator[None]:
        """Renew the lease of an image for the duration of the context."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEWAL_S)
                with suppress(ThaleError):
                    await self._service.store.call(lambda store: store.claims.renew(claimed))

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
