"""A BrAPI v2.1 server over HTTP that stores objects in memory, and validates each request by the schemas of BrAPI."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.brapi_specification import query_names, request_errors, response_errors

KEYS = {
    "studies": "studyDbId",
    "variables": "observationVariableDbId",
    "observationunits": "observationUnitDbId",
    "observations": "observationDbId",
}
_PAGE_SIZE = 7


@dataclass
class FakeBrapiServer:
    """State of the server. `faults` are the next responses to POST: a status, or `lost` for a lost response."""

    url: str = ""
    token: str = "secret"
    stored: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {path: [] for path in KEYS})
    faults: list[int | str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    writable: tuple[str, ...] = tuple(KEYS)
    posts: list[tuple[str, int]] = field(default_factory=list)

    def create(self, path: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        created = [{**item, KEYS[path]: f"{path}-{len(self.stored[path]) + n}"} for n, item in enumerate(items)]
        self.stored[path] += created
        return created

    def find(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        return [item for item in self.stored[path] if all(_has(item, *filter_) for filter_ in query.items())]


def _has(item: dict[str, Any], name: str, value: str) -> bool:
    """Return True if an object passes a filter."""
    if name.startswith("externalReference"):
        field_name = {"externalReferenceId": "referenceId", "externalReferenceSource": "referenceSource"}[name]
        return any(reference[field_name] == value for reference in item.get("externalReferences", ()))
    return bool(item.get(name) == value)


class _Handler(BaseHTTPRequestHandler):
    """Handler of requests. `run_fake_brapi_server` sets the state of its server."""

    state: FakeBrapiServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = address.path.removeprefix("/brapi/v2/")
        query = dict(parse_qsl(address.query))
        if not self._is_authorized():
            return
        if path == "serverinfo":
            calls = [{"service": name, "methods": ["GET", "POST"], "versions": ["2.1"]} for name in self.state.writable]
            self._send(200, {"metadata": {}, "result": {"calls": calls}})
            return
        self.state.violations.extend(f"unknown parameter {name}" for name in query.keys() - query_names(f"/{path}"))
        page, _ = int(query.pop("page", 0)), query.pop("pageSize", None)
        found = self.state.find(path, query)
        body = self._list(found[page * _PAGE_SIZE : (page + 1) * _PAGE_SIZE], page, len(found))
        self.state.violations.extend(response_errors("GET", f"/{path}", body))
        self._send(200, body)

    def do_POST(self) -> None:
        path = self.path.removeprefix("/brapi/v2/")
        items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_authorized():
            return
        self.state.posts.append((path, len(items)))
        fault = self.state.faults.pop(0) if self.state.faults else None
        if isinstance(fault, int):
            self._send(fault, "ERROR - 2026-01-01T00:00:00Z - refused")
            return
        self.state.violations.extend(request_errors("POST", f"/{path}", items))
        created = self.state.create(path, items)
        if fault == "lost":
            self.close_connection = True
            return
        self._send(200, self._list(created, 0, len(created)))

    def _is_authorized(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.state.token}":
            return True
        self._send(401, "ERROR - 2026-01-01T00:00:00Z - missing or expired authorization token")
        return False

    def _list(self, data: list[dict[str, Any]], page: int, total: int) -> dict[str, Any]:
        pagination = {
            **{"currentPage": page, "pageSize": _PAGE_SIZE, "totalCount": total},
            "totalPages": -(-total // _PAGE_SIZE),
        }
        return {"metadata": {"pagination": pagination}, "result": {"data": data}}

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def run_fake_brapi_server() -> Iterator[FakeBrapiServer]:
    """Serve on a free port for the duration of the context."""
    state = FakeBrapiServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
