"""Jobs in the database: their images, leases, failures and events. A job survives a restart of every process.

A worker claims an image for the duration of a lease, and renews the lease while it measures. If the worker is killed,
the lease ends and another worker claims the image. A measurement has one permanent id, so that a repeated one is the
same row.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from thale.errors import ParameterError, UnknownJobError
from thale.experiments.catalogue import get_experiment, lock_experiment
from thale.experiments.database import Database
from thale.experiments.images import set_current_measurement
from thale.experiments.measurements import PreparedMeasurement, save_measurement
from thale.experiments.models import EventRow, ExperimentImageRow, JobItemRow, JobRow
from thale.experiments.statements import new_id, utc_now
from thale.schemas.experiment import (
    Job,
    JobEvent,
    JobImage,
    JobImagePage,
    JobPage,
    JobProgress,
    JobRequest,
    JobState,
    MeasurementParameters,
)

MAX_ATTEMPTS = 3
"""Failed attempts after which an image is quarantined."""
LEASE_S = 60.0
_RETRIED = ("failed", "quarantined", "cancelled")
_STATES = ("queued", "running", "measured", "failed", "quarantined", "cancelled")


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


class JobQueue:
    """Submits, shows and ends jobs, and hands out their images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, request: JobRequest, created_by: str) -> Job:
        """Store a job for the images of an experiment.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
            ParameterError: If there is no image to measure.
        """
        parameters = MeasurementParameters(
            mm_per_px=request.mm_per_px,
            plate_width_mm=request.plate_width_mm,
            expected_plants=request.expected_plants,
            rotate=request.rotate,
        )
        job_id = new_id("job")
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, request.experiment).id
            images = select(ExperimentImageRow.sha256, ExperimentImageRow.number).where(
                ExperimentImageRow.experiment_id == experiment_id
            )
            if not request.remeasure:
                images = images.where(ExperimentImageRow.measurement_id.is_(None))
            rows = connection.execute(images.order_by(ExperimentImageRow.number)).all()
            if not rows:
                raise ParameterError(
                    "the experiment has no image to measure: add images first, or measure all again with `remeasure`"
                )
            connection.execute(
                insert(JobRow).values(
                    id=job_id,
                    experiment_id=experiment_id,
                    parameters=parameters.model_dump(),
                    priority=request.priority,
                    created_at=utc_now(),
                    created_by=created_by,
                    is_cancelled=False,
                )
            )
            waiting = {"job_id": job_id, "state": "queued", "attempts": 0, "lease_until": 0.0}
            connection.execute(
                insert(JobItemRow), [{**waiting, "sha256": row.sha256, "number": row.number} for row in rows]
            )
            _record(connection, job_id, "submitted", {"images": len(rows)})
            return _get_job(connection, job_id)

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            UnknownJobError: If it does not exist.
        """
        with self._database.read() as connection:
            return _get_job(connection, job_id)

    def list(self, experiment: str | None, limit: int, cursor: str | None) -> JobPage:
        """Return a page of jobs, the newest first.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
        """
        statement = select(JobRow.id, JobRow.created_at).order_by(JobRow.created_at.desc(), JobRow.id.desc())
        if cursor is not None:
            created_at, _, last_id = cursor.partition("~")
            statement = statement.where(
                or_(JobRow.created_at < created_at, and_(JobRow.created_at == created_at, JobRow.id < last_id))
            )
        with self._database.read() as connection:
            if experiment is not None:
                statement = statement.where(JobRow.experiment_id == get_experiment(connection, experiment).id)
            rows = connection.execute(statement.limit(limit + 1)).all()
            jobs = tuple(_get_job(connection, row.id) for row in rows[:limit])
        has_more = len(rows) > limit
        return JobPage(items=jobs, next_cursor=f"{jobs[-1].created_at}~{jobs[-1].id}" if has_more else None)

    def images(self, job_id: str, state: str | None, limit: int, cursor: int) -> JobImagePage:
        """Return a page of the images of a job, all or those in one state.

        Raises:
            UnknownJobError: If the job does not exist.
        """
        statement = (
            _named_items(JobItemRow.number)
            .where(JobItemRow.job_id == job_id, JobItemRow.number > cursor)
            .order_by(JobItemRow.number)
        )
        if state is not None:
            statement = statement.where(JobItemRow.state == state)
        with self._database.read() as connection:
            _get_job(connection, job_id)
            rows = connection.execute(statement.limit(limit + 1)).all()
        page = rows[:limit]
        return JobImagePage(
            items=tuple(JobImage.model_validate(row._mapping, extra="ignore") for row in page),
            next_cursor=str(page[-1].number) if len(rows) > limit else None,
        )

    def cancel(self, job_id: str) -> Job:
        """Cancel the images that wait. Those that are being measured are completed.

        Raises:
            UnknownJobError: If the job does not exist.
        """
        with self._locked(job_id) as connection:
            own = JobItemRow.job_id == job_id
            waiting = update(JobItemRow).where(own, JobItemRow.state == "queued").values(state="cancelled")
            if connection.execute(waiting).rowcount:
                connection.execute(update(JobRow).where(JobRow.id == job_id).values(is_cancelled=True))
                _record(connection, job_id, "cancelled", {})
            _finish_if_complete(connection, job_id)
            return _get_job(connection, job_id)

    def retry(self, job_id: str) -> Job:
        """Queue the images again that failed, are quarantined or were cancelled.

        Raises:
            UnknownJobError: If the job does not exist.
        """
        with self._locked(job_id) as connection:
            own = JobItemRow.job_id == job_id
            failed = update(JobItemRow).where(own, JobItemRow.state.in_(_RETRIED))
            count = connection.execute(failed.values(state="queued", attempts=0, lease_until=0.0)).rowcount
            if count:
                connection.execute(
                    update(JobRow).where(JobRow.id == job_id).values(is_cancelled=False, finished_at=None)
                )
                _record(connection, job_id, "retried", {"images": count})
            return _get_job(connection, job_id)

    def events(self, job_id: str, after: int, limit: int) -> tuple[JobEvent, ...]:
        """Return events of a job after an event, the oldest first.

        Raises:
            UnknownJobError: If the job does not exist.
        """
        with self._database.read() as connection:
            _get_job(connection, job_id)
            rows = connection.execute(
                select(EventRow.id, EventRow.job_id, EventRow.created_at, EventRow.type, EventRow.data)
                .where(EventRow.job_id == job_id, EventRow.id > after)
                .order_by(EventRow.id)
                .limit(limit)
            )
            return tuple(JobEvent.model_validate(row._mapping) for row in rows)

    def claim(self, worker: str, lease_s: float = LEASE_S) -> ClaimedImage | None:
        """Claim the next image: by the priority of its job, then the oldest job, then the order in the experiment.

        An image whose attempts are used up is quarantined instead: its workers were killed while they measured it.
        """
        while True:
            with self._database.write() as connection:
                row = connection.execute(_next_item(time.time())).first()
                if row is None:
                    return None
                item = and_(JobItemRow.job_id == row.job_id, JobItemRow.sha256 == row.sha256)
                if row.state == "running" and row.attempts + 1 >= MAX_ATTEMPTS:
                    _end_item(connection, row, "quarantined", "the process that measured it ended three times")
                    continue
                # A lost worker counts as a failed attempt, because the image may have ended it.
                attempts = row.attempts + (row.state == "running")
                until = time.time() + lease_s
                claimed = {"state": "running", "attempts": attempts, "worker": worker, "lease_until": until}
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

    def renew(self, claimed: ClaimedImage, lease_s: float = LEASE_S) -> bool:
        """Renew the lease of a claimed image. Return False if it was lost."""
        with self._database.write() as connection:
            until = {"lease_until": time.time() + lease_s}
            return bool(connection.execute(update(JobItemRow).where(_own(claimed)).values(**until)).rowcount)

    def release(self, claimed: ClaimedImage) -> None:
        """Give an image back, without an attempt: the server is busy or stops."""
        with self._database.write() as connection:
            connection.execute(update(JobItemRow).where(_own(claimed)).values(state="queued", lease_until=0.0))

    def complete(self, claimed: ClaimedImage, measurement: PreparedMeasurement) -> None:
        """Store the measurement of a claimed image and end it, in one transaction.

        Raises:
            UnknownExperimentError: If the experiment was deleted.
        """
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, claimed.experiment_id).id
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

    @contextmanager
    def _locked(self, job_id: str) -> Iterator[Connection]:
        with self._database.write() as connection:
            lock = select(JobRow.id).where(JobRow.id == job_id).with_for_update()
            if connection.execute(lock).one_or_none() is None:
                raise _unknown_job(job_id)
            yield connection


def _next_item(now: float) -> Select[Any]:
    is_due = and_(JobItemRow.state.in_(("queued", "running")), JobItemRow.lease_until < now)
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
        .where(is_due)
        .order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id, JobItemRow.number)
        .limit(1)
        .with_for_update(skip_locked=True, of=JobItemRow)
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
        _record(connection, item.job_id, state, data)
        _finish_if_complete(connection, item.job_id)


def _finish_if_complete(connection: Connection, job_id: str) -> None:
    # The lock orders the ends of the last two images: one of them sees that the job is complete.
    connection.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())
    open_items = select(func.count()).where(JobItemRow.job_id == job_id, JobItemRow.state.in_(("queued", "running")))
    if connection.execute(open_items).scalar_one():
        return
    finished = update(JobRow).where(JobRow.id == job_id, JobRow.finished_at.is_(None)).values(finished_at=utc_now())
    if connection.execute(finished).rowcount:
        _record(connection, job_id, "finished", _count_states(connection, job_id))


def _record(connection: Connection, job_id: str, kind: str, data: dict[str, Any]) -> None:
    connection.execute(insert(EventRow).values(job_id=job_id, created_at=utc_now(), type=kind, data=data))


def _count_states(connection: Connection, job_id: str) -> dict[str, int]:
    counts = select(JobItemRow.state, func.count()).where(JobItemRow.job_id == job_id).group_by(JobItemRow.state)
    found = {state: count for state, count in connection.execute(counts)}
    return {state: found.get(state, 0) for state in _STATES}


def _get_job(connection: Connection, job_id: str) -> Job:
    row = connection.execute(
        select(
            JobRow.id,
            JobRow.experiment_id,
            JobRow.priority,
            JobRow.parameters,
            JobRow.created_at,
            JobRow.created_by,
            JobRow.finished_at,
            JobRow.is_cancelled,
        ).where(JobRow.id == job_id)
    ).one_or_none()
    if row is None:
        raise _unknown_job(job_id)
    counts = _count_states(connection, job_id)
    fields = dict(row._mapping)
    state: JobState = "running" if row.finished_at is None else "cancelled" if row.is_cancelled else "finished"
    fields.pop("is_cancelled")
    return Job(**fields, state=state, progress=JobProgress(total=sum(counts.values()), **counts))


def _named_items(*further: Any) -> Select[Any]:
    return (
        select(
            JobItemRow.sha256,
            ExperimentImageRow.name,
            JobItemRow.state,
            JobItemRow.attempts,
            JobItemRow.reason,
            JobItemRow.measurement_id,
            *further,
        )
        .join(JobRow, JobRow.id == JobItemRow.job_id)
        .join(
            ExperimentImageRow,
            and_(
                ExperimentImageRow.experiment_id == JobRow.experiment_id,
                ExperimentImageRow.sha256 == JobItemRow.sha256,
            ),
        )
    )


def _unknown_job(job_id: str) -> UnknownJobError:
    return UnknownJobError(
        f"there is no job {job_id!r}: it was deleted with its experiment, or it is of another server"
    )
