"""CPU-bound post-processing: model responses in, the client's format out.

It runs in the processes of `worker_pool` and does no I/O. Only these processes import it, through `tasks`.
"""

import io
import time
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from thale.exports import overlay, plantcv, rsml, table
from thale.facade.postprocess.types import CSV, JSON, NPZ, PLANTCV, PNG, RSML, PhenotypeTask, RenderedResponse
from thale.facade.upstream.model_response import ModelResponse
from thale.imaging.image_io import decode_reduced
from thale.models.predictions import SegmentationSummary
from thale.monitoring.plate_statistics import plate_statistics
from thale.phenotyping.photograph import measure_plate, merge_photograph
from thale.schemas import Phenotype, Timings
from thale.telemetry.step_timing import step

_CLASS_COLOURS_RGB = ((0, 0, 0), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (240, 228, 66))
"""Okabe and Ito's palette, which colour-blind readers can distinguish. The background is black."""


def render_phenotype(responses: Sequence[ModelResponse], task: PhenotypeTask) -> RenderedResponse:
    """Detect and measure the plants, and render the phenotype in the requested format.

    Args:
        responses: Responses of the segmentation model and of the landmark model, for one plate after the other.
        task: Other inputs of the phenotype.

    Raises:
        InvalidModelResponseError: If a model response is invalid.
        DoubtfulImageError: If the gate doubts the image, and the task is strict.
    """
    started = time.monotonic()
    phenotypes, landmarks_by_plate = [], []
    for segmentation_response, landmarks_response in zip(responses[::2], responses[1::2], strict=True):
        with step("read"):
            landmarks = landmarks_response.parse_landmarks()
            segmentation = segmentation_response.parse_segmentation()
        weights = (segmentation_response.route.weights_digest, landmarks_response.route.weights_digest)
        phenotypes.append(measure_plate(segmentation, landmarks, weights, task))
        landmarks_by_plate.append(landmarks.landmarks)
    phenotype = merge_photograph(phenotypes, task.rotate, strict=task.strict)
    now = time.monotonic()
    timings = Timings(
        segment_s=sum(response.seconds for response in responses[::2]),
        landmarks_s=sum(response.seconds for response in responses[1::2]),
        plants_s=now - started,
        total_s=now - task.started,
    )
    phenotype = phenotype.model_copy(update={"timings": timings})
    with step("export"):
        body = _FORMATS[task.media_type](phenotype, task)
    sampled = _sample_plate(task, len(phenotypes))
    statistics = plate_statistics(phenotypes[sampled], landmarks_by_plate[sampled], responses[1].route.classes)
    return RenderedResponse(body, task.media_type, statistics, sampled)


def _sample_plate(task: PhenotypeTask, plates: int) -> int:
    """Return the index of one plate of the image, each with equal probability, by the digest of the image.

    The plates of one image are not independent samples, and each costs a shadow request of its own.
    """
    return int(task.metadata.sha256.removeprefix("sha256:")[:8], 16) % plates


def _to_json(phenotype: Phenotype, _task: PhenotypeTask) -> bytes:
    return phenotype.model_dump_json().encode()


def _to_overlay_png(phenotype: Phenotype, task: PhenotypeTask) -> bytes:
    return overlay.draw(decode_reduced(task.image, task.page, overlay.MIN_SOURCE_PX), phenotype)


def _to_rsml(phenotype: Phenotype, _task: PhenotypeTask) -> bytes:
    return rsml.write(phenotype)


def _to_csv(phenotype: Phenotype, task: PhenotypeTask) -> bytes:
    return (table.wide_csv([phenotype]) if task.wide else table.long_csv([phenotype])).encode()


def _to_plantcv(phenotype: Phenotype, _task: PhenotypeTask) -> bytes:
    return plantcv.write([phenotype])


_FORMATS: dict[str, Callable[[Phenotype, PhenotypeTask], bytes]] = {
    JSON: _to_json,
    PNG: _to_overlay_png,
    RSML: _to_rsml,
    CSV: _to_csv,
    PLANTCV: _to_plantcv,
}


def render_segmentation(responses: Sequence[ModelResponse], media_type: str) -> RenderedResponse:
    """Return a segmentation as JSON (area by class), as probability maps (.npz), or as a PNG.

    The PNG has one palette index per class, in the model's frame.

    Raises:
        InvalidModelResponseError: If the model response is invalid.
    """
    [response] = responses
    segmentation = response.parse_segmentation()
    if media_type == NPZ:
        return RenderedResponse(segmentation.to_bytes(), NPZ)
    classes_HW = segmentation.class_map()
    if media_type == PNG:
        class_image = Image.fromarray(classes_HW, mode="P")
        class_image.putpalette([channel for colour in _CLASS_COLOURS_RGB for channel in colour])
        buffer = io.BytesIO()
        class_image.save(buffer, "PNG")
        return RenderedResponse(buffer.getvalue(), PNG)
    meta = segmentation.meta
    counts = np.bincount(classes_HW.ravel(), minlength=len(meta.classes))
    area_px = {name: float(count) / meta.frame.factor**2 for name, count in zip(meta.classes, counts, strict=False)}
    mm2_per_px = meta.calibration.scale.mm_per_px**2
    summary = SegmentationSummary(
        **dict(meta), area_px=area_px, area_mm2={name: area * mm2_per_px for name, area in area_px.items()}
    )
    return RenderedResponse(summary.model_dump_json().encode(), JSON)


def render_landmarks(responses: Sequence[ModelResponse]) -> RenderedResponse:
    """Return the landmarks as JSON.

    Raises:
        InvalidModelResponseError: If the model response is invalid.
    """
    [response] = responses
    return RenderedResponse(response.parse_landmarks().model_dump_json().encode(), JSON)
