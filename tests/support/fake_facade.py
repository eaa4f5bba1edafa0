"""Fake facade: serves synthetic counters over HTTP, without any inference."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "plate-seg"
_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass
class FakeFacade:
    """Counters by metric and labels. While `unreachable` is set, it closes connections without a response."""

    url: str
    started_at: float = field(default_factory=time.time)
    unreachable: threading.Event = field(default_factory=threading.Event)
    scrapes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _values: dict[str, int] = field(default_factory=dict)

    def count_responses(self, version: str, count: int) -> None:
        """Count successful responses of a version."""
        with self._lock:
            self._add("thale_model_requests_total", count, version, outcome="ok")
            self._add("thale_output_plates_total", count, version)
            for edge in (*_BUCKETS_S, "+Inf"):
                self._add(
                    "thale_model_request_duration_seconds_bucket", count if edge != 0.05 else 0, version, le=str(edge)
                )
            self._add("thale_model_request_duration_seconds_count", count, version)

    def count_fallbacks(self, canary: str, stable: str, count: int) -> None:
        """Count requests that the canary failed and stable served."""
        with self._lock:
            self._add("thale_model_requests_total", count, canary, outcome="error")
            self._add("thale_model_fallbacks_total", count, canary, reason="error")
        self.count_responses(stable, count)

    def restart(self) -> None:
        """Restart the counters from zero."""
        with self._lock:
            self._values.clear()
            self.started_at = time.time()

    def render(self) -> str:
        """Return the metrics in the Prometheus text format."""
        with self._lock:
            self.scrapes += 1
            lines = [f"{series} {value}" for series, value in sorted(self._values.items())]
            return "\n".join(
                ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {self.started_at}", *lines, ""]
            )

    def _add(self, name: str, count: int, version: str, **labels: str) -> None:
        all_labels = {"model": MODEL, "version": version, **labels}
        series = f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in all_labels.items())}}}"
        self._values[series] = self._values.get(series, 0) + count


@contextmanager
def run_fake_facade() -> Iterator[FakeFacade]:
    """Serve a fake facade on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if facade.unreachable.is_set():
                self.close_connection = True
                return
            body = facade.render().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the standard library)
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    facade = FakeFacade(f"http://127.0.0.1:{server.server_address[1]}/metrics")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield facade
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
