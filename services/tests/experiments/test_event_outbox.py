"""Outbox of events: each event is claimed once, tried again with delays, and given up after some days."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.sample_experiments import failed_job
from thale.experiments.event_outbox import DELIVERY_DAYS, OutgoingEvent
from thale.experiments.store import ExperimentStore

DAY_S = 86_400.0


def test_failures_and_the_end_of_a_job_are_claimed_in_order(store: ExperimentStore) -> None:
    job = failed_job(store, 2)
    events = [store.outbox.claim(), store.outbox.claim(), store.outbox.claim()]
    assert [event and event.type for event in events] == ["failed", "failed", "finished"]
    assert store.outbox.claim() is None
    first = events[0]
    assert first is not None
    assert (first.job_id, first.experiment_id, first.attempts) == (job.id, job.experiment_id, 1)
    assert (first.data["image"], first.data["reason"]) == ("a 0.jpg", "it is damaged")


def test_delivered_event_is_not_claimed_again(store: ExperimentStore) -> None:
    failed_job(store, 1)
    while (event := store.outbox.claim()) is not None:
        store.outbox.mark_delivered(event)
    assert store.outbox.count_waiting() == 0
    assert store.outbox.claim(time.time() + DAY_S) is None


def test_event_is_tried_again_with_growing_delays(store: ExperimentStore) -> None:
    failed_job(store, 1)
    now = time.time()
    attempts: list[tuple[int, float]] = []
    later = now
    while later < now + 3 * 3600 and len(attempts) < 8:
        event = store.outbox.claim(later)
        if event is not None and event.type == "failed":
            attempts.append((event.attempts, round(later - now)))
        elif event is None:
            later += 10.0
    assert [number for number, _ in attempts] == [1, 2, 3, 4, 5, 6, 7, 8]
    delays = [after - before for (_, before), (_, after) in itertools.pairwise(attempts)]
    assert delays == [30, 60, 120, 240, 480, 960, 1920]
    assert store.outbox.count_waiting() == 2


def test_old_events_are_given_up(store: ExperimentStore) -> None:
    failed_job(store, 1)
    assert store.outbox.claim(time.time() + DELIVERY_DAYS * DAY_S - 60) is not None
    assert store.outbox.claim(time.time() + DELIVERY_DAYS * DAY_S + 60) is None
    assert store.outbox.count_waiting(time.time() + DELIVERY_DAYS * DAY_S + 60) == 0


def test_concurrent_claims_return_each_event_once(store: ExperimentStore) -> None:
    failed_job(store, 9)

    def claim_all(_: int) -> list[OutgoingEvent]:
        return list(iter(store.outbox.claim, None))

    with ThreadPoolExecutor(3) as threads:
        claimed = [event.id for events in threads.map(claim_all, range(3)) for event in events]
    assert len(claimed) == len(set(claimed)) == 10
