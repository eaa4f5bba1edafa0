"""Both released models in this process: image bytes in, phenotype out.

It calls the functions of the model handlers and of the facade's post-processing, so that the values are the same. An
image is decoded and calibrated once for both models, and no map is compressed between them.
"""

import hashlib
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thale._version import __version__
from thale.errors import ArchiveError
from thale.experiments.measurement_key import digest_parameters
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode, read_header
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.phenotyping.photograph import measure_plate, merge_photograph
from thale.release.registry.graph_members import GRAPH, GRAPH_CONSTANTS
from thale.schemas import Calibration, ImageMetadata, ModelCard, ModelRef, Phenotype, Rotation, Timings
from thale.schemas.experiment import MeasurementParameters
from thale_models.engine import Engine, load_engine
from thale_models.handlers.settings import WorkerSettings
from thale_models.inference import find_landmarks, segment

_MEMBERS = (CARD, WEIGHTS, GRAPH, GRAPH_CONSTANTS)


@dataclass(frozen=True)
class ReleasedArchive:
    """File of a released model version, and the digest in the release state."""

    path: Path
    digest: str


@dataclass(frozen=True)
class HostedModel:
    """A model in this process."""

    card: ModelCard
    engine: Engine
    digest: str
    """Digest of the archive."""

    @classmethod
    def load(cls, archive: ReleasedArchive, threads: int, settings: WorkerSettings) -> "HostedModel":
        """Load a model from its archive.

        Raises:
            ArchiveError: If the archive cannot be read, or differs from the release.
        """
        try:
            content = archive.path.read_bytes()
        except OSError as error:
            raise ArchiveError(
                f"{archive.path} cannot be read ({error.strerror}): the workers need the data directory of the client "
                "at the same path, for example on a shared file system"
            ) from error
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest != archive.digest:
            raise ArchiveError(
                f"{archive.path} has the digest {digest}, but {archive.digest} is released: start the platform once "
                "with `thale up`, which restores the archive, or release the model again"
            )
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(BytesIO(content)) as members:
            for name in set(_MEMBERS) & set(members.namelist()):
                Path(folder, name).write_bytes(members.read(name))
            card = parse_model_card(Path(folder, CARD).read_bytes())
            engine = load_engine(
                card,
                Path(folder, WEIGHTS),
                settings.engine,
                threads=threads,
                cache=settings.cache,
                torch_options=settings.torch_options,
            )
        return cls(card, engine, digest)

    @property
    def weights_digest(self) -> str:
        """Digest of the weights."""
        return f"sha256:{self.card.weights_sha256}"

    def released(self, model: ModelRef) -> ModelRef:
        """Return the model of a prediction with the digest of its archive, as a facade returns it."""
        return model.model_copy(update={"digest": self.digest})


@dataclass(frozen=True)
class _Inputs:
    """Inputs of `thale.phenotyping.photograph`."""

    metadata: ImageMetadata
    config_digest: str
    package_version: str
    created: str
    expected_plants: int | None
    rotate: Rotation
    error_models_path: Path | None


@dataclass(frozen=True)
class ModelHost:
    """Both models. Not safe for concurrent calls."""

    segmentation: HostedModel
    landmarks: HostedModel
    error_models_path: Path | None = None

    @property
    def digests(self) -> Sequence[str]:
        """Digests of the archives, in the order of a measurement's id."""
        return (self.segmentation.digest, self.landmarks.digest)

    def measure(self, data: bytes, parameters: MeasurementParameters) -> Phenotype:
        """Measure the plants of an image.

        Raises:
            ImageError, ScaleError, ParameterError: If the image cannot be measured with these parameters.
        """
        started = time.monotonic()
        inputs = _Inputs(
            metadata=read_header(data, None, parameters.page),
            config_digest=digest_parameters(parameters),
            package_version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            expected_plants=parameters.expected_plants,
            rotate=parameters.rotate,
            error_models_path=self.error_models_path,
        )
        decoded_HW3 = decode(data, page=parameters.page)
        image_HW3 = np.ascontiguousarray(np.rot90(decoded_HW3, -(parameters.rotate // 90)))
        del decoded_HW3
        clock = _Clock()
        plates, number, count = [], 1, 1
        while number <= count:
            calibration = calibrate(image_HW3, parameters.mm_per_px, parameters.plate_width_mm, number, "plate")
            count = max(1, len(calibration.plates)) if number == 1 else count
            with clock.count("segment"):
                segmentation = self._segment(image_HW3, calibration)
            with clock.count("landmarks"):
                landmarks = self._find_landmarks(image_HW3, calibration)
            with clock.count("plants"):
                digests = (self.segmentation.weights_digest, self.landmarks.weights_digest)
                plates.append(measure_plate(segmentation, landmarks, digests, inputs))
            number += 1
        phenotype = merge_photograph(plates, parameters.rotate)
        timings = clock.timings(time.monotonic() - started)
        return phenotype.model_copy(update={"timings": timings})

    def _segment(self, image_HW3: NDArray[np.uint8], calibration: Calibration) -> SegmentationPrediction:
        model = self.segmentation
        prediction = segment(image_HW3, model.card, model.engine, calibration)
        meta = prediction.meta.model_copy(update={"model": model.released(prediction.meta.model)})
        return replace(prediction, meta=meta)

    def _find_landmarks(self, image_HW3: NDArray[np.uint8], calibration: Calibration) -> LandmarkPrediction:
        model = self.landmarks
        prediction = find_landmarks(image_HW3, model.card, model.engine, calibration)
        return prediction.model_copy(update={"model": model.released(prediction.model)})


class _Clock:
    """Seconds of the steps of an image, summed over its plates."""

    def __init__(self) -> None:
        self._seconds = {"segment": 0.0, "landmarks": 0.0, "plants": 0.0}

    @contextmanager
    def count(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._seconds[step] += time.monotonic() - started

    def timings(self, total_s: float) -> Timings:
        seconds = self._seconds
        return Timings(
            segment_s=seconds["segment"], landmarks_s=seconds["landmarks"], plants_s=seconds["plants"], total_s=total_s
        )
