"""Run of a job on a Dask cluster: bounded submission, progress, lost workers, and the end of the job.

The database has the state of each image. Dask only distributes the work, so that a killed client, worker or scheduler
loses nothing: the next run of the job submits the images that have not ended.
"""

import logging
import queue
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from thale.errors import BatchEngineError, ThaleError
from thale.experiments.store import ExperimentStore
from thale.schemas.experiment import Job, JobRequest
from thale_models.batch.image_task import BatchConfig, TaskOutcome, measure_image

logger = logging.getLogger(__name__)

MAX_SUBMITTED = 1000
"""Images that the scheduler has at a time. A task has a few hundred bytes, and an adaptive cluster grows by their
number."""
_PAGE = 500
_POLL_S = 1.0
_CREATED_BY = "dask"


def find_or_submit_job(store: ExperimentStore, request: JobRequest) -> tuple[Job, bool]:
    """Return the job of a request, and True if it is an unfinished job of an earlier run with the same parameters.

    Raises:
        UnknownExperimentError: If the experiment does not exist.
        ParameterError: If there is no image to measure.
    """
    cursor = None
    while True:
        page = store.jobs.list(request.experiment, _PAGE, cursor)
        for job in page.items:
            if job.state == "running" and job.parameters == request.parameters:
                return job, True
        if page.next_cursor is None:
            return store.jobs.submit(request, _CREATED_BY), False
        cursor = page.next_cursor


class JobRunner:
    """Measures the images of one job."""

    def __init__(
        self, client: Client, store: ExperimentStore, config: BatchConfig, report: Callable[[Job], None]
    ) -> None:
        """Create a runner.

        Args:
            client: A client of the Dask cluster.
            store: The store with the job.
            config: Configuration for the workers.
            report: Receives the job about once per second.
        """
        self._client = client
        self._store = store
        self._config = config
        self._report = report
        self._claimant = f"dask-{uuid.uuid4().hex[:24]}"
        self._submitted: dict[str, Future] = {}
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reported_at = 0.0

    def run(self, job_id: str) -> Job:
        """Measure the images of a job until none is left, and return the job.

        An image that waits for its next attempt, or that another process has claimed, is submitted again later.

        Raises:
            BatchEngineError: If the scheduler does not respond, or a worker cannot use the models or the store.
            UnknownJobError: If the job was deleted.
        """
        try:
            while True:
                for sha256 in self._open_images(job_id):
                    while len(self._submitted) >= MAX_SUBMITTED:
                        self._wait(job_id)
                    if not self._is_open(job_id):
                        break
                    self._submit(job_id, sha256)
                while self._submitted and self._is_open(job_id):
                    self._wait(job_id)
                job = self._store.jobs.get(job_id)
                self._report(job)
                if job.state != "running":
                    return job
                time.sleep(_POLL_S)
        finally:
            self._stop(job_id)

    def _open_images(self, job_id: str) -> Iterator[str]:
        cursor: str | None = "0"
        while cursor is not None:
            page = self._store.jobs.images(job_id, None, _PAGE, int(cursor))
            yield from (image.sha256 for image in page.items if image.state in ("queued", "running"))
            cursor = page.next_cursor

    def _submit(self, job_id: str, sha256: str) -> None:
        future = self._client.submit(
            measure_image, self._config, job_id, sha256, self._claimant, key=f"{sha256}-{uuid.uuid4().hex}", pure=False
        )
        self._await(sha256, future)

    def _await(self, sha256: str, future: Future) -> None:
        self._submitted[sha256] = future
        future.add_done_callback(lambda _: self._done.put(sha256))

    def _is_open(self, job_id: str) -> bool:
        """Report the progress about once per second. Return False after the end of the job, such as a cancellation."""
        now = time.monotonic()
        if now - self._reported_at < _POLL_S:
            return True
        self._reported_at = now
        job = self._store.jobs.get(job_id)
        self._report(job)
        return job.state == "running"

    def _wait(self, job_id: str) -> None:
        """Wait up to a second for the next outcome, and process it."""
        try:
            sha256 = self._done.get(timeout=_POLL_S)
        except queue.Empty:
            if self._client.status != "running":
                raise _lost_scheduler() from None
            return
        future = self._submitted.pop(sha256)
        try:
            outcome: TaskOutcome = future.result(timeout=_POLL_S)
        except KilledWorker:
            self._record_lost(job_id, sha256)
            return
        except TimeoutError:
            # The worker was lost with the outcome, and Dask repeats the task, or the machine is busy.
            self._await(sha256, future)
            return
        except (CancelledError, OSError) as error:
            raise _lost_scheduler() from error
        except (ImportError, AttributeError) as error:
            raise BatchEngineError(
                f"a worker cannot run thale ({error}): install 'thale[batch]' of the same version there"
            ) from error
        if outcome.state == "unusable":
            raise BatchEngineError(f"a worker cannot measure. {outcome.message}")
        if outcome.state == "failed":
            logger.warning("image failed", extra={"sha256": sha256, "reason": outcome.message})

    def _record_lost(self, job_id: str, sha256: str) -> None:
        """Record that Dask gave an image up, because its workers ended.

        The claim of the client counts the attempt of a worker that had claimed the image. An image that only waited for
        such a worker has no claim, and no attempt.
        """
        claimed = self._store.claims.claim_image(job_id, sha256, self._claimant)
        if claimed is not None:
            self._store.claims.release(claimed)

    def _stop(self, job_id: str) -> None:
        """Cancel what is submitted, and give the images back that this run has claimed."""
        futures = list(self._submitted.values())
        self._submitted.clear()
        if futures and self._client.status == "running":
            with suppress(OSError, TimeoutError, CancelledError):
                self._client.cancel(futures, force=True)
        with suppress(ThaleError):
            self._store.claims.release_all(job_id, self._claimant)


def _lost_scheduler() -> ThaleError:
    return BatchEngineError(
        "the connection to the scheduler was lost: start it again, and run the same command, which continues with the "
        "images without a measurement"
    )
