"""Entra and a Key Vault on loopback, over HTTPS, as the real azure-identity and azure-keyvault-secrets speak to them.

A pod's token is exchanged for an access token (federated client credentials), the vault answers the first question with
a challenge, lists in pages without values, and knows roles: a Reader may list, a Secrets User may read values as well.
"""

import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from tests.support.self_signed_certificate import certificate_of_loopback

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SUBJECT = "system:serviceaccount:thale:release-watcher"
AUDIENCE = "api://AzureADTokenExchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PAGE = 2


@dataclass
class Kept:
    """A secret in the vault."""

    value: str
    expires: int | None = None
    enabled: bool = True


@dataclass
class Cloud:
    """What the fake knows, and what it was asked."""

    url: str
    certificate: Path
    kept: dict[str, Kept] = field(default_factory=dict)
    role: str = "Key Vault Secrets User"
    status: HTTPStatus | None = None
    """What the vault answers to every question instead, where it is ill."""
    asked: list[str] = field(default_factory=list)
    cluster_key: str = field(default_factory=lambda: secrets.token_hex(32))
    entra_key: str = field(default_factory=lambda: secrets.token_hex(32))

    @property
    def resource(self) -> str:
        """Whom tokens are for: the vault's address ends in it, as NAME.vault.azure.net does in vault.azure.net."""
        return self.url.replace("127.", "")

    def environment(self, folder: Path, subject: str = SUBJECT) -> dict[str, str]:
        """Return what AKS' workload identity puts into a pod's environment, and whom to trust here."""
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
def running_key_vault(folder: Path) -> Iterator[Cloud]:
    """Run both until the context ends."""
    key, certificate = certificate_of_loopback(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        cloud = Cloud(f"https://127.0.0.1:{server.server_port}", certificate)
        server.cloud = cloud  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield cloud
        finally:
            server.shutdown()
            thread.join()


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    @property
    def _cloud(self) -> Cloud:
        cloud: Cloud = self.server.cloud  # type: ignore[attr-defined]
        return cloud

    def do_POST(self) -> None:
        """Exchange a pod's token for an access token."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        said = {name: values[0] for name, values in form.items()}
        self._cloud.asked.append(self.path)
        try:
            pod = jwt.decode(said["client_assertion"], self._cloud.cluster_key, ["HS256"], audience=AUDIENCE)
        except (KeyError, jwt.PyJWTError):
            pod = {}
        wanted = ("client_credentials", _ASSERTION, CLIENT, f"{self._cloud.resource}/.default")
        given = tuple(said.get(name) for name in ("grant_type", "client_assertion_type", "client_id", "scope"))
        if (self.path, given, pod.get("sub")) != (f"/{TENANT}/oauth2/v2.0/token", wanted, SUBJECT):
            self._answer(401, {"error": "invalid_client", "error_description": "AADSTS700213: no matching federation"})
            return
        now = int(time.time())
        claims = {"aud": self._cloud.resource, "iat": now, "exp": now + 3600, "oid": CLIENT, "tid": TENANT}
        token = jwt.encode(claims, self._cloud.entra_key)
        self._answer(200, {"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": token})

    def do_GET(self) -> None:
        """Answer as the vault does."""
        asked = urlsplit(self.path)
        self._cloud.asked.append(asked.path)
        if self._cloud.status is not None:
            self._answer(self._cloud.status, {"error": {"code": "Ill", "message": "try again"}}, {"Retry-After": "0"})
        elif not self._signed_in():
            challenge = f'Bearer authorization="{self._cloud.url}/{TENANT}", resource="{self._cloud.resource}"'
            refusal = {"error": {"code": "Unauthorized", "message": "AKV10000: no bearer token"}}
            self._answer(401, refusal, {"WWW-Authenticate": challenge})
        elif asked.path.strip("/") == "secrets":
            self._list(int(parse_qs(asked.query).get("$skiptoken", ["0"])[0]))
        else:
            self._read(asked.path.strip("/").split("/")[1])

    def _signed_in(self) -> bool:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            jwt.decode(token, self._cloud.entra_key, ["HS256"], audience=self._cloud.resource)
        except jwt.PyJWTError:
            return False
        return scheme == "Bearer"

    def _list(self, first: int) -> None:
        if self._cloud.role not in ("Key Vault Reader", "Key Vault Secrets User"):
            self._forbid("readMetadata")
            return
        names = sorted(self._cloud.kept)
        page: dict[str, Any] = {"value": [self._described(name) for name in names[first : first + _PAGE]]}
        more = first + _PAGE < len(names)
        page["nextLink"] = f"{self._cloud.url}/secrets?api-version=7.5&$skiptoken={first + _PAGE}" if more else None
        self._answer(200, page)

    def _read(self, name: str) -> None:
        if self._cloud.role != "Key Vault Secrets User":
            self._forbid("getSecret")
        elif name not in self._cloud.kept:
            self._answer(404, {"error": {"code": "SecretNotFound", "message": f"{name} was not found in this vault."}})
        else:
            self._answer(200, {**self._described(name), "value": self._cloud.kept[name].value})

    def _described(self, name: str) -> dict[str, Any]:
        kept = self._cloud.kept[name]
        attributes: dict[str, Any] = {"enabled": kept.enabled, "created": 1, "updated": 1}
        if kept.expires is not None:
            attributes["exp"] = kept.expires
        return {"id": f"{self._cloud.url}/secrets/{name}", "attributes": attributes}

    def _forbid(self, action: str) -> None:
        inner = {"code": "ForbiddenByRbac"}
        message = f"Caller is not authorized to perform Microsoft.KeyVault/vaults/secrets/{action}/action"
        self._answer(403, {"error": {"code": "Forbidden", "message": message, "innererror": inner}})

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Say nothing."""
