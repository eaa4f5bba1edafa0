"""Tests of request handling: ids, stalled and aborted uploads, deadlines, overload and killed processes."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from prometheus_client import REGISTRY

from tests.support import sample_images
from tests.support.running_facade import Facade, running_facade
from tests.support.torchserve_process import TorchServeProcess
from thale.facade.settings import FacadeSettings
from thale.facade.status.health import Health

pytestmark = pytest.mark.integration


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"condition not met within {timeout_s:g} s"
        time.sleep(0.02)


def metric_value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@contextmanager
def raw_connection(facade: Facade, request_head: str) -> Iterator[socket.socket]:
    """Open a connection and send the raw head of a request."""
    with socket.create_connection(("127.0.0.1", facade.port), timeout=60) as connection:
        connection.sendall(request_head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        yield connection


def test_valid_request_id_is_returned(facade: Facade) -> None:
    assert facade.get("/health/live", X_Request_Id="lab-7:plate.3").headers["x-request-id"] == "lab-7:plate.3"


@pytest.mark.parametrize("hostile", ["", "a" * 500, 'x"}\t{"level": "error', "ключ".encode().decode("latin-1"), "-rf"])
def test_invalid_request_id_is_replaced(facade: Facade, hostile: str) -> None:
    reply = facade.get("/health/live", X_Request_Id=hostile)
    assert len(reply.headers["x-request-id"]) == 32


def test_problems_contain_the_request_id(facade: Facade) -> None:
    reply = facade.phenotype(b"", X_Request_Id="abc")
    assert reply.problem == "empty-image"
    assert reply.json["request_id"] == "abc"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/plants", 404), ("GET", "/v1/phenotype", 405)])
def test_framework_errors_are_problems(facade: Facade, method: str, path: str, status: int) -> None:
    reply = facade.request(method, path)
    assert (reply.status, reply.problem) == (status, "about:blank")


def test_unexpected_error_discloses_no_details(
    facade: Facade, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def raise_error(_self: Health) -> None:
        raise RuntimeError("internal detail")

    monkeypatch.setattr(Health, "readiness", raise_error)
    reply = facade.get("/health/ready")
    assert (reply.status, reply.problem) == (500, "about:blank")
    assert b"internal detail" not in reply.body
    wait_until(lambda: "internal detail" in caplog.text)


def test_large_content_length_is_rejected_before_the_body(facade: Facade) -> None:
    with raw_connection(facade, f"POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: {2**40}") as connection:
        assert b" 413 " in connection.recv(4096)


def test_non_image_of_30_mb_is_rejected_at_its_first_bytes(facade: Facade) -> None:
    with raw_connection(facade, "POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 30000000") as connection:
        connection.sendall(b"garbage " * 100)
        assert b" 415 " in connection.recv(4096)


def test_stalled_upload_times_out(settings: FacadeSettings) -> None:
    short_timeout = settings.model_copy(update={"upload_idle_timeout_s": 0.1})
    with (
        running_facade(short_timeout) as facade,
        raw_connection(facade, "POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 1000") as connection,
    ):
        connection.sendall(sample_images.png()[:100])
        assert b" 408 " in connection.recv(4096)


def test_trickling_upload_times_out(settings: FacadeSettings) -> None:
    short_timeout = settings.model_copy(update={"upload_timeout_s": 0.3})
    with (
        running_facade(short_timeout) as facade,
        raw_connection(facade, "POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 100000") as connection,
    ):
        stopped = threading.Event()
        image = sample_images.png()

        def trickle() -> None:
            for byte in image:
                if stopped.wait(0.05):
                    return
                connection.sendall(bytes([byte]))

        thread = threading.Thread(target=trickle)
        thread.start()
        assert b" 408 " in connection.recv(4096)
        stopped.set()
        thread.join()


def test_disconnect_during_upload_is_not_an_error(facade: Facade) -> None:
    before = metric_value("thale_facade_requests_total", route="/v1/phenotype", status="499")
    with raw_connection(facade, "POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 100000") as connection:
        connection.sendall(sample_images.png()[:100])
    wait_until(lambda: metric_value("thale_facade_requests_total", route="/v1/phenotype", status="499") > before)


def test_disconnect_while_queued_frees_the_slot(facade: Facade, torchserve: TorchServeProcess) -> None:
    image = sample_images.png()
    before = metric_value("thale_facade_requests_total", route="/v1/phenotype", status="499")
    with suspend_workers(torchserve):
        with raw_connection(
            facade, f"POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: {len(image)}"
        ) as connection:
            connection.sendall(image)
            wait_until(lambda: metric_value("thale_facade_in_flight") == 1)
        wait_until(lambda: metric_value("thale_facade_in_flight") == 0)
    wait_until(lambda: metric_value("thale_facade_requests_total", route="/v1/phenotype", status="499") == before + 1)


def test_exceeded_deadline_returns_504(facade: Facade, torchserve: TorchServeProcess) -> None:
    with suspend_workers(torchserve):
        reply = facade.phenotype(sample_images.png(), "timeout_s=0.3")
    assert (reply.status, reply.problem) == (504, "deadline-exceeded")
    assert "timeout_s" in reply.json["detail"]


def test_admission_returns_503_when_queue_is_full(settings: FacadeSettings, torchserve: TorchServeProcess) -> None:
    limited_settings = settings.model_copy(update={"max_in_flight": 1, "max_queue_length": 0})
    image = sample_images.png()
    with (
        running_facade(limited_settings) as facade,
        suspend_workers(torchserve),
        raw_connection(
            facade, f"POST /v1/phenotype HTTP/1.1\nHost: 127.0.0.1\nContent-Length: {len(image)}"
        ) as connection,
    ):
        connection.sendall(image)
        wait_until(lambda: metric_value("thale_facade_in_flight") == 1)
        reply = facade.phenotype(image)
        assert (reply.status, reply.problem) == (503, "overloaded")
        assert int(reply.headers["retry-after"]) > 0


def test_dead_postprocess_worker_is_replaced(facade: Facade) -> None:
    assert facade.phenotype(sample_images.png()).status == 200
    [fork_server] = [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]
    for process in fork_server.children():
        process.kill()
    assert facade.phenotype(sample_images.png()).status == 200


def test_request_is_retried_when_its_worker_is_killed(facade: Facade, torchserve: TorchServeProcess) -> None:
    retries = metric_value("thale_model_retries_total", model="plate-seg", version="1.0.0")
    dispatched_before = count_dispatched_requests(torchserve)
    replies = []
    with suspend_workers(torchserve) as workers:
        thread = threading.Thread(target=lambda: replies.append(facade.phenotype(sample_images.png())))
        thread.start()
        wait_until(lambda: count_dispatched_requests(torchserve) >= dispatched_before + 2)
        for worker in workers:
            worker.kill()
    thread.join()
    assert replies[0].status == 200, replies[0].body
    assert metric_value("thale_model_retries_total", model="plate-seg", version="1.0.0") > retries
    wait_until(lambda: facade.get("/health/ready").status == 200)
    assert facade.phenotype(sample_images.png()).status == 200


def count_dispatched_requests(torchserve: TorchServeProcess) -> int:
    """Count the requests that TorchServe has sent to its workers, by its log."""
    return (torchserve.store.parent / "log.txt").read_text(errors="replace").count("Flushing req.cmd PREDICT")


@contextmanager
def suspend_workers(torchserve: TorchServeProcess) -> Iterator[list[psutil.Process]]:
    """Suspend the model workers, so that every model request hangs."""
    children = psutil.Process(torchserve.pid).children(recursive=True)
    workers = [child for child in children if "model_service_worker.py" in " ".join(child.cmdline())]
    assert workers
    for worker in workers:
        worker.suspend()
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.is_running():
                worker.resume()
