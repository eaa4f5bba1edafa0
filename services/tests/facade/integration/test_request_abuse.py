"""Abuse of headers, forms, JSON keys and idempotency keys: no 5xx, bounded memory, and the same response afterwards."""

import json
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from tests.support import sample_images
from tests.support.request_abuse import KINDS, abusive_requests
from tests.support.slow_clients import LandmarkService, landmark_service

pytestmark = pytest.mark.integration

COUNT = 40
SEED = 12
MAX_GROWTH_BYTES = 200 * 2**20
UNLIMITED = {"RATE_PER_S": "10000", "BURST": "1000000", "CONCURRENCY": "100", "DAILY_REQUESTS": "1000000"}
"""The limits of a caller would reject the requests before their content is read."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LandmarkService]:
    limits = {f"THALE_CALLER_{name}": value for name, value in UNLIMITED.items()}
    with landmark_service(tmp_path_factory.mktemp("facade"), **limits) as running:
        yield running


def send(service: LandmarkService, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", service.facade.port, timeout=120)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def measure(service: LandmarkService) -> object:
    status, body = send(service, "/v1/landmarks", sample_images.png(), {})
    assert status == 200, body
    return json.loads(body)["landmarks"]


def memory_bytes(service: LandmarkService) -> int:
    process = psutil.Process(service.facade.process.pid)
    return sum(member.memory_info().rss for member in (process, *process.children(recursive=True)))


@pytest.mark.parametrize("kind", KINDS)
def test_abuse_neither_breaks_nor_fills_the_facade(service: LandmarkService, kind: str) -> None:
    expected, before = measure(service), memory_bytes(service)
    statuses: Counter[int] = Counter()
    for request in abusive_requests(kind, COUNT, SEED):
        status, body = send(service, request.path, request.body, request.headers)
        assert status < 500, (status, request.headers, body)
        assert len(body) < 20_000
        statuses[status] += 1
    assert sum(statuses.values()) == COUNT
    assert memory_bytes(service) - before < MAX_GROWTH_BYTES
    assert measure(service) == expected


def test_many_idempotency_keys_are_bounded(service: LandmarkService) -> None:
    """Failed requests store nothing, and successful ones up to 4 MiB for each caller."""
    before = memory_bytes(service)
    for number in range(200):
        image = sample_images.png() if number % 4 == 0 else b"no image"
        status, _ = send(service, "/v1/landmarks", image, {"Idempotency-Key": f"key-{number}"})
        assert status == (200 if number % 4 == 0 else 415)
    assert memory_bytes(service) - before < MAX_GROWTH_BYTES


def test_key_of_another_request_is_rejected(service: LandmarkService) -> None:
    image, key = sample_images.png(), {"Idempotency-Key": "replayed"}
    first = send(service, "/v1/landmarks", image, key)
    assert first[0] == 200
    assert send(service, "/v1/landmarks", image, key) == first
    for path, body, headers in (
        ("/v1/landmarks", image + b"x", key),
        ("/v1/landmarks", b"", key),
        ("/v1/landmarks?page=0", image, key),
        ("/v1/landmarks", image, {**key, "Accept": "*/*"}),
    ):
        status, problem = send(service, path, body, headers)
        assert (status, json.loads(problem)["type"]) == (422, "/problems/idempotency-key-reused")
    assert send(service, "/v1/landmarks", image, key) == first


def test_abused_log_lines_are_complete(service: LandmarkService) -> None:
    """Each line of the log is one JSON document, so that no request can forge another's."""
    log = Path(service.facade.log)
    assert log.stat().st_size < 10 * 2**20
    assert all("level" in line for line in service.facade.log_lines())
