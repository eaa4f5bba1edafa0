"""A facade process with a fake landmark model, and clients that send their request slowly."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.support.facade_process import FacadeProcess, facade_process
from tests.support.fake_model_server import FakeModelServer, run_fake_model_server
from tests.support.golden_predictions import LANDMARKER, encode_response, true_landmarks
from thale.release.registry.golden.plates import golden_plates
from thale.schemas import Release, ReleaseState, VersionManifest

PATH = "/v1/landmarks"


@dataclass(frozen=True)
class LandmarkService:
    facade: FacadeProcess
    models: FakeModelServer

    def post(self, image: bytes, timeout_s: float = 60.0) -> tuple[int, float]:
        """Send an image. Returns the status and the seconds to the response."""
        started = time.monotonic()
        connection = HTTPConnection("127.0.0.1", self.facade.port, timeout=timeout_s)
        try:
            connection.request("POST", PATH, image, {"Content-Type": "image/png"})
            response = connection.getresponse()
            response.read()
            return response.status, time.monotonic() - started
        finally:
            connection.close()


@contextmanager
def landmark_service(
    folder: Path, respond: Callable[[int], None] = lambda _: None, **variables: str
) -> Iterator[LandmarkService]:
    """Run a facade whose landmark model calls `respond(number)` before each response."""
    manifest = VersionManifest(digest=f"sha256:{LANDMARKER.weights_sha256}", card=LANDMARKER)
    state = ReleaseState(
        models={"plate-landmarks": Release(task="landmarks", stable="1.0.0", versions={"1.0.0": manifest})}
    )
    state_path = folder / "release-state.json"
    state_path.write_text(state.model_dump_json())
    response = encode_response(true_landmarks(golden_plates()[0], transform=lambda _: None))

    def programmed(number: int) -> tuple[int, str, bytes]:
        respond(number)
        return response

    with (
        run_fake_model_server(programmed) as models,
        facade_process(
            folder / "facade.log",
            THALE_RELEASE_STATE_PATH=str(state_path),
            THALE_MODEL_URL=models.url,
            THALE_MANAGEMENT_URL=models.url,
            THALE_POSTPROCESS_WORKERS="1",
            **variables,
        ) as facade,
    ):
        yield LandmarkService(facade, models)


def request_head(length: int, path: str = PATH, *headers: str) -> bytes:
    """Return the head of a request whose body has `length` bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: image/png",
        f"Content-Length: {length}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def slow_uploads(port: int, count: int, image: bytes, interval_s: float = 0.5) -> Iterator[None]:
    """Send `count` bodies, one byte of each per interval, for the duration of the context."""
    is_done = threading.Event()

    def send_slowly(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(request_head(len(image)) + image[:1])
            for byte in image[1:-1]:
                if is_done.wait(interval_s):
                    break
                connection.sendall(bytes([byte]))
        connection.close()

    connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
    threads = [threading.Thread(target=send_slowly, args=(connection,), daemon=True) for connection in connections]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    try:
        yield
    finally:
        is_done.set()
        for thread in threads:
            thread.join(30)


def read_response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the next response on a connection. The status is 0 without a response."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return 0, {}, data
        data += received
    head, body = data.split(b"\r\n\r\n", 1)
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return int(status_line.split()[1]), headers, body


def problem_code(body: bytes) -> str:
    """Return the code of a problem document."""
    return str(json.loads(body)["type"]).rsplit("/", 1)[-1]
