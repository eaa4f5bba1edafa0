"""Worker task that compares a shadow's response with stable's."""

from dataclasses import replace

from thale.facade.postprocess.types import ShadowPair
from thale.monitoring.comparison import dice, match_landmarks, relative_differences
from thale.monitoring.plate_statistics import plate_statistics
from thale.monitoring.shadow_difference import ShadowDifference
from thale.phenotyping.photograph import build_untimed_phenotype


def compare_shadow(pair: ShadowPair) -> ShadowDifference:
    """Return the differences between stable and shadow on one image: in pixels or landmarks, and in traits.

    Raises:
        InvalidModelResponseError: If a model response is invalid.
    """
    if pair.shadow.route.task == "segmentation":
        segmentation, landmarks = pair.shadow.parse_segmentation(), pair.other_task.parse_landmarks()
        kinds = pair.other_task.route.classes
        difference = ShadowDifference(dice=dice(pair.stable.parse_segmentation(), segmentation))
    else:
        segmentation, landmarks = pair.other_task.parse_segmentation(), pair.shadow.parse_landmarks()
        kinds = pair.shadow.route.classes
        scale, stable_landmarks = segmentation.meta.calibration.scale, pair.stable.parse_landmarks()
        distances_px, f1 = match_landmarks(stable_landmarks.landmarks, landmarks.landmarks, scale)
        difference = ShadowDifference(landmark_px=distances_px, landmark_f1=f1)
    statistics = plate_statistics(
        build_untimed_phenotype(segmentation, landmarks, pair.task), landmarks.landmarks, kinds
    )
    return replace(difference, traits=relative_differences(pair.statistics, statistics))
