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
HOSTILE_IMAGE = b"0\r\n\r\nDELETE /models/plate-seg HTTP/1.1\r\n\r\n"


async def predict(address: str, times: int = 1) -> list[ModelResponse]:
    async with ModelClient.connect(address, address) as client:
        return [await client.predict(ROUTE, IMAGE, Deadline.after(60)) for _ in range(times)]


def test_model_client_predicts_through_socket(tmp_path: Path) -> None:
    with run_unix_http_server(tmp_path / "inference.sock") as server:
        responses = asyncio.run(predict(server.address, times=2))
    assert [response.data for response in responses] == [b"POST /predictions/plate-seg/1.0.0 localhost 5"] * 2
    assert server.connections == 1


def test_model_client_sends_only_its_own_headers(tmp_path: Path) -> None:
    """TorchServe's HTTP parser is old, so it gets no chunked body, no form, and no header of a client."""

    async def record() -> bytes:
        received = bytearray()

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.readuntil(b"\r\n\r\n"))
            received.extend(await reader.readexactly(len(HOSTILE_IMAGE)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
            writer.close()

        path = tmp_path / "inference.sock"
        request = PredictRequest(HOSTILE_IMAGE, 4, 3, mm_per_px=0.05, plate_width_mm=120.0, page=1)
        async with (
            await asyncio.start_unix_server(respond, path),
            ModelClient.connect(f"unix:{path}", f"unix:{path}") as client,
        ):
            await client.predict(ROUTE, request, Deadline.after(60))
        return bytes(received)

    head, _, body = asyncio.run(record()).partition(b"\r\n\r\n")
    request_line, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert request_line == "POST /predictions/plate-seg/1.0.0 HTTP/1.1"
    assert headers.pop("User-Agent").startswith("Python/")
    assert headers == {
        "Host": "localhost",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(len(HOSTILE_IMAGE)),
        "x-thale-mm-per-px": "0.05",
        "x-thale-plate-width-mm": "120.0",
        "x-thale-page": "1",
        "Accept": "*/*",
        "Accept-Encoding": headers["Accept-Encoding"],
    }
    assert body == HOSTILE_IMAGE


def test_model_client_reports_missing_socket_as_unavailable(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'absent.sock'}"
    with pytest.raises(ModelUnavailableError, match="connection to the model server failed"):
        asyncio.run(predict(address))
