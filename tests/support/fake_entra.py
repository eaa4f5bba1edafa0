"""Fake authority of Entra ID over HTTPS on loopback: discovery document, signing keys, v2.0 tokens, and sign-in."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.support.fake_entra_sign_in import SignIns
from tests.support.self_signed_certificate import write_loopback_certificate

TENANT = "11111111-1111-1111-1111-111111111111"
AUDIENCE = "33333333-3333-3333-3333-333333333333"
OBJECT_ID = "44444444-4444-4444-4444-444444444444"
KEY_ID = "key-1"


@cache
def signing_key(number: int = 1, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return one of the RSA keys of this process, because generating one takes up to a second."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass
class FakeEntra:
    """State of the fake, and the requests it received."""

    url: str
    certificate: Path
    keys: dict[str, Any] = field(default_factory=lambda: {KEY_ID: signing_key()})
    """Published keys by id: RSA keys, or JWKs."""
    status: int = 200
    delay_s: float = 0.0
    discovery: dict[str, Any] = field(default_factory=dict)
    """Changed fields of the discovery document."""
    sign_ins: SignIns = field(default_factory=lambda: SignIns(client_id=AUDIENCE))
    requested_paths: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"{self.url}/{TENANT}/v2.0"

    @property
    def reads(self) -> int:
        """Number of reads of the keys."""
        return sum(path.endswith("/keys") for path in self.requested_paths)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of an application's token, with changes. None removes a claim."""
        now = int(time.time())
        standard = {
            "aud": AUDIENCE,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "tid": TENANT,
            "oid": OBJECT_ID,
            "sub": OBJECT_ID,
            "ver": "2.0",
            "roles": ["Thale.Read"],
        }
        return {name: value for name, value in {**standard, **changes}.items() if value is not None}

    def token(self, key: Any = None, algorithm: str = "RS256", kid: str | None = KEY_ID, **changes: Any) -> str:
        """Return a token."""
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode(self.claims(**changes), key or signing_key(), algorithm=algorithm, headers=headers)


@contextmanager
def run_entra(folder: Path, port: int = 0) -> Iterator[FakeEntra]:
    """Run the authority within the context."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = write_loopback_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", port), _RequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        entra = FakeEntra(f"https://127.0.0.1:{server.server_port}", certificate)
        server.entra = entra  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield entra
        finally:
            server.shutdown()
            thread.join()


class _RequestHandler(BaseHTTPRequestHandler):
    timeout = 60

    def do_GET(self) -> None:
        """Return the discovery document or the keys of the tenant."""
        entra: FakeEntra = self.server.entra  # type: ignore[attr-defined]
        entra.requested_paths.append(self.path)
        time.sleep(entra.delay_s)
        if self.path.startswith(f"/{TENANT}/oauth2/v2.0/authorize?"):
            self._redirect(*entra.sign_ins.authorize(self.path))
            return
        documents = {
            f"/{TENANT}/v2.0/.well-known/openid-configuration": {
                "issuer": entra.issuer,
                "jwks_uri": f"{entra.url}/{TENANT}/discovery/v2.0/keys",
                "authorization_endpoint": f"{entra.url}/{TENANT}/oauth2/v2.0/authorize",
                "token_endpoint": f"{entra.url}/{TENANT}/oauth2/v2.0/token",
                "end_session_endpoint": f"{entra.url}/{TENANT}/oauth2/v2.0/logout",
                **entra.discovery,
            },
            f"/{TENANT}/discovery/v2.0/keys": {"keys": [_to_jwk(kid, key) for kid, key in entra.keys.items()]},
        }
        document = documents.get(self.path)
        self._send_json(404 if document is None else entra.status, document)

    def do_POST(self) -> None:
        """Return tokens for a code or a refresh token."""
        entra: FakeEntra = self.server.entra  # type: ignore[attr-defined]
        entra.requested_paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if urlsplit(self.path).path == f"/{TENANT}/oauth2/v2.0/token" and self.headers["Origin"]:
            self._send_json(*entra.sign_ins.redeem(entra, body))
        else:
            self._send_json(404, None)

    def do_OPTIONS(self) -> None:
        """Permit the requests of web pages."""
        self._send_json(200, {})

    def _redirect(self, status: int, location: str) -> None:
        self.send_response(status)
        self.send_header("Location", location)
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_json(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def _to_jwk(kid: str, key: Any) -> dict[str, Any]:
    if isinstance(key, dict):
        return key
    return {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}
