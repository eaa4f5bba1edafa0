"""Phenotype of a photograph from the predictions of both models for each of its plates.

The facade and the batch engine use it, so that both return the same values.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.phenotyping.pipeline import build_phenotype
from thale.phenotyping.plates import merge_plates
from thale.phenotyping.quality.calibrated_quality import mark_uncalibrated
from thale.phenotyping.quality.error_model import ErrorModel, error_model_for, is_uncalibrated
from thale.phenotyping.quality.image_quality import reject_doubtful_image
from thale.phenotyping.rotation import rotate_to_original
from thale.schemas import ImageMetadata, Phenotype, Provenance, Rotation, Timings


class PhotographInputs(Protocol):
    """Inputs of the phenotype of a photograph other than the predictions."""

    @property
    def metadata(self) -> ImageMetadata:
        """Header of the image."""

    @property
    def config_digest(self) -> str:
        """Digest of the parameters (`thale.experiments.measurement_key.digest_parameters`)."""

    @property
    def package_version(self) -> str:
        """Version of thale."""

    @property
    def created(self) -> str:
        """Time of the measurement in UTC, in ISO 8601."""

    @property
    def expected_plants(self) -> int | None:
        """Number of plants that were sown on each plate, if known."""

    @property
    def rotate(self) -> Rotation:
        """Clockwise turn of the image before its measurement."""

    @property
    def error_models_path(self) -> Path | None:
        """Folder of the user's error models."""


def measure_plate(
    segmentation: SegmentationPrediction,
    landmarks: LandmarkPrediction,
    weights_digests: tuple[str, str],
    inputs: PhotographInputs,
) -> Phenotype:
    """Return the phenotype of one plate, with all timings zero.

    Args:
        segmentation: Prediction of the segmentation model, with the digest of its archive.
        landmarks: Prediction of the landmark model for the same plate, with the digest of its archive.
        weights_digests: Digests of the weights of both models, which select the error model.
        inputs: Other inputs.
    """
    error_model = error_model_for(*weights_digests, inputs.error_models_path)
    phenotype = build_untimed_phenotype(segmentation, landmarks, inputs, error_model)
    is_doubtful = is_uncalibrated(*weights_digests, inputs.error_models_path)
    return mark_uncalibrated(phenotype) if is_doubtful else phenotype


def build_untimed_phenotype(
    segmentation: SegmentationPrediction,
    landmarks: LandmarkPrediction,
    inputs: PhotographInputs,
    error_model: ErrorModel | None = None,
) -> Phenotype:
    """Return the phenotype of the plate, with all timings zero. Without an error model, it has no intervals."""
    provenance = Provenance(
        models=(segmentation.meta.model, landmarks.model),
        config_digest=inputs.config_digest,
        package_version=inputs.package_version,
        created=inputs.created,
    )
    untimed = Timings(segment_s=0.0, landmarks_s=0.0, plants_s=0.0, total_s=0.0)
    return build_phenotype(
        inputs.metadata,
        segmentation,
        landmarks,
        provenance,
        untimed,
        expected_plants=inputs.expected_plants,
        error_model=error_model,
    )


def merge_photograph(plates: Sequence[Phenotype], rotate: Rotation, *, strict: bool = False) -> Phenotype:
    """Return the phenotype of a photograph from those of its plates, in pixels of the image as sent.

    Raises:
        DoubtfulImageError: If the gate doubts the image, and `strict` is true.
    """
    merged = merge_plates(plates)
    if strict:
        reject_doubtful_image(merged)
    return rotate_to_original(merged.model_copy(update={"rotate": rotate}))
