"""Tasks of the post-processing workers. Their arguments and results are bytes and frozen dataclasses.

`worker` contains the implementation. The functions here import it in the worker process. The server therefore starts
one second earlier, without SciPy and scikit-image (ADR 0010).
"""

from collections.abc import Sequence

from thale.facade.postprocess.types import PhenotypeTask, RenderedResponse, SeriesRows, ShadowPair
from thale.facade.upstream.model_response import ModelResponse
from thale.monitoring.shadow_difference import ShadowDifference


def render_phenotype(responses: Sequence[ModelResponse], task: PhenotypeTask) -> RenderedResponse:
    """Run `worker.render_phenotype`."""
    from thale.facade.postprocess import worker

    return worker.render_phenotype(responses, task)


def compare_shadow(pair: ShadowPair) -> ShadowDifference:
    """Run `shadow_comparison.compare_shadow`."""
    from thale.facade.postprocess import shadow_comparison

    return shadow_comparison.compare_shadow(pair)


def render_segmentation(responses: Sequence[ModelResponse], media_type: str) -> RenderedResponse:
    """Run `worker.render_segmentation`."""
    from thale.facade.postprocess import worker

    return worker.render_segmentation(responses, media_type)


def render_landmarks(responses: Sequence[ModelResponse]) -> RenderedResponse:
    """Run `worker.render_landmarks`."""
    from thale.facade.postprocess import worker

    return worker.render_landmarks(responses)


def follow_series(body: bytes, media_type: str, rows: SeriesRows) -> bytes:
    """Run `series.follow_series`."""
    from thale.facade.postprocess import series

    return series.follow_series(body, media_type, rows)


def correct_traits(body: bytes, media_type: str, wide: bool) -> bytes:
    """Run `corrections.correct_traits`."""
    from thale.facade.postprocess import corrections

    return corrections.correct_traits(body, media_type, wide=wide)
