"""The end of a facade process: requests in flight are completed, and later ones get 503 with Retry-After."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import sample_images
from tests.support.slow_clients import PATH, LandmarkService, landmark_service, read_response, request_head
from thale.facade.settings import FacadeSettings

pytestmark = pytest.mark.integration

IMAGE = sample_images.png()
TIMEOUT_S = 60.0


class SlowModel:
    """Model that responds to a request of a client only after `release`. It responds to probes at once."""

    def __init__(self) -> None:
        self.is_slow = threading.Event()
        self.released = threading.Event()
        self.waiting = threading.Semaphore(0)

    def __call__(self, _number: int) -> None:
        if self.is_slow.is_set():
            self.waiting.release()
            self.released.wait(TIMEOUT_S)

    def wait_for_requests(self, count: int) -> None:
        for _ in range(count):
            assert self.waiting.acquire(timeout=TIMEOUT_S)


@pytest.fixture
def model() -> Iterator[SlowModel]:
    slow = SlowModel()
    yield slow
    slow.released.set()


def send(service: LandmarkService) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", service.facade.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request_head(len(IMAGE)) + IMAGE)
        return read_response(connection)


def test_request_in_flight_completes_after_sigterm(tmp_path: Path, model: SlowModel) -> None:
    with landmark_service(tmp_path, model) as service, ThreadPoolExecutor(2) as pool:
        model.is_slow.set()
        responses = [pool.submit(send, service) for _ in range(2)]
        model.wait_for_requests(2)
        service.facade.process.terminate()
        wait_until_refused(service)
        model.released.set()
        assert [response.result(TIMEOUT_S)[0] for response in responses] == [200, 200]
        assert service.facade.process.wait(TIMEOUT_S) == 0


def test_request_beyond_drain_timeout_receives_503(tmp_path: Path, model: SlowModel) -> None:
    with landmark_service(tmp_path, model, THALE_DRAIN_TIMEOUT_S="1") as service, ThreadPoolExecutor(2) as pool:
        model.is_slow.set()
        responses = [pool.submit(send, service) for _ in range(2)]
        model.wait_for_requests(2)
        service.facade.process.terminate()
        for response in responses:
            assert_is_retryable(*response.result(TIMEOUT_S))
        model.released.set()
        assert service.facade.process.wait(TIMEOUT_S) == 0
        served = [line["status"] for line in service.facade.log_lines() if line["message"] == "request served"]
        assert served.count(503) == 2
        assert 499 not in served


def test_upload_beyond_drain_timeout_receives_503(tmp_path: Path) -> None:
    with (
        landmark_service(tmp_path, THALE_DRAIN_TIMEOUT_S="1") as service,
        socket.create_connection(("127.0.0.1", service.facade.port), timeout=TIMEOUT_S) as connection,
    ):
        connection.sendall(request_head(len(IMAGE), PATH, "Expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")  # the facade reads the body
        connection.sendall(IMAGE[:100])
        service.facade.process.terminate()
        assert_is_retryable(*read_response(connection))
        assert service.facade.process.wait(TIMEOUT_S) == 0


def test_default_drain_timeout_exceeds_request_deadline() -> None:
    fields = FacadeSettings.model_fields
    assert fields["drain_timeout_s"].default > fields["request_timeout_s"].default


def test_rollout_loses_no_request(tmp_path: Path) -> None:
    """Replace a replica under traffic, in the order of Kubernetes: ready, out of the endpoints, SIGTERM."""
    with ExitStack() as stack:
        old = stack.enter_context(landmark_service(folder(tmp_path, "old"), lambda _: time.sleep(0.3)))
        traffic = TrafficClients([old])
        with traffic.running(4):
            traffic.wait_for_responses(8)
            new = stack.enter_context(landmark_service(folder(tmp_path, "new"), lambda _: time.sleep(0.3)))
            traffic.endpoints = [new, old]
            traffic.wait_for_responses(8)
            traffic.endpoints = [new]
            traffic.wait_for_each_client()  # preStop: until the last client has read the new endpoints
            old.facade.process.terminate()
            assert old.facade.process.wait(TIMEOUT_S) == 0
            traffic.wait_for_responses(8)
    assert set(traffic.statuses) == {200}


@dataclass
class TrafficClients:
    """Clients that send one request after the other to the current endpoints, as a gateway does."""

    endpoints: list[LandmarkService]
    statuses: list[int] = field(default_factory=list)
    _responses_by_client: Counter[int] = field(default_factory=Counter)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, clients: int) -> Iterator[None]:
        self._responses_by_client.update(dict.fromkeys(range(clients), 0))
        with ThreadPoolExecutor(clients) as pool:
            finished: list[Future[None]] = [pool.submit(self._send_until_stopped, number) for number in range(clients)]
            try:
                yield
            finally:
                self._stopped.set()
            for client in finished:
                client.result(TIMEOUT_S)

    def wait_for_responses(self, count: int) -> None:
        target, deadline = len(self.statuses) + count, time.monotonic() + TIMEOUT_S
        while len(self.statuses) < target:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait_for_each_client(self) -> None:
        """Wait until each client has finished the request that it sends now."""
        before, deadline = Counter(self._responses_by_client), time.monotonic() + TIMEOUT_S
        while any(self._responses_by_client[client] == count for client, count in before.items()):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _send_until_stopped(self, client: int) -> None:
        number = client
        while not self._stopped.is_set():
            endpoints = self.endpoints
            self.statuses.append(endpoints[number % len(endpoints)].post(IMAGE)[0])
            self._responses_by_client[client] += 1
            number += 1


def folder(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir()
    return path


def wait_until_refused(service: LandmarkService) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", service.facade.port), timeout=TIMEOUT_S).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_is_retryable(status: int, headers: dict[str, str], body: bytes) -> None:
    assert (status, json.loads(body)["type"]) == (503, "/problems/shutting-down")
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["retry-after"]) > 0
