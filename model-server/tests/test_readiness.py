"""Tests of the readiness check, against a fake of TorchServe's management API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from thale_models import readiness


class FakeManagementHandler(BaseHTTPRequestHandler):
    """Fake of TorchServe's management API: one model, with one version per status."""

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
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        (("READY",), None),
        (("UNLOADING", "READY"), None),
        (("UNLOADING",), "plate-seg has no ready worker"),
        ((), "plate-seg has no ready worker"),
    ],
)
def test_unready_reason_requires_a_ready_worker(
    management: ThreadingHTTPServer, statuses: tuple[str, ...], reason: str | None
) -> None:
    management.statuses = statuses  # type: ignore[attr-defined]
    assert readiness.unready_reason(f"http://127.0.0.1:{management.server_port}") == reason


def test_unready_reason_reports_an_unreachable_server() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeManagementHandler) as closed:
        port = closed.server_port
    assert "does not respond" in (readiness.unready_reason(f"http://127.0.0.1:{port}") or "")
