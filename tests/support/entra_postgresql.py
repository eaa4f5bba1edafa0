"""PostgreSQL that accepts tokens of a fake Entra ID as passwords, as Azure Database for PostgreSQL does.

The real server asks for a cleartext password over TLS, and passes it to an LDAP server, its only method that hands a
password of this length to another program. That server, a thread of the test, verifies the token: signature, audience,
expiry, and that the name of the role is that of the identity. The tokens come from a token endpoint over HTTPS, to
which the real azure-identity sends the token of a pod.
"""

import io
import json
import shutil
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt

from tests.support.postgresql_process import PostgresqlProcess
from tests.support.self_signed_certificate import write_loopback_certificate

ROLE = "id-thale-facade"
AUDIENCE = "https://ossrdbms-aad.database.windows.net"
_TENANT = "11111111-1111-1111-1111-111111111111"
_CLIENT = "22222222-2222-2222-2222-222222222222"
_KEY = "a key of the fake authority, with enough bytes"
_INVALID_CREDENTIALS = 49


@dataclass
class DatabaseAuthority:
    """State of the fake authority: issued tokens, and the passwords that the database passed to it."""

    folder: Path
    certificate: Path
    lifetime_s: int = 3600
    role: str = ROLE
    is_refusing: bool = False
    url: str = ""
    issued: list[str] = field(default_factory=list)
    checked: list[tuple[str, str]] = field(default_factory=list)
    """Role and token of each connection to the database."""

    def issue(self) -> str:
        expiry, number = int(time.time()) + self.lifetime_s, len(self.issued)
        claims = {"aud": AUDIENCE, "exp": expiry, "role": self.role, "jti": str(number)}
        self.issued.append(jwt.encode(claims, _KEY))
        return self.issued[-1]

    def accepts(self, role: str, token: str) -> bool:
        self.checked.append((role, token))
        try:
            return bool(jwt.decode(token, _KEY, ["HS256"], audience=AUDIENCE)["role"] == role)
        except jwt.PyJWTError:
            return False

    def environment(self) -> dict[str, str]:
        """Return the environment variables of AKS workload identity, and of the fake's certificate."""
        assertion = self.folder / "azure-identity-token"
        assertion.write_text("token of the pod")
        return {
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": _TENANT,
            "AZURE_CLIENT_ID": _CLIENT,
            "AZURE_FEDERATED_TOKEN_FILE": str(assertion),
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }


@contextmanager
def run_database_authority(postgresql: PostgresqlProcess, folder: Path) -> Iterator[DatabaseAuthority]:
    """Let the role of the identity sign in to a running PostgreSQL by tokens, within the context."""
    folder.mkdir()
    key, certificate = write_loopback_certificate(folder)
    authority = DatabaseAuthority(folder, certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with ExitStack() as stack:
        entra = stack.enter_context(_Server(("127.0.0.1", 0), _TokenEndpoint, authority))
        entra.socket = context.wrap_socket(entra.socket, server_side=True)
        authority.url = f"https://127.0.0.1:{entra.server_port}"
        ldap = stack.enter_context(_LdapServer(("127.0.0.1", 0), authority))
        for server in (entra, ldap):
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        _configure(postgresql, key, certificate, int(ldap.server_address[1]))
        yield authority


def _configure(postgresql: PostgresqlProcess, key: Path, certificate: Path, ldap_port: int) -> None:
    """Enable TLS, and tokens for the role of the identity. Other roles keep their passwords."""
    data = postgresql.folder / "data"
    for source, name in ((key, "server.key"), (certificate, "server.crt")):
        shutil.copyfile(source, data / name)
        (data / name).chmod(0o600)
        shutil.chown(data / name, data.owner(), data.group())
    access = data / "pg_hba.conf"
    lines = [line for line in access.read_text().splitlines() if " ldap " not in line]
    server = f"ldapserver=127.0.0.1 ldapport={ldap_port}"
    lines.insert(0, f'hostssl all "{ROLE}" 127.0.0.1/32 ldap {server} ldapprefix="" ldapsuffix=""')
    access.write_text("\n".join(lines) + "\n")
    postgresql.sql("ALTER SYSTEM SET ssl = on")
    postgresql.sql("SELECT pg_reload_conf()")
    postgresql.sql(f"""DO $$ BEGIN CREATE ROLE "{ROLE}" LOGIN; EXCEPTION WHEN duplicate_object THEN END $$""")


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], state: Any) -> None:
        super().__init__(address, handler)
        self.authority: DatabaseAuthority = state


class _TokenEndpoint(BaseHTTPRequestHandler):
    timeout = 60

    def do_POST(self) -> None:
        """Exchange the token of a pod for a token of the database."""
        authority = self.server.authority  # type: ignore[attr-defined]
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        expected = [f"{AUDIENCE}/.default"], [_CLIENT], ["token of the pod"]
        actual = tuple(form.get(name) for name in ("scope", "client_id", "client_assertion"))
        if authority.is_refusing or actual != expected:
            body: dict[str, Any] = {"error": "invalid_client", "error_description": "AADSTS700213: no federation"}
        else:
            life = authority.lifetime_s
            body = {"token_type": "Bearer", "expires_in": life, "access_token": authority.issue()}
        data = json.dumps(body).encode()
        self.send_response(401 if "error" in body else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


class _LdapServer(socketserver.ThreadingTCPServer):
    """Responds to simple binds of LDAP version 3."""

    def __init__(self, address: tuple[str, int], state: DatabaseAuthority) -> None:
        super().__init__(address, _LdapBind)
        self.authority = state


class _LdapBind(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Read one bind request: message id, version, name and password, all in BER."""
        _, message = _read_element(self.rfile)
        (_, number), (_, bind) = _elements(message)[:2]
        _version, (_, name), (_, password) = _elements(bind)
        authority = self.server.authority  # type: ignore[attr-defined]
        is_accepted = authority.accepts(name.decode(), password.decode())
        result = _element(0x0A, bytes([0 if is_accepted else _INVALID_CREDENTIALS])) + _element(4, b"") * 2
        self.wfile.write(_element(0x30, _element(2, number) + _element(0x61, result)))


def _element(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    stream, found = io.BytesIO(data), []
    while stream.tell() < len(data):
        found.append(_read_element(stream))
    return found


def _read_element(stream: Any) -> tuple[int, bytes]:
    tag, length = stream.read(2)
    if length & 0x80:
        length = int.from_bytes(stream.read(length & 0x7F), "big")
    return tag, stream.read(length)
