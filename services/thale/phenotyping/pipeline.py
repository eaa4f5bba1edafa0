"""What the models answered about one image, put together into a Phenotype. Pure: no clock, no network, no state.

The facade calls `phenotype` for every request and `evaluate` calls it on the same maps, so a trait error is never a
difference of implementation.
"""

from thale.models.predictions import LandmarkPrediction, SegmentationPrediction
from thale.phenotyping.plants.reconstruct import PlateReconstruction, reconstruct_plants
from thale.phenotyping.quality.ridge_agreement import flag_disagreement
from thale.phenotyping.quality.shoot_flags import flag_shoots
from thale.phenotyping.traits.measure import measure, measure_plate
from thale.schemas import Flag, ImageMetadata, Phenotype, Provenance, Timings
from thale.telemetry.step_timing import step

_MAX_SHOOT_SHARE = 0.3
_MAX_PLANTS = 60
_MIN_CONFIDENCE = 0.5


def build_phenotype(
    image: ImageMetadata,
    segmentation: SegmentationPrediction,
    landmarks: LandmarkPrediction,
    provenance: Provenance,
    timings: Timings,
    expected_plants: int | None = None,
) -> Phenotype:
    """Return plants with organs, roots and traits, and what to know about the whole plate.

    Args:
        image: What the image's header says.
        segmentation: Probabilities of root, shoot and seed; its calibration settles the scale.
        landmarks: Root bases and tips.
        provenance: What made these numbers.
        timings: Seconds spent so far.
        expected: How many plants were sown, if known.
    """
    calibration = segmentation.meta.calibration
    with step("plants"):
        reconstruction = reconstruct_plants(segmentation, landmarks.landmarks, expected_plants)
        flagged_plants = flag_shoots(flag_disagreement(reconstruction.plants, segmentation), segmentation)
    with step("traits"):
        plants = tuple(
            plant.model_copy(update={"traits": measure(plant, calibration.scale, calibration.plate)})
            for plant in flagged_plants
        )
        traits = measure_plate(plants, calibration.scale, reconstruction.unassigned_px)
    model_flags = (*calibration.flags, *(flag for flag in landmarks.flags if flag not in calibration.flags))
    return Phenotype(
        image=image,
        scale=calibration.scale,
        plate=calibration.plate,
        plants=plants,
        traits=traits,
        flags=(*model_flags, *reconstruction.flags, *plausibility_flags(segmentation, reconstruction)),
        provenance=provenance,
        timings=timings,
    )


def plausibility_flags(segmentation: SegmentationPrediction, reconstruction: PlateReconstruction) -> tuple[Flag, ...]:
    """Return why the image does not look like a plate of seedlings: one flag a reason, none where it does."""
    reasons = []
    codes = {flag.code for flag in reconstruction.flags}
    if "root_everywhere" in codes:
        reasons.append("most of what is seen would be root")
    shoot_share = float((segmentation.class_probability("shoot") > 127).mean())
    if shoot_share > _MAX_SHOOT_SHARE:
        reasons.append(f"{shoot_share:.0%} of the picture would be shoot")
    if len(reconstruction.plants) > _MAX_PLANTS:
        reasons.append(f"{len(reconstruction.plants)} plants would stand on it")
    confidences = [organ.confidence for plant in reconstruction.plants for organ in plant.organs]
    if confidences and max(confidences) < _MIN_CONFIDENCE:
        reasons.append("the model is sure of no organ")
    flags = [Flag(code="not_a_plate", message=f"This does not look like a plate: {reason}") for reason in reasons]
    if not reconstruction.plants and not reasons:
        message = "no plant was found: neither a shoot, nor a seed, nor a root base is seen"
        flags.append(Flag(code="no_plant", message=message))
    return tuple(flags)
