"""Events and counts of a job, for `job_queue` and `image_claims`."""

from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from thale.experiments.models import EventRow, JobItemRow, JobRow
from thale.experiments.statements import utc_now

_STATES = ("queued", "running", "measured", "failed", "quarantined", "cancelled")


def record_event(connection: Connection, job_id: str, kind: str, data: dict[str, Any]) -> None:
    """Record an event of a job."""
    connection.execute(insert(EventRow).values(job_id=job_id, created_at=utc_now(), type=kind, data=data))


def count_states(connection: Connection, job_id: str) -> dict[str, int]:
    """Return the number of images of a job in each state."""
    counts = select(JobItemRow.state, func.count()).where(JobItemRow.job_id == job_id).group_by(JobItemRow.state)
    found = {state: count for state, count in connection.execute(counts)}
    return {state: found.get(state, 0) for state in _STATES}


def finish_if_complete(connection: Connection, job_id: str) -> None:
    """End a job whose images have all ended."""
    # The lock orders the ends of the last two images: one of them sees that the job is complete.
    connection.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())
    open_items = select(func.count()).where(JobItemRow.job_id == job_id, JobItemRow.state.in_(("queued", "running")))
    if connection.execute(open_items).scalar_one():
        return
    finished = update(JobRow).where(JobRow.id == job_id, JobRow.finished_at.is_(None)).values(finished_at=utc_now())
    if connection.execute(finished).rowcount:
        record_event(connection, job_id, "finished", count_states(connection, job_id))
