"""Task of a Dask worker for `thale analyze`: one image file, measured without a store."""

import functools
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thale.errors import FileAccessError, ImageError, ModelFailedError, ThaleError
from thale.schemas.experiment import MeasurementParameters
from thale_models.batch.image_task import MAX_IMAGE_S, load_host
from thale_models.batch.model_host import ModelHost, ReleasedArchive

logger = logging.getLogger(__name__)
_one_image = threading.Lock()


@dataclass(frozen=True)
class FileConfig:
    """Models and threads of a worker. It is sent with each task."""

    segmentation: ReleasedArchive
    landmarks: ReleasedArchive
    error_models_path: Path | None
    threads: int


@dataclass(frozen=True)
class FileOutcome:
    """A phenotype as JSON, or the code and the message of an error."""

    phenotype: bytes = b""
    code: str = ""
    message: str = ""


def measure_file(config: FileConfig, image: Path | bytes, parameters: MeasurementParameters) -> FileOutcome:
    """Measure an image, given by its path or its bytes. Nothing is raised, because Dask would hide its class."""
    with _one_image, _end_if_stuck():
        try:
            host = _open_host(config)
            phenotype = host.measure(image if isinstance(image, bytes) else image.read_bytes(), parameters)
            return FileOutcome(phenotype.model_dump_json().encode())
        except ThaleError as error:
            return _failed(error)
        except OSError as error:
            return _failed(FileAccessError(f"the file cannot be read: {error.strerror}"))
        except MemoryError:
            remedy = "crop it, or raise THALE_WORKER_MEMORY_GROWTH_MIB"
            return _failed(ImageError(f"the worker's memory does not suffice for this image: {remedy}"))
        # Isolation boundary between the images of a run: a bug that one image triggers must not end the others.
        except Exception as error:
            logger.exception("image of a run failed unexpectedly")
            return _failed(ModelFailedError(f"the measurement failed unexpectedly ({type(error).__name__}: {error})"))


def _failed(error: ThaleError) -> FileOutcome:
    return FileOutcome(code=error.code, message=str(error))


@functools.lru_cache(maxsize=1)
def _open_host(config: FileConfig) -> ModelHost:
    return load_host(config.segmentation, config.landmarks, config.error_models_path, config.threads)


@contextmanager
def _end_if_stuck() -> Iterator[None]:
    """End this process if an image takes too long: a thread in native code cannot be stopped."""
    timer = threading.Timer(MAX_IMAGE_S, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
