"""What is asked of the measuring processes, and what they answer: bytes and frozen records.

The work itself is done in `measuring`. It is imported within the functions, which run in those processes, so that the
server starts a second sooner without SciPy and scikit-image.
"""

from collections.abc import Sequence

from thale.facade.postprocess.types import Comparison, Measurement, Rendered
from thale.facade.upstream.model_response import Answer
from thale.monitoring.comparison import Difference


def measure(answers: Sequence[Answer], work: Measurement) -> Rendered:
    """Run `measuring.measure`."""
    from thale.facade.postprocess import worker

    return worker.measure(answers, work)




def compare(pair: Comparison) -> Difference:
    """Run `comparing.compare`."""
    from thale.facade.postprocess import shadow_comparison

    return shadow_comparison.compare(pair)


def render_segmentation(answers: Sequence[Answer], media_type: str) -> Rendered:
    """Run `measuring.render_segmentation`."""
    from thale.facade.postprocess import worker

    return worker.render_segmentation(answers, media_type)


def render_landmarks(answers: Sequence[Answer]) -> Rendered:
    """Run `measuring.render_landmarks`."""
    from thale.facade.postprocess import worker

    return worker.render_landmarks(answers)
