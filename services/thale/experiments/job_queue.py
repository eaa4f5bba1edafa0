"""Jobs in the database: submission, progress, cancellation and retry. A job survives a restart of every process.

`image_claims` hands out the images of jobs to workers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Select, and_, insert, or_, select, update

from thale.errors import ParameterError, UnknownJobError
from thale.experiments.catalogue import get_experiment, lock_experiment
from thale.experiments.database import Database
from thale.experiments.job_events import count_states, finish_if_complete, record_event
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
)

_RETRIED = ("failed", "quarantined", "cancelled")


class JobQueue:
    """Submits, shows and ends jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, request: JobRequest, created_by: str) -> Job:
        """Store a job for the images of an experiment.

        Raises:
            UnknownExperimentError: If the experiment does not exist.
            ParameterError: If there is no image to measure.
        """
        job_id = new_id("job")
        with self._database.write() as connection:
            experiment_id = lock_experiment(connection, request.experiment)
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
                    parameters=request.parameters.model_dump(),
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
            record_event(connection, job_id, "submitted", {"images": len(rows)})
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
                record_event(connection, job_id, "cancelled", {})
            finish_if_complete(connection, job_id)
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
                record_event(connection, job_id, "retried", {"images": count})
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

    @contextmanager
    def _locked(self, job_id: str) -> Iterator[Connection]:
        with self._database.write() as connection:
            lock = select(JobRow.id).where(JobRow.id == job_id).with_for_update()
            if connection.execute(lock).one_or_none() is None:
                raise _unknown_job(job_id)
            yield connection


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
    counts = count_states(connection, job_id)
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
