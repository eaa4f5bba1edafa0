"""Phenotyping pipeline: builds a `Phenotype` from the predictions of one image, without network access or state.

The facade calls `build_phenotype` for every request, and `thale-models evaluate` calls it on the same maps. The trait
errors in an evaluation are therefore those of the service.
"""

from dataclasses import dataclass

import numpy as np

from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants
from thale.phenotyping.quality.calibrated_quality import grade_plants, grade_plate
from thale.phenotyping.quality.error_model import ErrorModel
from thale.phenotyping.quality.features import PlantFeatures, PlateEvidence, plant_features
from thale.phenotyping.quality.image_quality import cropped_plate_flags, image_quality_flags
from thale.phenotyping.quality.neighbour_contacts import flag_neighbour_contacts
from thale.phenotyping.quality.ridge_agreement import flag_disagreement, ridge_agreement
from thale.phenotyping.quality.shoot_flags import flag_shoots
from thale.phenotyping.quality.tip_agreement import flag_doubtful_tips
from thale.phenotyping.traits.measure import measure, measure_plate
from thale.schemas import Flag, ImageMetadata, Phenotype, Plant, Provenance, Timings
from thale.telemetry.step_timing import step

_MAX_SHOOT_SHARE = 0.3
_MAX_PLANTS = 60
_MIN_CONFIDENCE = 0.5


@dataclass(frozen=True)
class MeasuredPlate:
    """A phenotype whose quality follows from flags alone, with the features of each plant by its id."""

    phenotype: Phenotype
    features: dict[int, PlantFeatures]


def build_phenotype(
    image: ImageMetadata,
    segmentation: SegmentationPrediction,
    landmarks: LandmarkPrediction,
    provenance: Provenance,
    timings: Timings,
    expected_plants: int | None = None,
    error_model: ErrorModel | None = None,
) -> Phenotype:
    """Return the plants with organs, roots and traits, and the traits and flags of the plate.

    Args:
        image: Metadata from the image's header.
        segmentation: Probabilities of root, shoot and seed. Its calibration sets the scale.
        landmarks: Root bases and tips.
        provenance: Models and package version that produced the values.
        timings: Seconds spent so far.
        expected_plants: Number of plants that were sown, if known.
        error_model: Error model of the weights. None: no trait has an interval, and quality follows from flags.
    """
    measured = measure_plate_with_features(image, segmentation, landmarks, provenance, timings, expected_plants)
    phenotype = measured.phenotype
    with step("quality"):
        model = error_model if phenotype.scale.is_known else None
        plants = grade_plants(phenotype.plants, measured.features, model)
        traits = grade_plate(phenotype.traits, plants, measured.features, model)
    return phenotype.model_copy(update={"plants": plants, "traits": traits})


def measure_plate_with_features(
    image: ImageMetadata,
    segmentation: SegmentationPrediction,
    landmarks: LandmarkPrediction,
    provenance: Provenance,
    timings: Timings,
    expected_plants: int | None = None,
) -> MeasuredPlate:
    """Return the phenotype before the error model is applied, and its features. See `build_phenotype`."""
    calibration = segmentation.meta.calibration
    with step("plants"):
        reconstruction = reconstruct_plants(segmentation, landmarks.landmarks, expected_plants)
        traced_plants = flag_doubtful_tips(reconstruction.plants, landmarks.landmarks, calibration.scale)
        traced_plants = flag_neighbour_contacts(traced_plants, calibration.scale, reconstruction.exchange_margins)
        agreements = ridge_agreement(traced_plants, segmentation)
        flagged_plants = flag_shoots(flag_disagreement(traced_plants, agreements), segmentation)
        image_flags = _image_flags(image, segmentation, reconstruction, flagged_plants)
        doubts = (*calibration.flags, *image_flags)
    with step("features"):
        features = plant_features(
            PlateEvidence(
                image,
                segmentation,
                landmarks.landmarks,
                flagged_plants,
                agreements,
                reconstruction.unassigned_px,
                reconstruction.contested_shares,
                reconstruction.exchange_margins,
                reconstruction.primary_margins,
            )
        )
    with step("traits"):
        plants = tuple(
            plant.model_copy(update={"traits": measure(plant, calibration.scale, calibration.plate, doubts)})
            for plant in flagged_plants
        )
        traits = measure_plate(plants, calibration.scale, reconstruction.unassigned_px, doubts)
    model_flags = (*calibration.flags, *(flag for flag in landmarks.flags if flag not in calibration.flags))
    phenotype = Phenotype(
        image=image,
        scale=calibration.scale,
        plate=calibration.plate,
        plants=plants,
        traits=traits,
        flags=(*model_flags, *reconstruction.flags, *image_flags),
        provenance=provenance,
        timings=timings,
    )
    return MeasuredPlate(phenotype, features)


def _image_flags(
    image: ImageMetadata,
    segmentation: SegmentationPrediction,
    reconstruction: PlateReconstruction,
    plants: tuple[Plant, ...],
) -> tuple[Flag, ...]:
    calibration = segmentation.meta.calibration
    return (
        *plausibility_flags(segmentation, reconstruction),
        *cropped_plate_flags(calibration, plants),
        *image_quality_flags(image, calibration.scale, plants),
    )


def plausibility_flags(segmentation: SegmentationPrediction, reconstruction: PlateReconstruction) -> tuple[Flag, ...]:
    """Return one flag for each reason why the image does not look like a plate of seedlings."""
    reasons = []
    codes = {flag.code for flag in reconstruction.flags}
    if "root_everywhere" in codes:
        reasons.append("most of the image is classified as root")
    shoot_HW = segmentation.class_probability("shoot")
    shoot_share = np.count_nonzero(shoot_HW > 127) / shoot_HW.size
    if shoot_share > _MAX_SHOOT_SHARE:
        reasons.append(f"{shoot_share:.0%} of the image is classified as shoot")
    if len(reconstruction.plants) > _MAX_PLANTS:
        reasons.append(f"{len(reconstruction.plants)} plants were detected, more than the maximum of {_MAX_PLANTS}")
    confidences = [organ.confidence for plant in reconstruction.plants for organ in plant.organs]
    if confidences and max(confidences) < _MIN_CONFIDENCE:
        reasons.append("the model's confidence is low for all organs")
    flags = [Flag(code="not_a_plate", message=f"This does not look like a plate: {reason}") for reason in reasons]
    if not reconstruction.plants and not reasons:
        message = "no plant was found: no shoot, seed or root base was detected"
        flags.append(Flag(code="no_plant", message=message))
    return tuple(flags)
