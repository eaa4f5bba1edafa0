"""What the models answered about one image, put together into a Phenotype. Pure: no clock, no network, no state.

The facade calls `phenotype` for every request and `evaluate` calls it on the same maps, so a trait error is never a
difference of implementation.
"""

from thale.models.predictions import LandmarksAnswer, SegmentationAnswer
from thale.phenotyping.plants.reconstruct import PlateReading, find_plants
from thale.phenotyping.quality.ridge_agreement import flag_disagreement
from thale.phenotyping.quality.shoot_flags import flag_shoots
from thale.phenotyping.traits.measure import measure, measure_plate
from thale.schemas import Flag, ImageFacts, Phenotype, Provenance, Timings
from thale.telemetry.step_timing import step

_LARGEST_SHOOT_SHARE = 0.3
_MOST_PLANTS = 60
_LEAST_CERTAINTY = 0.5


def phenotype(
    image: ImageFacts,
    segmentation: SegmentationAnswer,
    landmarks: LandmarksAnswer,
    provenance: Provenance,
    timings: Timings,
    expected: int | None = None,
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
        reading = find_plants(segmentation, landmarks.landmarks, expected)
        found = flag_shoots(flag_disagreement(reading.plants, segmentation), segmentation)
    with step("traits"):
        plants = tuple(
            plant.model_copy(update={"traits": measure(plant, calibration.scale, calibration.plate)}) for plant in found
        )
        traits = measure_plate(plants, calibration.scale, reading.unassigned_px)
    answered = (*calibration.flags, *(flag for flag in landmarks.flags if flag not in calibration.flags))
    return Phenotype(
        image=image,
        scale=calibration.scale,
        plate=calibration.plate,
        plants=plants,
        traits=traits,
        flags=(*answered, *reading.flags, *implausible(segmentation, reading)),
        provenance=provenance,
        timings=timings,
    )


def implausible(segmentation: SegmentationAnswer, reading: PlateReading) -> tuple[Flag, ...]:
    """Return why the image does not look like a plate of seedlings: one flag a reason, none where it does."""
    reasons = []
    codes = {flag.code for flag in reading.flags}
    if "root_everywhere" in codes:
        reasons.append("most of what is seen would be root")
    shoot_share = float((segmentation.plane("shoot") > 127).mean())
    if shoot_share > _LARGEST_SHOOT_SHARE:
        reasons.append(f"{shoot_share:.0%} of the picture would be shoot")
    if len(reading.plants) > _MOST_PLANTS:
        reasons.append(f"{len(reading.plants)} plants would stand on it")
    confidences = [organ.confidence for plant in reading.plants for organ in plant.organs]
    if confidences and max(confidences) < _LEAST_CERTAINTY:
        reasons.append("the model is sure of no organ")
    flags = [Flag(code="not_a_plate", message=f"This does not look like a plate: {reason}") for reason in reasons]
    if not reading.plants and not reasons:
        message = "no plant was found: neither a shoot, nor a seed, nor a root base is seen"
        flags.append(Flag(code="no_plant", message=message))
    return tuple(flags)
