"""Tests of the model client over a Unix domain socket, as on the local platform."""

import asyncio
from pathlib import Path

import pytest

from tests.support.unix_http_server import run_unix_http_server
from thale.errors import ModelUnavailableError
from thale.facade.deadline import Deadline
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route

IMAGE = PredictRequest(b"plate", 4, 3)
ROUTE = Route("plate-seg", "1.0.0", "segmentation", "sha256:0", "sha256:1", ("background", "root"))


async def predict(address: str, times: int = 1) -> list[ModelResponse]:
    async with ModelClient.connect(address, address) as client:
        return [await client.predict(ROUTE, IMAGE, Deadline.after(60)) for _ in range(times)]


def test_model_client_predicts_through_socket(tmp_path: Path) -> None:
    with run_unix_http_server(tmp_path / "inference.sock") as server:
        responses = asyncio.run(predict(server.address, times=2))
    assert [response.data for response in responses] == [b"POST /predictions/plate-seg/1.0.0 localhost 5"] * 2
    assert server.connections == 1


def test_model_client_reports_missing_socket_as_unavailable(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'absent.sock'}"
    with pytest.raises(ModelUnavailableError, match="connection to the model server failed"):
        asyncio.run(predict(address))
