"""Tests of the model server's metrics on the facade's metrics port."""

from http import HTTPStatus
from pathlib import Path

from tests.support.unix_http_server import run_unix_http_server
from thale.facade.status.model_server_metrics import create_metrics_page


def test_metrics_page_returns_body_of_model_server(tmp_path: Path) -> None:
    with run_unix_http_server(tmp_path / "metrics.sock") as server:
        page = create_metrics_page(server.address)()
    assert (page.status, page.body) == (HTTPStatus.OK, b"GET /metrics localhost 0")
    assert page.content_type == "text/plain; version=0.0.4"


def test_metrics_page_returns_502_when_model_server_fails(tmp_path: Path) -> None:
    absent = create_metrics_page(f"unix:{tmp_path / 'absent.sock'}")()
    with run_unix_http_server(tmp_path / "metrics.sock", status=404) as server:
        failing = create_metrics_page(server.address)()
    assert [page.status for page in (absent, failing)] == [HTTPStatus.BAD_GATEWAY] * 2
