"""Small error models for tests: one trait, two features, three bins of risk."""

from thale.phenotyping.quality.error_model import ErrorModel, TraitErrorModel


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
