"""Jobs in the database: order, leases, failures, cancellation, and workers that are killed."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.sample_experiments import measurement_of, new_image
from thale.errors import ParameterError, UnknownJobError
from thale.experiments.address import StoreAddress
from thale.experiments.image_claims import ClaimedImage
from thale.experiments.store import ExperimentStore
from thale.schemas.experiment import Job, JobRequest

EXPIRED_S = -1.0
"""A lease that has ended already."""


def submit(store: ExperimentStore, images: int, name: str = "a", **options: int) -> Job:
    store.experiments.create(name, "", "local")
    for number in range(images):
        store.images.add(name, new_image(f"{name} {number}.jpg"), None)
    return store.jobs.submit(JobRequest.model_validate({"experiment": name, "mm_per_px": 0.1, **options}), "local")


def complete(store: ExperimentStore, claimed: ClaimedImage) -> None:
    store.claims.complete(claimed, measurement_of(new_image(claimed.name)))


def event_types(store: ExperimentStore, job: Job) -> list[str]:
    return [event.type for event in store.jobs.events(job.id, 0, 500)]


def test_job_measures_each_image_once(store: ExperimentStore) -> None:
    job = submit(store, 12)

    def work(worker: int) -> int:
        count = 0
        while (claimed := store.claims.claim(f"worker {worker}")) is not None:
            assert claimed.parameters.mm_per_px == 0.1
            complete(store, claimed)
            count += 1
        return count

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(work, range(3))) == 12
    found = store.jobs.get(job.id)
    assert (found.state, found.progress.measured, found.progress.queued) == ("finished", 12, 0)
    assert event_types(store, job) == ["submitted", *["measured"] * 12, "finished"]
    assert store.experiments.get("a").measured == 12
    with pytest.raises(ParameterError, match="no image to measure"):
        store.jobs.submit(JobRequest(experiment="a"), "local")


def test_priority_goes_before_age(store: ExperimentStore) -> None:
    submit(store, 1, "old")
    submit(store, 1, "urgent", priority=5)
    names = [claimed.name for _ in range(2) if (claimed := store.claims.claim("worker")) is not None]
    assert names == ["urgent 0.jpg", "old 0.jpg"]


def test_image_is_quarantined_after_three_failures(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit(store, 1)
    now = 0.0
    monkeypatch.setattr("thale.experiments.image_claims.time.time", lambda: now)
    for attempt in range(3):
        now += 1000.0
        claimed = store.claims.claim("worker")
        assert claimed is not None
        assert claimed.attempts == attempt
        store.claims.fail(claimed, "the model failed", is_permanent=False)
        assert attempt == 2 or store.claims.claim("worker") is None, "the next attempt waits"
    [image] = store.jobs.images(job.id, "quarantined", 10, 0).items
    assert (image.attempts, image.reason) == (3, "the model failed")
    assert store.jobs.get(job.id).state == "finished"
    assert store.jobs.retry(job.id).progress.queued == 1
    claimed = store.claims.claim("worker")
    assert claimed is not None
    complete(store, claimed)
    assert store.jobs.get(job.id).progress.measured == 1
    assert event_types(store, job) == ["submitted", "quarantined", "finished", "retried", "measured", "finished"]


def test_damaged_image_fails_at_once(store: ExperimentStore) -> None:
    job = submit(store, 1)
    claimed = store.claims.claim("worker")
    assert claimed is not None
    store.claims.fail(claimed, "the image is truncated", is_permanent=True)
    assert store.jobs.get(job.id).progress.failed == 1


def test_cancelled_job_completes_running_images(store: ExperimentStore) -> None:
    job = submit(store, 3)
    claimed = store.claims.claim("worker")
    assert claimed is not None
    assert store.jobs.cancel(job.id).progress.cancelled == 2
    assert store.claims.claim("worker") is None
    complete(store, claimed)
    found = store.jobs.get(job.id)
    assert (found.state, found.progress.measured) == ("cancelled", 1)
    with pytest.raises(UnknownJobError):
        store.jobs.cancel("job-none")


def test_lost_lease_ends_the_old_claim(store: ExperimentStore) -> None:
    submit(store, 1)
    first = store.claims.claim("first", EXPIRED_S)
    second = store.claims.claim("second")
    assert first is not None
    assert second is not None
    assert second.attempts == 1
    assert not store.claims.renew(first)
    assert store.claims.renew(second)
    store.claims.release(first)
    assert store.claims.claim("third") is None


def _claim_and_die(address: StoreAddress) -> None:
    store = ExperimentStore.open(address)
    assert store.claims.claim("killed", EXPIRED_S) is not None
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_workers_lose_and_double_nothing(store: ExperimentStore, address: StoreAddress) -> None:
    job = submit(store, 2)
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        process = context.Process(target=_claim_and_die, args=(address,))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
    while (claimed := store.claims.claim("survivor")) is not None:
        complete(store, claimed)
    assert store.jobs.get(job.id).progress.measured == 2
    assert event_types(store, job).count("measured") == 2
    assert len(store.measurements.list("a", 10, 0).items) == 2


def test_image_that_kills_its_workers_is_quarantined(store: ExperimentStore) -> None:
    job = submit(store, 1)
    for _ in range(3):
        assert store.claims.claim("killed", EXPIRED_S) is not None
    assert store.claims.claim("survivor") is None
    [image] = store.jobs.images(job.id, "quarantined", 10, 0).items
    assert image.reason == "the process that measured it ended three times"


def test_deleted_experiment_ends_its_job(store: ExperimentStore) -> None:
    job = submit(store, 2)
    store.experiments.delete("a")
    assert store.claims.claim("worker") is None
    with pytest.raises(UnknownJobError):
        store.jobs.get(job.id)
