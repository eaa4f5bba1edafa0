"""Fake Entra and Key Vault over HTTPS on loopback, for the real azure-identity and azure-keyvault-secrets.

Entra exchanges a pod's token for an access token (federated client credentials). The vault responds to the first
request with a challenge, and lists secrets in pages without values. A Reader may list secrets, a Secrets User may also
read values, and a Secrets Officer may also write them. Writing a secret adds a version.
"""

import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from tests.support.self_signed_certificate import write_loopback_certificate

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SUBJECT = "system:serviceaccount:thale:release-watcher"
AUDIENCE = "api://AzureADTokenExchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PAGE_SIZE = 2
_READING_ROLES = ("Key Vault Secrets User", "Key Vault Secrets Officer")


@dataclass
class StoredSecret:
    """The current version of a secret in the vault, and its previous versions, newest first."""

    value: str
    expires: int | None = None
    enabled: bool = True
    version: str = field(default_factory=lambda: secrets.token_hex(16))
    created: int = 1
    previous: list["StoredSecret"] = field(default_factory=list)

    @property
    def versions(self) -> list["StoredSecret"]:
        return [self, *self.previous]


@dataclass
class FakeKeyVault:
    """State of the fake, and the requests it received."""

    url: str
    certificate: Path
    stored: dict[str, StoredSecret] = field(default_factory=dict)
    role: str = "Key Vault Secrets User"
    status: HTTPStatus | None = None
    """Status of the response to every request to the vault, if set."""
    requested_paths: list[str] = field(default_factory=list)
    cluster_key: str = field(default_factory=lambda: secrets.token_hex(32))
    entra_key: str = field(default_factory=lambda: secrets.token_hex(32))

    @property
    def resource(self) -> str:
        """Audience of tokens. It is a suffix of the vault's address, as vault.azure.net is of NAME.vault.azure.net."""
        return self.url.replace("127.", "")

    def environment(self, folder: Path, subject: str = SUBJECT) -> dict[str, str]:
        """Return the environment variables of AKS workload identity, and of the fake's certificate."""
        now = int(time.time())
        claims = {"sub": subject, "aud": [AUDIENCE], "iat": now, "exp": now + 3600}
        token = folder / "azure-identity-token"
        token.write_text(jwt.encode(claims, self.cluster_key))
        return {
            "AZURE_AUTHORITY_HOST": f"{self.url}/",
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_FEDERATED_TOKEN_FILE": str(token),
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }


@contextmanager
def run_key_vault(folder: Path) -> Iterator[FakeKeyVault]:
    """Run Entra and the vault on one address within the context."""
    key, certificate = write_loopback_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with _Server(("127.0.0.1", 0), _RequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        vault = FakeKeyVault(f"https://127.0.0.1:{server.server_port}", certificate)
        server.vault = vault  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield vault
        finally:
            server.shutdown()
            thread.join()
            server.close_connections()


class _Server(ThreadingHTTPServer):
    """Server whose connections end with it. Otherwise a client that holds one would still get responses."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def close_connections(self) -> None:
        """Close all connections, also those that wait for their next request."""
        for connection in self._connections:
            with suppress(OSError):  # the client has closed it
                connection.shutdown(socket.SHUT_RDWR)


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    @property
    def _vault(self) -> FakeKeyVault:
        vault: FakeKeyVault = self.server.vault  # type: ignore[attr-defined]
        return vault

    def do_POST(self) -> None:
        """Exchange a pod's token for an access token."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        form_fields = {name: values[0] for name, values in form.items()}
        self._vault.requested_paths.append(self.path)
        try:
            pod = jwt.decode(form_fields["client_assertion"], self._vault.cluster_key, ["HS256"], audience=AUDIENCE)
        except (KeyError, jwt.PyJWTError):
            pod = {}
        expected = ("client_credentials", _ASSERTION, CLIENT, f"{self._vault.resource}/.default")
        actual = tuple(form_fields.get(name) for name in ("grant_type", "client_assertion_type", "client_id", "scope"))
        if (self.path, actual, pod.get("sub")) != (f"/{TENANT}/oauth2/v2.0/token", expected, SUBJECT):
            self._send_json(
                401, {"error": "invalid_client", "error_description": "AADSTS700213: no matching federation"}
            )
            return
        now = int(time.time())
        claims = {"aud": self._vault.resource, "iat": now, "exp": now + 3600, "oid": CLIENT, "tid": TENANT}
        token = jwt.encode(claims, self._vault.entra_key)
        self._send_json(
            200, {"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": token}
        )

    def do_GET(self) -> None:
        """Respond as the vault does."""
        url = urlsplit(self.path)
        _, _, *parts = url.path.rstrip("/").split("/")
        if not self._is_accepted():
            return
        if not parts:
            self._send_secret_list(int(parse_qs(url.query).get("$skiptoken", ["0"])[0]))
        elif parts[1:] == ["versions"]:
            self._send_versions(parts[0])
        else:
            self._send_secret(*parts)

    def do_PUT(self) -> None:
        """Write a new version of a secret."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        name = urlsplit(self.path).path.split("/")[2]
        if not self._is_accepted():
            return
        if self._vault.role != "Key Vault Secrets Officer":
            self._send_forbidden("setSecret")
            return
        attributes = body.get("attributes") or {}
        current = self._vault.stored.get(name)
        self._vault.stored[name] = StoredSecret(
            body["value"],
            attributes.get("exp"),
            attributes.get("enabled", True),
            created=int(time.time()),
            previous=[] if current is None else current.versions,
        )
        secret = self._vault.stored[name]
        self._send_json(200, {**self._secret_properties(name, secret, secret.version), "value": secret.value})

    def _is_accepted(self) -> bool:
        """Return True for an authenticated request. Send the response otherwise."""
        self._vault.requested_paths.append(urlsplit(self.path).path)
        if self._vault.status is not None:
            self._send_json(
                self._vault.status, {"error": {"code": "Failing", "message": "try again"}}, {"Retry-After": "0"}
            )
        elif not self._is_authenticated():
            challenge = f'Bearer authorization="{self._vault.url}/{TENANT}", resource="{self._vault.resource}"'
            unauthorized = {"error": {"code": "Unauthorized", "message": "AKV10000: no bearer token"}}
            self._send_json(401, unauthorized, {"WWW-Authenticate": challenge})
        else:
            return True
        return False

    def _is_authenticated(self) -> bool:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            jwt.decode(token, self._vault.entra_key, ["HS256"], audience=self._vault.resource)
        except jwt.PyJWTError:
            return False
        return scheme == "Bearer"

    def _send_secret_list(self, first: int) -> None:
        if self._vault.role not in ("Key Vault Reader", *_READING_ROLES):
            self._send_forbidden("readMetadata")
            return
        names = sorted(self._vault.stored)
        listed = [self._secret_properties(name, self._vault.stored[name]) for name in names[first : first + _PAGE_SIZE]]
        more = first + _PAGE_SIZE < len(names)
        next_link = f"{self._vault.url}/secrets?api-version=7.5&$skiptoken={first + _PAGE_SIZE}" if more else None
        self._send_json(200, {"value": listed, "nextLink": next_link})

    def _send_versions(self, name: str) -> None:
        if self._vault.role not in ("Key Vault Reader", *_READING_ROLES):
            self._send_forbidden("readMetadata")
            return
        secret = self._vault.stored.get(name)
        versions = [] if secret is None else reversed(secret.versions)
        listed = [self._secret_properties(name, version, version.version) for version in versions]
        self._send_json(200, {"value": listed, "nextLink": None})

    def _send_secret(self, name: str, version: str | None = None) -> None:
        if self._vault.role not in _READING_ROLES:
            self._send_forbidden("getSecret")
            return
        stored = self._vault.stored.get(name)
        versions = [] if stored is None else stored.versions
        found = next((each for each in versions if version in (None, each.version)), None)
        if found is None:
            self._send_json(
                404, {"error": {"code": "SecretNotFound", "message": f"{name} was not found in this vault."}}
            )
        elif not found.enabled:
            message = "Operation get is not allowed on a disabled secret."
            inner = {"code": "SecretDisabled"}
            self._send_json(403, {"error": {"code": "Forbidden", "message": message, "innererror": inner}})
        else:
            self._send_json(200, {**self._secret_properties(name, found, found.version), "value": found.value})

    def _secret_properties(self, name: str, secret: StoredSecret, version: str | None = None) -> dict[str, Any]:
        attributes: dict[str, Any] = {"enabled": secret.enabled, "created": secret.created, "updated": secret.created}
        if secret.expires is not None:
            attributes["exp"] = secret.expires
        path = name if version is None else f"{name}/{version}"
        return {"id": f"{self._vault.url}/secrets/{path}", "attributes": attributes}

    def _send_forbidden(self, action: str) -> None:
        inner = {"code": "ForbiddenByRbac"}
        message = f"Caller is not authorized to perform Microsoft.KeyVault/vaults/secrets/{action}/action"
        self._send_json(403, {"error": {"code": "Forbidden", "message": message, "innererror": inner}})

    def _send_json(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Log nothing."""
