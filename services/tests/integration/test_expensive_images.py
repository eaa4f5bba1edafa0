"""Legal images that are expensive to decode, sent to a real platform with the default models.

A JPEG of 100 megapixels with 99 scans took each model worker for 14 CPU seconds, so that a good request sent meanwhile
timed out.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.default_models import WEIGHTS
from tests.support.local_platform import PlatformProcess, run_platform
from tests.support.progressive_jpegs import progressive_jpeg
from thale.imaging.jpeg_scans import MAX_SCAN_PIXELS
from thale.release.registry.golden.plates import golden_plates

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

EDGE_PX = 10_000
MM_PER_PX = 0.0125
"""A plate of 125 mm. At training scale the image has 4 megapixels, so that its cost is the decoding."""
TIMEOUT_S = 180.0


@dataclass(frozen=True)
class TimedResponse:
    status: int
    problem: str
    plants: int


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with run_platform(tmp_path_factory.mktemp("home"), WEIGHTS) as running:
        yield running


@pytest.fixture
def url(platform: PlatformProcess) -> str:
    return platform.url


def connect(url: str) -> HTTPConnection:
    address = urlsplit(url)
    return HTTPConnection(str(address.hostname), address.port or 80, timeout=TIMEOUT_S)


def send(url: str, image: bytes, mm_per_px: float, media_type: str = "application/json") -> TimedResponse:
    connection = connect(url)
    try:
        connection.request("POST", f"/v1/phenotype?mm_per_px={mm_per_px}", image, {"Accept": media_type})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    body = json.loads(content) if "json" in (response.getheader("Content-Type") or "") else {}
    return TimedResponse(response.status, str(body.get("type", "")).rsplit("/", 1)[-1], len(body.get("plants", ())))


def measure_during(url: str, expensive: bytes, count: int) -> tuple[TimedResponse, list[TimedResponse]]:
    """Send expensive images, and a golden plate at the same time. Returns the reply to the plate, and the others."""
    plate = golden_plates()[0]
    with ThreadPoolExecutor(count + 1) as pool:
        others = [pool.submit(send, url, expensive, MM_PER_PX) for _ in range(count)]
        good = pool.submit(send, url, plate.image, plate.mm_per_px)
        return good.result(), [other.result() for other in others]


def test_jpegs_of_99_scans_delay_no_good_request(url: str) -> None:
    expensive = progressive_jpeg(EDGE_PX, EDGE_PX, 99)
    good, others = measure_during(url, expensive, 4)
    assert good.status == 200
    assert good.plants > 0
    assert {(other.status, other.problem) for other in others} == {(413, "image-too-large")}


def test_costliest_accepted_jpeg_delays_no_good_request(url: str) -> None:
    """An image with the maximum number of scans holds several slots, and the other request waits for one."""
    scans = MAX_SCAN_PIXELS // EDGE_PX**2
    good, [other] = measure_during(url, progressive_jpeg(EDGE_PX, EDGE_PX, scans), 1)
    assert good.status == 200
    assert good.plants > 0
    assert other.status == 200, other
    assert send(url, progressive_jpeg(EDGE_PX, EDGE_PX, scans + 1), MM_PER_PX).problem == "image-too-large"


def test_abandoned_expensive_image_delays_no_request(url: str) -> None:
    """A decode that runs in a model worker cannot be stopped, and ends after the few seconds of the costliest image."""
    abandoned = connect(url)
    image = progressive_jpeg(EDGE_PX, EDGE_PX, MAX_SCAN_PIXELS // EDGE_PX**2)
    abandoned.request("POST", f"/v1/phenotype?mm_per_px={MM_PER_PX}", image)
    abandoned.close()
    plate = golden_plates()[0]
    assert send(url, plate.image, plate.mm_per_px).status == 200
