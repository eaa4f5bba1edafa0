"""HTTP server on a Unix domain socket, which returns the request line, the Host header and the body's length."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class UnixHttpServer:
    """A running server, and the number of connections that it has accepted."""

    address: str
    connections: int = 0


@contextmanager
def run_unix_http_server(path: Path, status: int = 200) -> Iterator[UnixHttpServer]:
    """Serve until the context ends. Every response has the given status."""
    running = UnixHttpServer(f"unix:{path}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            running.connections += 1

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            self.rfile.read(length)
            body = f"{self.command} {self.path} {self.headers['Host']} {length}".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_arguments: object) -> None:
            """Log nothing: the client address of a socket is empty."""

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
