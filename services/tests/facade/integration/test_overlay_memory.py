"""Memory of a whole facade that draws two of the largest overlays at once, compared with the limit of its pod."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.facade_process import FacadeProcess, facade_process
from tests.support.fake_model_server import FakeModelServer, run_fake_model_server
from tests.support.golden_predictions import LANDMARKER, SEGMENTER, encode_response, model_ref
from tests.support.large_images import EDGE_PX, large_image
from thale.imaging.geometry import Frame
from thale.models.predictions import LandmarkPrediction, SegmentationMeta, SegmentationPrediction
from thale.schemas import Calibration, Release, ReleaseState, Scale, VersionManifest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MM_PER_PX = 0.0125
PREDICTION_PX = 2000
MANIFEST = Path(__file__).parents[4] / "kubernetes" / "base" / "facade.yaml"


def empty_predictions() -> dict[str, tuple[int, str, bytes]]:
    """Return the responses of both models for a plate without plants."""
    calibration = Calibration(scale=Scale(mm_per_px=MM_PER_PX, source="given"))
    frame = Frame(x0=0, y0=0, source_width=EDGE_PX, source_height=EDGE_PX, width=PREDICTION_PX, height=PREDICTION_PX)
    meta = SegmentationMeta(model=model_ref(SEGMENTER), classes=SEGMENTER.classes, frame=frame, calibration=calibration)
    planes = np.zeros((len(SEGMENTER.classes) - 1, PREDICTION_PX, PREDICTION_PX), np.uint8)
    landmarks = LandmarkPrediction(model=model_ref(LANDMARKER), landmarks=(), calibration=calibration)
    return {
        SEGMENTER.name: encode_response(SegmentationPrediction(meta, planes)),
        LANDMARKER.name: encode_response(landmarks),
    }


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FacadeProcess]:
    folder = tmp_path_factory.mktemp("facade")
    state = ReleaseState(
        models={
            card.name: Release(
                task=card.task,
                stable=card.version,
                versions={card.version: VersionManifest(digest=f"sha256:{card.weights_sha256}", card=card)},
            )
            for card in (SEGMENTER, LANDMARKER)
        }
    )
    (folder / "release-state.json").write_text(state.model_dump_json())
    predictions = empty_predictions()

    def respond(number: int) -> tuple[int, str, bytes]:
        return next(response for name, response in predictions.items() if name in models.paths[number])

    models: FakeModelServer
    with (
        run_fake_model_server(respond) as models,
        facade_process(
            folder / "facade.log",
            THALE_RELEASE_STATE_PATH=str(folder / "release-state.json"),
            THALE_MODEL_URL=models.url,
            THALE_MANAGEMENT_URL=models.url,
        ) as running,
    ):
        yield running


def peak_memory_bytes(facade: FacadeProcess) -> list[int]:
    """Return the peak of the resident memory of each process of a facade. Shared pages count in each of them."""
    root = psutil.Process(facade.process.pid)
    statuses = [Path(f"/proc/{member.pid}/status").read_text() for member in (root, *root.children(recursive=True))]
    return [int(found[1]) * 1024 for status in statuses if (found := re.search(r"VmHWM:\s+(\d+) kB", status))]


def test_pod_memory_holds_two_of_the_largest_overlays(facade: FacadeProcess) -> None:
    image = large_image("turned TIFF")
    path = f"/v1/phenotype?mm_per_px={MM_PER_PX}"
    with ThreadPoolExecutor(2) as threads:
        replies = [threads.submit(facade.request, "POST", path, image, {"Accept": "image/png"}) for _ in range(2)]
        assert [reply.result().status for reply in replies] == [200, 200], replies[0].result().body[:300]
    peaks = peak_memory_bytes(facade)
    found = re.search(r"limits: \{.*memory: (\d+)Gi", MANIFEST.read_text())
    assert found is not None
    assert max(peaks) > 3 * EDGE_PX**2, "no worker decoded the image"
    assert sum(peaks) < int(found[1]) * 2**30, peaks
