"""Slow and excessive uploads to a facade process, over real sockets: other clients are served at once."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import sample_images
from tests.support.slow_clients import (
    PATH,
    LandmarkService,
    landmark_service,
    problem_code,
    read_response,
    request_head,
    slow_uploads,
)

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]

IMAGE = sample_images.png()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LandmarkService]:
    with landmark_service(tmp_path_factory.mktemp("facade"), THALE_MAX_UPLOADS="40") as running:
        yield running


def connect(service: LandmarkService) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.facade.port), timeout=60)


@pytest.mark.parametrize("count", [24, 100], ids=["below the limit", "above the limit"])
def test_slow_uploads_delay_no_other_client(service: LandmarkService, count: int) -> None:
    with slow_uploads(service.facade.port, count, IMAGE):
        for _ in range(3):
            status, seconds = service.post(IMAGE)
            assert status == 200
            assert seconds < 5


def test_trickling_client_receives_408(service: LandmarkService) -> None:
    with connect(service) as connection:
        connection.sendall(request_head(len(IMAGE)) + IMAGE[:100])
        started = time.monotonic()
        status, _, body = read_response(connection)
        assert (status, problem_code(body)) == (408, "upload-timeout")
        assert time.monotonic() - started < 30


def test_declared_excess_is_rejected_before_the_body(service: LandmarkService) -> None:
    with connect(service) as connection:
        connection.sendall(request_head(10**12))
        status, _, body = read_response(connection)
        assert (status, problem_code(body)) == (413, "image-too-large")


def test_length_of_thousands_of_digits_is_rejected(service: LandmarkService) -> None:
    with connect(service) as connection:
        head = request_head(0).replace(b"Content-Length: 0", b"Content-Length: " + b"9" * 5000)
        connection.sendall(head)
        assert read_response(connection)[0] in (400, 413)


def test_sending_client_reads_the_rejection(service: LandmarkService) -> None:
    """A client that sends its whole body before it reads receives the 413, not a reset connection."""
    with connect(service) as connection:
        connection.sendall(request_head(70 * 2**20))
        chunk = bytes(2**16)
        for _ in range(10 * 2**20 // len(chunk)):
            connection.sendall(chunk)
        status, _, body = read_response(connection)
        assert (status, problem_code(body)) == (413, "image-too-large")


def test_overload_is_reported_before_the_body(tmp_path: Path) -> None:
    released = threading.Event()
    with (
        landmark_service(
            tmp_path, lambda _: released.wait(60), THALE_MAX_IN_FLIGHT="1", THALE_MAX_QUEUE_LENGTH="0"
        ) as service,
        connect(service) as working,
        connect(service) as rejected,
    ):
        working.sendall(request_head(len(IMAGE)) + IMAGE)
        while not service.models.paths:
            time.sleep(0.02)
        rejected.sendall(request_head(len(IMAGE)))
        status, headers, body = read_response(rejected)
        assert (status, problem_code(body)) == (503, "overloaded")
        assert int(headers["retry-after"]) > 0
        rejected.sendall(IMAGE)
        released.set()
        assert read_response(working)[0] == 200
        rejected.sendall(request_head(len(IMAGE)) + IMAGE)
        assert read_response(rejected)[0] == 200, f"POST {PATH} on the connection of a rejected request"


def test_impossible_scale_is_rejected_before_the_body(service: LandmarkService) -> None:
    with connect(service) as connection:
        connection.sendall(request_head(len(IMAGE), f"{PATH}?mm_per_px=20"))
        status, _, body = read_response(connection)
        assert (status, problem_code(body)) == (422, "scale")


def progressive_jpeg(scans: int) -> bytes:
    """Return the segments of a JPEG of 100 megapixels, without entropy-coded data."""
    frame = b"\xff\xc2" + (11).to_bytes(2, "big") + b"\x08" + (10_000).to_bytes(2, "big") * 2 + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + frame + b"\xff\xda\0\x08\x01\x01\0\0\0\0" * scans + b"\xff\xd9"


def test_jpeg_of_many_scans_is_rejected_without_the_model(service: LandmarkService) -> None:
    requests_before = len(service.models.paths)
    jpeg = progressive_jpeg(99)
    with connect(service) as connection:
        connection.sendall(request_head(len(jpeg)) + jpeg)
        status, _, body = read_response(connection)
    assert (status, problem_code(body)) == (413, "image-too-large")
    assert b"baseline" in body
    assert len(service.models.paths) == requests_before


def test_jpegs_of_many_scans_delay_no_other_client(service: LandmarkService) -> None:
    """Each one took a worker for 60 s, beyond the deadline of a good request sent at the same time."""
    jpeg = progressive_jpeg(99)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(service)) for _ in range(8)]
        for connection in connections:
            connection.sendall(request_head(len(jpeg)) + jpeg)
        assert service.post(IMAGE)[0] == 200
        assert [read_response(connection)[0] for connection in connections] == [413] * 8
