"""HTTP server with TorchServe's prediction route and programmed responses."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Response = tuple[int, str, bytes]
"""Status, media type, body."""


@dataclass
class FakeModelServer:
    """Fake model server with a programmed response; it records the paths of its requests."""

    respond: Callable[[int], Response]
    paths: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def run_fake_model_server(respond: Callable[[int], Response]) -> Iterator[FakeModelServer]:
    """Respond to request n with `respond(n)` for the duration of the context."""
    server = FakeModelServer(respond)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                server.paths.append(self.path)
                number = len(server.paths) - 1
            status, media_type, body = server.respond(number)
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
