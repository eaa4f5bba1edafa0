"""Claims of the images of jobs: leases, attempts, results and failures.

A worker claims an image for the duration of a lease, and renews the lease while it measures. If the worker is killed,
the lease ends and another worker claims the image. A measurement has one permanent id, so that a repeated one is the
same row.
"""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select, update

from thale.experiments.catalogue import lock_experiment
from thale.experiments.database import Database
from thale.experiments.images import set_current_measurement
from thale.experiments.job_events import finish_if_complete, record_event
from thale.experiments.measurements import PreparedMeasurement, save_measurement
from thale.experiments.models import ExperimentImageRow, JobItemRow, JobRow
from thale.schemas.experiment import MeasurementParameters

MAX_ATTEMPTS = 3
"""Failed attempts after which an image is quarantined."""
LEASE_S = 60.0


@dataclass(frozen=True)
class ClaimedImage:
    """An image that a worker measures."""

    job_id: str
    experiment_id: str
    sha256: str
    name: str
    parameters: MeasurementParameters
    attempts: int
    worker: str


class ImageClaims:
    """Hands out the images of jobs, and records their results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, worker: str, lease_s: float = LEASE_S) -> ClaimedImage | None:
        """Claim the next image: by the priority of its job, then the oldest job, then the order in the experiment.

        An image whose attempts are used up is quarantined instead: its workers were killed while they measured it.
        """
        while True:
            with self._database.write() as connection:
                row = connection.execute(_next_item(_is_due(time.time()))).first()
                if row is None:
                    return None
                claimed = _claim(connection, row, worker, lease_s)
                if claimed is not None:
                    return claimed

    def claim_image(self, job_id: str, sha256: str, worker: str, lease_s: float = LEASE_S) -> ClaimedImage | None:
        """Claim an image of a job. Return None if it has ended, waits for its next attempt, or has another worker.

        Args:
            job_id: The job.
            sha256: The image.
            worker: The claiming worker, or a group of workers. An image with a claim of this worker is claimed again,
                and its former attempt has failed: the caller knows that the process ended.
            lease_s: Duration of the lease.
        """
        item = and_(JobItemRow.job_id == job_id, JobItemRow.sha256 == sha256)
        own = and_(JobItemRow.state == "running", JobItemRow.worker == worker)
        with self._database.write() as connection:
            row = connection.execute(_next_item(and_(item, or_(own, _is_due(time.time()))))).first()
            return None if row is None else _claim(connection, row, worker, lease_s)

    def renew(self, claimed: ClaimedImage, lease_s: float = LEASE_S) -> bool:
        """Renew the lease of a claimed image. Return False if it was lost."""
        with self._database.write() as connection:
            until = {"lease_until": time.time() + lease_s}
            return bool(connection.execute(update(JobItemRow).where(_own(claimed)).values(**until)).rowcount)

    def release(self, claimed: ClaimedImage) -> None:
        """Give an image back, without an attempt: the server is busy or stops."""
        with self._database.write() as connection:
            connection.execute(update(JobItemRow).where(_own(claimed)).values(state="queued", lease_until=0.0))

    def release_all(self, job_id: str, worker: str) -> None:
        """Give back all images of a job that a worker has claimed, without an attempt: it stops."""
        own = and_(JobItemRow.job_id == job_id, JobItemRow.state == "running", JobItemRow.worker == worker)
        with self._database.write() as connection:
            connection.execute(update(JobItemRow).where(own).values(state="queued", lease_until=0.0))

    def complete(self, claimed: ClaimedImage, measurement: PreparedMeasurement) -> None:
        """Store the measurement of a claimed image and end it, in one transaction.

        Raises:
            UnknownExperimentError: If the experiment was deleted.
        """
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, claimed.experiment_id)
            save_measurement(connection, measurement)
            set_current_measurement(connection, experiment_id, claimed.sha256, measurement.id)
            _end_item(connection, claimed, "measured", None, measurement.id)

    def fail(self, claimed: ClaimedImage, reason: str, *, is_permanent: bool) -> None:
        """Record a failure: the image waits for a further attempt, or it is failed or quarantined."""
        attempts = claimed.attempts + 1
        with self._database.write() as connection:
            if is_permanent:
                _end_item(connection, claimed, "failed", reason)
            elif attempts >= MAX_ATTEMPTS:
                _end_item(connection, claimed, "quarantined", reason)
            else:
                # The lease delays the next attempt: 4 s after the first failure, 16 s after the second.
                later = {"state": "queued", "lease_until": time.time() + 4.0**attempts}
                connection.execute(
                    update(JobItemRow).where(_own(claimed)).values(attempts=attempts, reason=reason, **later)
                )


def _is_due(now: float) -> Any:
    return and_(JobItemRow.state.in_(("queued", "running")), JobItemRow.lease_until < now)


def _next_item(condition: Any) -> Select[Any]:
    return (
        select(
            JobItemRow.job_id,
            JobItemRow.sha256,
            JobItemRow.state,
            JobItemRow.attempts,
            JobRow.experiment_id,
            JobRow.parameters,
            ExperimentImageRow.name,
        )
        .join(JobRow, JobRow.id == JobItemRow.job_id)
        .join(
            ExperimentImageRow,
            and_(
                ExperimentImageRow.experiment_id == JobRow.experiment_id,
                ExperimentImageRow.sha256 == JobItemRow.sha256,
            ),
        )
        .where(condition)
        .order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id, JobItemRow.number)
        .limit(1)
        .with_for_update(skip_locked=True, of=JobItemRow)
    )


def _claim(connection: Connection, row: Any, worker: str, lease_s: float) -> ClaimedImage | None:
    """Give an item to a worker. Quarantine it and return None if its attempts are used up."""
    if row.state == "running" and row.attempts + 1 >= MAX_ATTEMPTS:
        _end_item(connection, row, "quarantined", "the process that measured it ended three times")
        return None
    # A lost worker counts as a failed attempt, because the image may have ended it.
    attempts = row.attempts + (row.state == "running")
    claimed = {"state": "running", "attempts": attempts, "worker": worker, "lease_until": time.time() + lease_s}
    item = and_(JobItemRow.job_id == row.job_id, JobItemRow.sha256 == row.sha256)
    connection.execute(update(JobItemRow).where(item).values(**claimed))
    return ClaimedImage(
        job_id=row.job_id,
        experiment_id=row.experiment_id,
        sha256=row.sha256,
        name=row.name,
        parameters=MeasurementParameters.model_validate(row.parameters),
        attempts=attempts,
        worker=worker,
    )


def _own(claimed: ClaimedImage) -> Any:
    return and_(
        JobItemRow.job_id == claimed.job_id,
        JobItemRow.sha256 == claimed.sha256,
        JobItemRow.state == "running",
        JobItemRow.worker == claimed.worker,
    )


def _end_item(
    connection: Connection, item: Any, state: str, reason: str | None, measurement_id: str | None = None
) -> None:
    """End an image of a job, record the event, and end the job with its last image."""
    ended = {"state": state, "attempts": item.attempts + 1, "reason": reason, "measurement_id": measurement_id}
    where = and_(JobItemRow.job_id == item.job_id, JobItemRow.sha256 == item.sha256, JobItemRow.state == "running")
    if connection.execute(update(JobItemRow).where(where).values(**ended)).rowcount:
        data = {"sha256": item.sha256, "image": item.name, "reason": reason, "measurement_id": measurement_id}
        record_event(connection, item.job_id, state, data)
        finish_if_complete(connection, item.job_id)
