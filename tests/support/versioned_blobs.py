"""Fake of Azure Blob Storage with versions, over HTTPS, for the real client library. Azurite has no versions.

Each write adds a version, and a deletion leaves a blob without a current version, as with versioning in Azure
(learn.microsoft.com, "Blob versioning").
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from azure.storage.blob import ContainerClient

from tests.support.azurite_server import FakeCredential
from tests.support.self_signed_certificate import write_loopback_certificate

_CONTAINER = "/account/models"
_METADATA = "x-ms-meta-"


@dataclass
class StoredVersion:
    """Bytes and headers of one version."""

    version_id: str
    data: bytes
    headers: dict[str, str]


@dataclass
class VersionedBlobs:
    """A running container."""

    url: str
    certificate: Path
    versions: dict[str, list[StoredVersion]] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    """Current version of each blob that is not deleted."""
    writes: list[str] = field(default_factory=list)

    def put(self, name: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Write a blob: the former version is kept."""
        stored = self.versions.setdefault(name, [])
        version_id = f"2026-11-30T12:00:{sum(map(len, self.versions.values())):02}.0000000Z"
        stored.append(StoredVersion(version_id, data, headers or {}))
        self.current[name] = version_id
        self.writes.append(name)

    def delete(self, name: str) -> None:
        """Delete a blob: its versions are kept."""
        del self.current[name]

    def client(self) -> ContainerClient:
        """Return a client of the container."""
        return ContainerClient.from_container_url(
            self.url, FakeCredential(), connection_verify=str(self.certificate), retry_total=0
        )

    def read(self, name: str) -> bytes:
        """Return the current bytes of a blob."""
        return self.find(name, self.current[name]).data

    def find(self, name: str, version_id: str) -> StoredVersion:
        """Return a version."""
        return next(version for version in self.versions[name] if version.version_id == version_id)

    def listing(self, *, all_versions: bool) -> bytes:
        """Return the response of List Blobs, of current versions or with `include=versions`."""
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><VersionId>{version.version_id}</VersionId>"
            + ("<IsCurrentVersion>true</IsCurrentVersion>" if self.current.get(name) == version.version_id else "")
            + f"<Properties><Content-Length>{len(version.data)}</Content-Length><BlobType>BlockBlob</BlobType>"
            "</Properties></Blob>"
            for name, versions in sorted(self.versions.items())
            for version in versions
            if all_versions or self.current.get(name) == version.version_id
        )
        header = '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="models">'
        return f"{header}<Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>".encode()


@contextmanager
def run_versioned_blobs(folder: Path) -> Iterator[VersionedBlobs]:
    """Run the container within the context."""
    key, certificate = write_loopback_certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        blobs = VersionedBlobs(f"https://127.0.0.1:{server.server_port}{_CONTAINER}", certificate)
        server.blobs = blobs  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield blobs
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        blobs: VersionedBlobs = self.server.blobs  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if query.get("comp") == ["list"]:
            self._respond(
                200,
                blobs.listing(all_versions="versions" in query.get("include", [""])[0]),
                {"Content-Type": "application/xml"},
            )
            return
        name = unquote(url.path.removeprefix(f"{_CONTAINER}/"))
        version_id = query.get("versionid", [blobs.current.get(name, "")])[0]
        found = [version for version in blobs.versions.get(name, ()) if version.version_id == version_id]
        if not found:
            self._respond(404, b"", {"x-ms-error-code": "BlobNotFound"})
            return
        data, status, headers = found[0].data, 200, dict(found[0].headers)
        if requested := self.headers.get("x-ms-range", self.headers.get("Range")):
            first, _, last = requested.removeprefix("bytes=").partition("-")
            end = min(int(last or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
            data, status = data[int(first) : end + 1], 206
        self._respond(status, data, headers | {"x-ms-version-id": version_id})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        blobs: VersionedBlobs = self.server.blobs  # type: ignore[attr-defined]
        name = unquote(urlsplit(self.path).path.removeprefix(f"{_CONTAINER}/"))
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        kept = {key: value for key, value in self.headers.items() if key.lower().startswith(_METADATA)}
        if content_type := self.headers.get("x-ms-blob-content-type"):
            kept["Content-Type"] = content_type
        blobs.put(name, data, kept)
        self._respond(201, b"", {"ETag": '"1"', "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True)})

    def _respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"x-ms-blob-type": "BlockBlob", "ETag": '"1"', **headers}.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", format_datetime(datetime.now(UTC), usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""
