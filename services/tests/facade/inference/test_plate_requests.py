"""Model requests for several plates of one image, and the response that they give."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.sample_phenotypes import PLATE, image_metadata
from thale.errors import DoubtfulImageError
from thale.facade.deadline import Deadline
from thale.facade.inference.plate_requests import predict_plates
from thale.facade.inference.shadow import build_shadow_requests
from thale.facade.postprocess.types import JSON, PhenotypeTask
from thale.facade.postprocess.worker import render_phenotype
from thale.facade.upstream.model_client import PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.imaging.geometry import Frame
from thale.models.predictions import LandmarkPrediction, SegmentationMeta, SegmentationPrediction
from thale.schemas import Calibration, Flag, ModelRef, Phenotype, Plate, Point, Scale

CLASSES = {"plate-seg": ("background", "root", "shoot", "seed"), "plate-landmarks": ("root_base", "primary_tip")}
SEGMENTATION, LANDMARKS = (
    Route(name, "1.0.0", "segmentation" if name == "plate-seg" else "landmarks", "sha256:a", "sha256:w", classes)
    for name, classes in CLASSES.items()
)
RIGHT = Plate(corners=tuple(Point(x=c.x + 400, y=c.y) for c in PLATE.corners), tilt_deg=0, confidence=1)  # type: ignore[arg-type]
REQUEST = PredictRequest(b"image", 800, 300)


def calibration(number: int, count: int, flags: tuple[Flag, ...] = ()) -> Calibration:
    plates = (PLATE, RIGHT)[:count]
    scale = Scale(mm_per_px=0.06 + 0.001 * number, source="assumed", plate_width_mm=120)
    return Calibration(scale=scale, plate=plates[number - 1] if plates else None, plates=plates, flags=flags)


class PlateModels:
    """Models that process the plate of a request. `numbers` are the requested plates, in order."""

    def __init__(self, count: int, flags: tuple[Flag, ...] = ()) -> None:
        self.count, self.flags = count, flags
        self.numbers: list[int | None] = []

    async def predict(self, route: Route, request: PredictRequest, _deadline: Deadline) -> ModelResponse:
        self.numbers.append(request.plate_number)
        model = ModelRef(name=route.name, version=route.version, digest="sha256:w")
        calibrated = calibration(request.plate_number or 1, self.count, self.flags)
        if route.task == "landmarks":
            data = LandmarkPrediction(model=model, landmarks=(), calibration=calibrated).model_dump_json().encode()
        else:
            frame = Frame(x0=0, y0=0, source_width=800, source_height=300, width=80, height=30)
            meta = SegmentationMeta(model=model, classes=route.classes, frame=frame, calibration=calibrated)
            data = SegmentationPrediction(meta, np.zeros((3, 30, 80), np.uint8)).to_bytes()
        return ModelResponse(route, data, 0.1, request.width, request.height)


def make_task(**options: Any) -> PhenotypeTask:
    image = image_metadata(width=800)
    return PhenotypeTask(image, "sha256:c", "1.0", "2026-11-21", None, JSON, True, b"", None, 0.0, **options)


def measure(models: PlateModels, **options: Any) -> tuple[Phenotype, list[PredictRequest]]:
    responses, requests = asyncio.run(predict_plates(models, [SEGMENTATION, LANDMARKS], REQUEST, Deadline.after(10)))
    return Phenotype.model_validate_json(render_phenotype(responses, make_task(**options)).body), requests


def test_one_plate_needs_one_request_for_each_model() -> None:
    models = PlateModels(1)
    phenotype, requests = measure(models)
    assert (models.numbers, requests) == ([None, None], [REQUEST, REQUEST])
    assert (phenotype.plate, [plate.id for plate in phenotype.plates]) == (PLATE, [1])


def test_each_of_two_plates_is_measured_at_its_own_scale() -> None:
    models = PlateModels(2)
    phenotype, requests = measure(models)
    assert models.numbers == [None, None, 2, 2]
    assert [request.plate_number for request in requests] == [None, None, 2, 2]
    assert [(plate.id, plate.plate) for plate in phenotype.plates] == [(1, PLATE), (2, RIGHT)]
    assert [plate.scale.mm_per_px for plate in phenotype.plates] == pytest.approx([0.061, 0.062])
    assert (phenotype.plate, phenotype.scale.source) == (None, "per_plate")


def test_number_of_plates_is_reported_before_the_second_plate() -> None:
    models = PlateModels(2)
    reports = []

    def report(plates: int) -> None:
        reports.append((plates, len(models.numbers)))

    asyncio.run(predict_plates(models, [SEGMENTATION, LANDMARKS], REQUEST, Deadline.after(10), report))
    assert reports == [(2, 2)]


def test_response_of_an_older_model_server_has_one_plate() -> None:
    models = PlateModels(0)
    phenotype, _ = measure(models)
    assert (len(models.numbers), phenotype.plates) == (2, ())


def test_strict_refuses_an_image_with_the_reason_of_the_gate() -> None:
    flags = (Flag(code="no_plate", message="no square plate found"),)
    assert measure(PlateModels(0, flags))[0].flags[0] == flags[0]
    with pytest.raises(DoubtfulImageError, match="no square plate found"):
        measure(PlateModels(0, flags), strict=True)


def test_strict_accepts_an_image_without_doubts() -> None:
    assert measure(PlateModels(1), strict=True)[0].plate == PLATE


def test_phenotype_states_the_turn_of_its_image() -> None:
    assert measure(PlateModels(1), rotate=180)[0].rotate == 180


@pytest.mark.slow
def test_shadows_measure_a_random_plate_of_each_image() -> None:
    """The first plate alone would hide a version that fails on the right half of an image."""
    routes = [replace(route, shadow=replace(route, version="1.1.0")) for route in (SEGMENTATION, LANDMARKS)]
    responses, requests = asyncio.run(predict_plates(PlateModels(2), routes, REQUEST, Deadline.after(10)))
    plates = []
    for number in range(64):
        image = hashlib.sha256(bytes([number])).hexdigest()
        task = make_task()
        task = replace(task, metadata=task.metadata.model_copy(update={"sha256": f"sha256:{image}"}))
        shadow_requests = build_shadow_requests(render_phenotype(responses, task), responses, requests, task)
        assert [each.shadow.name for each in shadow_requests] == ["plate-seg", "plate-landmarks"]
        assert {each.request.plate_number for each in shadow_requests} == {shadow_requests[0].request.plate_number}
        scales = {json.loads(each.other_task.data)["calibration"]["scale"]["mm_per_px"] for each in shadow_requests[:1]}
        plates.append((shadow_requests[0].request.plate_number, *scales))
    assert {*plates} == {(None, 0.061), (2, 0.062)}
    assert 20 <= sum(number == 2 for number, _ in plates) <= 44
