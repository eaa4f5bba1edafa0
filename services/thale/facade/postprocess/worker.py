"""The processor-bound end of a request, run in the processes of `worker_pool`: models' answers in, the client's format out.

Nothing here knows HTTP or waits. Imported by these processes alone, by way of `tasks`.
"""

import io
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thale.exports import overlay, rsml, table
from thale.facade.postprocess.types import CSV, JSON, NPZ, PNG, RSML, PhenotypeTask, RenderedResponse
from thale.facade.upstream.model_response import ModelResponse
from thale.imaging.image_io import decode
from thale.models.predictions import LandmarkPrediction, SegmentationPrediction, SegmentationSummary
from thale.monitoring.plate_statistics import plate_statistics
from thale.phenotyping.pipeline import build_phenotype
from thale.schemas import Phenotype, Provenance, Timings
from thale.telemetry.step_timing import step

_CLASS_COLOURS_RGB = ((0, 0, 0), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (240, 228, 66))
"""Okabe and Ito's palette, told apart by colour-blind readers as well; background is black."""


def render_phenotype(responses: Sequence[ModelResponse], task: PhenotypeTask) -> RenderedResponse:
    """Find the plants, measure them, and write the answer in the format asked for.

    Args:
        responses: Of the segmentation model and of the landmark model.
        task: Other inputs of the phenotype.

    Raises:
        InvalidModelResponseError: If a model's answer cannot be one.
    """
    started = time.monotonic()
    segmentation_response, landmarks_response = responses
    with step("read"):
        landmarks = landmarks_response.parse_landmarks()
        segmentation = segmentation_response.parse_segmentation()
    phenotype = build_untimed_phenotype(segmentation, landmarks, task)
    now = time.monotonic()
    timings = Timings(
        segment_s=segmentation_response.seconds,
        landmarks_s=landmarks_response.seconds,
        plants_s=now - started,
        total_s=now - task.started,
    )
    phenotype = phenotype.model_copy(update={"timings": timings})
    with step("export"):
        body = _FORMATS[task.media_type](phenotype, task)
    return RenderedResponse(
        body, task.media_type, plate_statistics(phenotype, landmarks.landmarks, landmarks_response.route.classes)
    )


def build_untimed_phenotype(
    segmentation: SegmentationPrediction, landmarks: LandmarkPrediction, task: PhenotypeTask
) -> Phenotype:
    """Return what is on the plate; the timings are left at nothing."""
    provenance = Provenance(
        models=(segmentation.meta.model, landmarks.model),
        config_digest=task.config_digest,
        package_version=task.package_version,
        created=task.created,
    )
    untimed = Timings(segment_s=0.0, landmarks_s=0.0, plants_s=0.0, total_s=0.0)
    return build_phenotype(
        task.metadata, segmentation, landmarks, provenance, untimed, expected_plants=task.expected_plants
    )


def _to_json(phenotype: Phenotype, _task: PhenotypeTask) -> bytes:
    return phenotype.model_dump_json().encode()


def _to_overlay_png(phenotype: Phenotype, task: PhenotypeTask) -> bytes:
    return overlay.draw(decode(task.image, task.page), phenotype)


def _to_rsml(phenotype: Phenotype, _task: PhenotypeTask) -> bytes:
    return rsml.write(phenotype)


def _to_csv(phenotype: Phenotype, task: PhenotypeTask) -> bytes:
    return (table.wide_csv([phenotype]) if task.wide else table.long_csv([phenotype])).encode()


_FORMATS: dict[str, Callable[[Phenotype, PhenotypeTask], bytes]] = {
    JSON: _to_json,
    PNG: _to_overlay_png,
    RSML: _to_rsml,
    CSV: _to_csv,
}


def render_segmentation(responses: Sequence[ModelResponse], media_type: str) -> RenderedResponse:
    """Return a segmentation as JSON (area by class), as probability maps (.npz), or as a PNG.

    The PNG has one palette index a class, in the model's frame.

    Raises:
        InvalidModelResponseError: If the model's answer cannot be one.
    """
    [response] = responses
    segmentation = response.parse_segmentation()
    if media_type == NPZ:
        return RenderedResponse(segmentation.to_bytes(), NPZ)
    classes_HW = _class_map(segmentation)
    if media_type == PNG:
        picture = Image.fromarray(classes_HW, mode="P")
        picture.putpalette([channel for colour in _CLASS_COLOURS_RGB for channel in colour])
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return RenderedResponse(buffer.getvalue(), PNG)
    meta = segmentation.meta
    counts = np.bincount(classes_HW.ravel(), minlength=len(meta.classes))
    area_px = {name: float(count) / meta.frame.factor**2 for name, count in zip(meta.classes, counts, strict=False)}
    mm2_per_px = meta.calibration.scale.mm_per_px**2
    summary = SegmentationSummary(
        **dict(meta), area_px=area_px, area_mm2={name: area * mm2_per_px for name, area in area_px.items()}
    )
    return RenderedResponse(summary.model_dump_json().encode(), JSON)


def _class_map(segmentation: SegmentationPrediction) -> NDArray[np.uint8]:
    """Return each frame pixel's likeliest class, 0 for background, uint8 HW."""
    planes = segmentation.probabilities_CHW
    background = 255 - np.minimum(planes.sum(axis=0, dtype=np.uint16), 255)
    likeliest = planes.argmax(axis=0)
    probability = np.take_along_axis(planes, likeliest[None], axis=0)[0]
    return np.where(probability > background, likeliest + 1, 0).astype(np.uint8)


def render_landmarks(responses: Sequence[ModelResponse]) -> RenderedResponse:
    """Return a landmarks answer as JSON.

    Raises:
        InvalidModelResponseError: If the model's answer cannot be one.
    """
    [response] = responses
    return RenderedResponse(response.parse_landmarks().model_dump_json().encode(), JSON)
