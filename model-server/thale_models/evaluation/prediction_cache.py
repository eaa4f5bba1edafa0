"""Cache of predictions: the model output of each plate and of its degraded copies, in files.

Inference takes most of the time of an evaluation. Traits and features are computed from cached predictions in less than
a second per plate, so that a change of the tracing needs no inference. A change of the weights uses another folder.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from thale.host.files import write_atomically
from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode, read_header
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.schemas import ImageMetadata, Task
from thale_models.evaluation.plate_scores import LoadedModel
from thale_models.inference import find_landmarks, segment
from thale_models.synthesis.degradation import degrade, sample_degradation

_SEGMENTATION, _LANDMARKS, _IMAGE = "segmentation.npz", "landmarks.json", "image.json"
_REENCODED_QUALITY = 95
"""JPEG quality of a copy that was changed but not compressed further."""


@dataclass(frozen=True)
class CachedPrediction:
    """Predictions of both models for one copy of an image.

    `size_factor` is the factor from coordinates of the original image to those of the copy.
    """

    image: ImageMetadata
    segmentation: SegmentationPrediction
    landmarks: LandmarkPrediction
    size_factor: float


def cache_folder(data: Path, models: Mapping[Task, LoadedModel], root: Path | None = None) -> Path:
    """Return the folder of the predictions of these models for a data set: in its own folder, or below `root`."""
    cards = [models[task].card for task in ("segmentation", "landmarks")]
    keys = [key for card in cards for key in (card.weights_sha256[:12], card.precision) if key != "float32"]
    return (data / "predictions" if root is None else root / data.name) / "-".join(keys)


def predict(image_path: Path, copy: int, models: Mapping[Task, LoadedModel], folder: Path) -> CachedPrediction:
    """Return the predictions for one copy of an image, from the cache if it has them for the same file.

    Args:
        image_path: The image.
        copy: 0 for the image itself, or the number of a degraded copy. The name of the image and the number are the
            seed of the degradation.
        models: Both models.
        folder: Folder of the cache.

    Raises:
        ImageError: If the image cannot be read.
    """
    path = folder / f"{image_path.stem}.{copy}.zip"
    if path.exists():
        cached = _read(path)
        if cached.image.sha256 == hashlib.sha256(image_path.read_bytes()).hexdigest():
            return cached
    cached = _predict(image_path, copy, models)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _to_bytes(cached))
    return cached


def _predict(image_path: Path, copy: int, models: Mapping[Task, LoadedModel]) -> CachedPrediction:
    data = image_path.read_bytes()
    image, pixels_HW3, size_factor = read_header(data, image_path.name), decode(data), 1.0
    if copy:
        rng = np.random.default_rng((zlib.crc32(image_path.stem.encode()), copy))
        degradation = sample_degradation(rng)
        pixels_HW3, size_factor = degrade(pixels_HW3, degradation, rng)
        height, width = pixels_HW3.shape[:2]
        quality = degradation.jpeg_quality or _REENCODED_QUALITY
        image = image.model_copy(update={"width": width, "height": height, "format": "JPEG", "jpeg_quality": quality})
    calibration = calibrate(pixels_HW3)
    segmentation, landmarks = models["segmentation"], models["landmarks"]
    return CachedPrediction(
        image,
        segment(pixels_HW3, segmentation.card, segmentation.engine, calibration),
        find_landmarks(pixels_HW3, landmarks.card, landmarks.engine, calibration),
        size_factor,
    )


def _to_bytes(cached: CachedPrediction) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(_SEGMENTATION, cached.segmentation.to_bytes())
        archive.writestr(_LANDMARKS, cached.landmarks.model_dump_json())
        image = {"metadata": cached.image.model_dump(), "size_factor": cached.size_factor}
        archive.writestr(_IMAGE, json.dumps(image))
    return buffer.getvalue()


def _read(path: Path) -> CachedPrediction:
    with ZipFile(path) as archive:
        image = json.loads(archive.read(_IMAGE))
        return CachedPrediction(
            ImageMetadata.model_validate(image["metadata"]),
            SegmentationPrediction.from_bytes(archive.read(_SEGMENTATION)),
            LandmarkPrediction.model_validate_json(archive.read(_LANDMARKS)),
            image["size_factor"],
        )
