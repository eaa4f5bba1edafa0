"""Task of a Dask worker: one image of a job, from its claim to its stored measurement.

The models and the store are opened once per process. The database decides which images are measured: an image has one
claim at a time and one measurement, whatever Dask repeats after the loss of a worker
(docs/adr/0142-dask-as-the-batch-engine.md).
"""

import functools
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thale._version import __version__
from thale.errors import (
    ExperimentStoreError,
    ImageError,
    ParameterError,
    ScaleError,
    ThaleError,
    UnknownExperimentError,
)
from thale.experiments.address import StoreAddress
from thale.experiments.image_claims import ClaimedImage
from thale.experiments.measurement_key import digest_folder, digest_parameters, measurement_id
from thale.experiments.measurements import PreparedMeasurement, prepare_measurement
from thale.experiments.store import ExperimentStore
from thale_models.batch.model_host import HostedModel, ModelHost, ReleasedArchive
from thale_models.handlers.memory_limit import limit_memory_growth
from thale_models.handlers.settings import WorkerSettings

logger = logging.getLogger(__name__)

MAX_IMAGE_S = 900.0
"""A process that needs longer for one image ends. Dask starts another one, and the attempt has failed."""
_RENEWAL_S = 20.0
_STORE_RETRIES_S = (0.5, 2.0, 8.0)
_MAX_REASON = 1000
_PERMANENT = (ImageError, ScaleError, ParameterError)

_one_image = threading.Lock()
"""The models are not safe for concurrent calls, and a Dask worker may have several threads."""


@dataclass(frozen=True)
class BatchConfig:
    """Everything that a worker needs apart from the image. It is sent with each task, and has no secrets."""

    store: StoreAddress
    segmentation: ReleasedArchive
    landmarks: ReleasedArchive
    error_models_path: Path | None
    package_version: str
    host: str
    """Machine of the client."""
    threads: int
    """Threads of one inference. 0 uses all cores of the worker."""


@dataclass(frozen=True)
class TaskOutcome:
    """Result of a task. `skipped`: the image has ended, or waits, or another process measures it."""

    state: Literal["measured", "failed", "skipped", "unusable"]
    message: str = ""
    """Reason of a failure, or why this worker or the store is unusable."""


@dataclass(frozen=True)
class _Worker:
    """Models and store of this process."""

    host: ModelHost
    store: ExperimentStore
    error_models_digest: str


def measure_image(config: BatchConfig, job_id: str, sha256: str, claimant: str) -> TaskOutcome:
    """Measure an image of a job and store its measurement, unless it has one.

    Args:
        config: The configuration of the run.
        job_id: The job.
        sha256: The image.
        claimant: Name of the run, which claims the image. A task that Dask repeats takes its own claim over.

    Returns:
        The outcome. Nothing is raised, because an error of a newer version could not be unpickled by the client.
    """
    with _one_image:
        try:
            worker = _open_worker(config)
            claimed = worker.store.claims.claim_image(job_id, sha256, claimant)
            if claimed is None:
                return TaskOutcome("skipped")
            with _watch(worker.store, claimed):
                return _measure_claimed(worker, claimed)
        except UnknownExperimentError:
            return TaskOutcome("skipped")  # it was deleted meanwhile, with the job
        except ThaleError as error:
            return TaskOutcome("unusable", f"{socket.gethostname()}: {error}")


@functools.lru_cache(maxsize=1)
def _open_worker(config: BatchConfig) -> _Worker:
    """Load the models and open the store of this process.

    Raises:
        ParameterError: If this worker has another version of thale, or cannot use the store.
        ThaleError: If the models or the store cannot be opened.
    """
    if __version__ != config.package_version:
        raise ParameterError(
            f"the worker has thale {__version__}, but the client has {config.package_version}: install the same version"
        )
    if config.store.database_url is None and socket.gethostname() != config.host:
        raise ParameterError(
            f"the worker is on another machine than the client ({config.host}), and the store is a SQLite file, which "
            "several machines cannot open: set THALE_EXPERIMENTS_DATABASE_URL to a PostgreSQL database"
        )
    store = ExperimentStore.open(config.store)
    host = load_host(config.segmentation, config.landmarks, config.error_models_path, config.threads)
    return _Worker(host, store, digest_folder(config.error_models_path))


def load_host(
    segmentation: ReleasedArchive, landmarks: ReleasedArchive, error_models_path: Path | None, threads: int
) -> ModelHost:
    """Load both models into this process, and limit its memory. Without a number of threads, it uses all cores.

    Raises:
        ArchiveError: If an archive cannot be read, or differs from the release.
    """
    settings = WorkerSettings()
    threads = threads or settings.threads
    host = ModelHost(
        HostedModel.load(segmentation, threads, settings),
        HostedModel.load(landmarks, threads, settings),
        error_models_path,
    )
    _limit_memory(settings.memory_growth_mib)
    return host


@functools.cache
def _limit_memory(growth_mib: int) -> None:
    """Limit the memory of this process, once: a limit cannot be raised for the models of another run."""
    limit_memory_growth(growth_mib)


def _measure_claimed(worker: _Worker, claimed: ClaimedImage) -> TaskOutcome:
    try:
        measurement = _measure(worker, claimed)
    except ExperimentStoreError as error:
        return _fail(worker, claimed, str(error), is_permanent=False)  # the bytes are damaged or missing
    except ThaleError as error:
        return _fail(worker, claimed, str(error), is_permanent=isinstance(error, _PERMANENT))
    except MemoryError:
        reason = "the worker's memory does not suffice for this image: crop it, or raise THALE_WORKER_MEMORY_GROWTH_MIB"
        return _fail(worker, claimed, reason, is_permanent=False)
    # Isolation boundary between the images of a job: a bug that one image triggers must not end the others.
    except Exception as error:
        logger.exception("image of a job failed unexpectedly")
        reason = f"the measurement failed unexpectedly ({type(error).__name__}): see the log of the worker"
        return _fail(worker, claimed, reason, is_permanent=False)
    _complete(worker.store, claimed, measurement)
    return TaskOutcome("measured")


def _measure(worker: _Worker, claimed: ClaimedImage) -> PreparedMeasurement:
    """Return the stored measurement of an image, or measure it."""
    parameters = claimed.parameters
    key = measurement_id(
        claimed.sha256, worker.host.digests, digest_parameters(parameters), __version__, worker.error_models_digest
    )
    found = worker.store.measurements.find(key)
    if found is not None:
        return prepare_measurement(key, found[0].phenotype, parameters)
    data = worker.store.images.read(claimed.sha256)
    return prepare_measurement(key, worker.host.measure(data, parameters), parameters)


def _complete(store: ExperimentStore, claimed: ClaimedImage, measurement: PreparedMeasurement) -> None:
    """Store a measurement. A database that is busy gets further attempts, because the measurement was expensive."""
    for delay_s in _STORE_RETRIES_S:
        with suppress(ExperimentStoreError):
            store.claims.complete(claimed, measurement)
            return
        time.sleep(delay_s)
    store.claims.complete(claimed, measurement)


def _fail(worker: _Worker, claimed: ClaimedImage, reason: str, *, is_permanent: bool) -> TaskOutcome:
    worker.store.claims.fail(claimed, reason[:_MAX_REASON], is_permanent=is_permanent)
    return TaskOutcome("failed", reason)


@contextmanager
def _watch(store: ExperimentStore, claimed: ClaimedImage) -> Iterator[None]:
    """Renew the lease of an image for the duration of the context, and end a process that exceeds its time."""
    ended = threading.Event()
    deadline = time.monotonic() + MAX_IMAGE_S

    def renew() -> None:
        while not ended.wait(_RENEWAL_S):
            if time.monotonic() > deadline:
                logger.error("image exceeds its time; worker process ends", extra={"sha256": claimed.sha256})
                os._exit(1)  # a thread in native code cannot be stopped
            with suppress(ThaleError):
                store.claims.renew(claimed)

    threading.Thread(target=renew, name="lease", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
