"""Small error models for tests: one trait, two features, three bins of risk."""

from tests.support.sample_plates import DrawnMaps
from thale.phenotyping.quality.error_model import ErrorModel, TraitErrorModel
from thale.phenotyping.quality.features import PlantFeatures, PlateEvidence, plant_features
from thale.schemas import ImageMetadata, Plant, Root


def sample_trait_model(**changes: object) -> TraitErrorModel:
    """Return the error model of a trait, with changes."""
    fields = {
        "coefficients": (1.0, 0.0),
        "intercept": -2.0,
        "max_ok_risk": 0.3,
        "risk_bounds": (0.2, 0.6),
        "low": (-0.01, -0.1, -0.5),
        "high": (0.02, 0.3, 2.0),
    }
    return TraitErrorModel.model_validate(fields | changes)


def sample_error_model(**changes: object) -> ErrorModel:
    """Return an error model of the primary root length, with changes."""
    fields = {
        "segmentation_weights": "sha256:a",
        "landmarks_weights": "sha256:b",
        "coverage": 0.9,
        "features": ("tip_distance_mm", "contrast"),
        "means": (1.0, 0.0),
        "deviations": (0.5, 1.0),
        "traits": {"primary_root_length": sample_trait_model()},
    }
    return ErrorModel.model_validate(fields | changes)


def sample_features() -> PlantFeatures:
    """Return the features of a drawn plant with one root."""
    plate = DrawnMaps()
    plate.draw_plant(320, 160)
    root = Root(id="1", order=1, points=((320, 160), (320, 480)), length_px=320, confidence=1)
    plant = Plant(id=1, organs=(), landmarks=(), roots=(root,))
    image = ImageMetadata(width=640, height=640, format="PNG", mode="RGB", bits=8, size_bytes=1, sha256="0")
    evidence = PlateEvidence(image, plate.to_prediction(), plate.landmarks, (plant,), {}, 0.0)
    return plant_features(evidence)[1]
