"""Outbox of events for a webhook: each event is in the same transaction as the change that it reports.

A claim sets the time of the next attempt. A process that ends after a claim therefore loses nothing, and a failed
attempt needs no further transaction. Several processes may claim at the same time.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from thale.experiments.database import Database
from thale.experiments.models import EventRow, JobRow
from thale.experiments.statements import utc_now

DELIVERY_DAYS = 3
"""An event that no receiver accepted for this time is given up, so that a new receiver gets no old events."""
_TYPES = ("finished", "failed", "quarantined")
_FIRST_DELAY_S, _MAX_DELAY_S = 30.0, 3600.0
_MAX_DOUBLINGS = 7  # 30 s * 2**7 is more than an hour


@dataclass(frozen=True)
class OutgoingEvent:
    """An event that a process has claimed for delivery."""

    id: int
    job_id: str
    experiment_id: str
    type: str
    created_at: str
    data: dict[str, Any]
    attempts: int
    """Number of attempts with this one."""


class EventOutbox:
    """Claims events for delivery, and marks delivered ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, now: float | None = None) -> OutgoingEvent | None:
        """Claim the oldest event whose next attempt is due. None if no attempt is due.

        Args:
            now: The time in seconds since 1970. Default: the time of the clock.
        """
        now = time.time() if now is None else now
        due = (
            select(
                *(EventRow.id, EventRow.job_id, JobRow.experiment_id, EventRow.type),
                *(EventRow.created_at, EventRow.data, EventRow.delivery_attempts),
            )
            .join(JobRow, JobRow.id == EventRow.job_id)
            .where(*_is_waiting(now), EventRow.next_delivery_at <= now)
            .order_by(EventRow.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=EventRow)
        )
        with self._database.write() as connection:
            row = connection.execute(due).first()
            if row is None:
                return None
            delay_s = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(row.delivery_attempts, _MAX_DOUBLINGS))
            attempts = row.delivery_attempts + 1
            claimed = {"delivery_attempts": attempts, "next_delivery_at": now + delay_s}
            connection.execute(update(EventRow).where(EventRow.id == row.id).values(**claimed))
            return OutgoingEvent(
                row.id, row.job_id, row.experiment_id, row.type, row.created_at, row.data, attempts=attempts
            )

    def mark_delivered(self, event: OutgoingEvent) -> None:
        """Record that the receiver has accepted an event."""
        with self._database.write() as connection:
            connection.execute(update(EventRow).where(EventRow.id == event.id).values(delivered_at=utc_now()))

    def count_waiting(self, now: float | None = None) -> int:
        """Return the number of events that wait for their delivery."""
        now = time.time() if now is None else now
        with self._database.read() as connection:
            waiting = select(func.count()).select_from(EventRow).where(*_is_waiting(now))
            return int(connection.execute(waiting).scalar_one())


def _is_waiting(now: float) -> tuple[Any, ...]:
    oldest = datetime.fromtimestamp(now, UTC) - timedelta(days=DELIVERY_DAYS)
    return (
        EventRow.type.in_(_TYPES),
        EventRow.created_at >= oldest.isoformat(timespec="milliseconds"),
        EventRow.delivered_at.is_(None),
    )
