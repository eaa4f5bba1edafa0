"""How far a shadow's answer is from the stable version's, run in the process for comparisons."""

from dataclasses import replace

from thale.facade.postprocess.types import Comparison
from thale.facade.postprocess.worker import find
from thale.monitoring.comparison import Difference, dice, match, relative_differences
from thale.monitoring.plate_statistics import observe


def compare(pair: Comparison) -> Difference:
    """Return how far the shadow is from the stable version: in pixels, in landmarks, and in what users get, traits.

    Raises:
        ModelNonsenseError: If an answer cannot be one.
    """
    if pair.shadow.choice.task == "segmentation":
        segmentation, landmarks = pair.shadow.segmentation(), pair.companion.landmarks()
        kinds = pair.companion.choice.classes
        said = Difference(dice=dice(pair.stable.segmentation(), segmentation))
    else:
        segmentation, landmarks = pair.companion.segmentation(), pair.shadow.landmarks()
        kinds = pair.shadow.choice.classes
        scale, stable = segmentation.meta.calibration.scale, pair.stable.landmarks()
        distances_px, f1 = match(stable.landmarks, landmarks.landmarks, scale)
        said = Difference(landmark_px=distances_px, landmark_f1=f1)
    seen = observe(find(segmentation, landmarks, pair.work), landmarks.landmarks, kinds)
    return replace(said, traits=relative_differences(pair.seen, seen))
















