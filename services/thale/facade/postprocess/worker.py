"""The processor-bound end of a request, run in the processes of `pool`: models' answers in, the client's format out.

Nothing here knows HTTP or waits. Imported by these processes alone, by way of `jobs`.
"""

import io
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thale.exports import overlay, rsml, table
from thale.facade.postprocess.types import CSV, JSON, NPZ, PNG, RSML, Measurement, Rendered
from thale.facade.upstream.model_response import Answer
from thale.imaging.image_io import decode
from thale.models.predictions import LandmarksAnswer, SegmentationAnswer, SegmentationSummary
from thale.monitoring.plate_statistics import observe
from thale.phenotyping.pipeline import phenotype
from thale.schemas import Phenotype, Provenance, Timings
from thale.telemetry.step_timing import step

_CLASS_COLOURS_RGB = ((0, 0, 0), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (240, 228, 66))
"""Okabe and Ito's palette, told apart by colour-blind readers as well; background is black."""


def measure(answers: Sequence[Answer], work: Measurement) -> Rendered:
    """Find the plants, measure them, and write the answer in the format asked for.

    Args:
        answers: The segmentation model's and the landmark model's.
        work: What else is known.

    Raises:
        ModelNonsenseError: If a model's answer cannot be one.
    """
    began = time.monotonic()
    segmented, marked = answers
    with step("read"):
        landmarks = marked.landmarks()
        segmentation = segmented.segmentation()
    found = find(segmentation, landmarks, work)
    now = time.monotonic()
    timings = Timings(
        segment_s=segmented.seconds,
        landmarks_s=marked.seconds,
        plants_s=now - began,
        total_s=now - work.started,
    )
    found = found.model_copy(update={"timings": timings})
    with step("export"):
        body = _FORMATS[work.media_type](found, work)
    return Rendered(body, work.media_type, observe(found, landmarks.landmarks, marked.choice.classes))


def find(segmentation: SegmentationAnswer, landmarks: LandmarksAnswer, work: Measurement) -> Phenotype:
    """Return what is on the plate; the timings are left at nothing."""
    provenance = Provenance(
        models=(segmentation.meta.model, landmarks.model),
        config_digest=work.config_digest,
        package_version=work.package_version,
        created=work.created,
    )
    untimed = Timings(segment_s=0.0, landmarks_s=0.0, plants_s=0.0, total_s=0.0)
    return phenotype(work.facts, segmentation, landmarks, provenance, untimed, expected=work.expected_plants)


def _json(found: Phenotype, _work: Measurement) -> bytes:
    return found.model_dump_json().encode()


def _overlay(found: Phenotype, work: Measurement) -> bytes:
    return overlay.draw(decode(work.image, work.page), found)


def _rsml(found: Phenotype, _work: Measurement) -> bytes:
    return rsml.write(found)


def _csv(found: Phenotype, work: Measurement) -> bytes:
    return (table.wide_csv([found]) if work.wide else table.long_csv([found])).encode()


_FORMATS: dict[str, Callable[[Phenotype, Measurement], bytes]] = {JSON: _json, PNG: _overlay, RSML: _rsml, CSV: _csv}


def render_segmentation(answers: Sequence[Answer], media_type: str) -> Rendered:
    """Return a segmentation as JSON (area by class), as probability maps (.npz), or as a PNG.

    The PNG has one palette index a class, in the model's frame.

    Raises:
        ModelNonsenseError: If the model's answer cannot be one.
    """
    [answer] = answers
    segmentation = answer.segmentation()
    if media_type == NPZ:
        return Rendered(segmentation.to_bytes(), NPZ)
    classes_HW = _class_map(segmentation)
    if media_type == PNG:
        picture = Image.fromarray(classes_HW, mode="P")
        picture.putpalette([channel for colour in _CLASS_COLOURS_RGB for channel in colour])
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return Rendered(buffer.getvalue(), PNG)
    meta = segmentation.meta
    counts = np.bincount(classes_HW.ravel(), minlength=len(meta.classes))
    area_px = {name: float(count) / meta.frame.factor**2 for name, count in zip(meta.classes, counts, strict=False)}
    mm2_per_px = meta.calibration.scale.mm_per_px**2
    summary = SegmentationSummary(
        **dict(meta), area_px=area_px, area_mm2={name: area * mm2_per_px for name, area in area_px.items()}
    )
    return Rendered(summary.model_dump_json().encode(), JSON)


def _class_map(segmentation: SegmentationAnswer) -> NDArray[np.uint8]:
    """Return each frame pixel's likeliest class, 0 for background, uint8 HW."""
    planes = segmentation.probabilities_CHW
    background = 255 - np.minimum(planes.sum(axis=0, dtype=np.uint16), 255)
    likeliest = planes.argmax(axis=0)
    chosen = np.take_along_axis(planes, likeliest[None], axis=0)[0]
    return np.where(chosen > background, likeliest + 1, 0).astype(np.uint8)


def render_landmarks(answers: Sequence[Answer]) -> Rendered:
    """Return a landmarks answer as JSON.

    Raises:
        ModelNonsenseError: If the model's answer cannot be one.
    """
    [answer] = answers
    return Rendered(answer.landmarks().model_dump_json().encode(), JSON)
