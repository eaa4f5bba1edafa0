"""Ready means workers that are: what TorchServe's management tells, read as it tells it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from thale_models import readiness


class FakeManagementHandler(BaseHTTPRequestHandler):
    """TorchServe's management API, as far as the question goes: one model of two versions."""

    def do_GET(self) -> None:
        statuses = getattr(self.server, "statuses", ())
        payload = {
            "/models": {"models": [{"modelName": "plate-seg", "modelUrl": "plate-seg-1.0.0.mar"}]},
            "/models/plate-seg/all": [{"workers": [{"id": "9000", "status": status}]} for status in statuses],
        }.get(self.path)
        self.send_response(404 if payload is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(payload).encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def management() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeManagementHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("statuses", "missing"),
    [
        (("READY",), None),
        (("UNLOADING", "READY"), None),
        (("UNLOADING",), "plate-seg has no worker that is ready"),
        ((), "plate-seg has no worker that is ready"),
    ],
)
def test_a_model_is_ready_when_a_worker_of_it_is(
    management: ThreadingHTTPServer, statuses: tuple[str, ...], missing: str | None
) -> None:
    management.statuses = statuses  # type: ignore[attr-defined]
    assert readiness.unready_reason(f"http://127.0.0.1:{management.server_port}") == missing


def test_nobody_there_is_not_ready() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeManagementHandler) as closed:
        port = closed.server_port
    assert "does not answer" in (readiness.unready_reason(f"http://127.0.0.1:{port}") or "")
