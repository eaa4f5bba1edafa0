"""Azurite, Microsoft's blob service for development, over HTTPS with tokens as in the cloud."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient

from tests.support.self_signed_certificate import write_loopback_certificate

AZURITE = Path(__file__).parents[2] / ".tools" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
START_TIMEOUT_S = 120


class FakeCredential:
    """A credential whose tokens have the claims that Azurite checks: issuer, audience and times."""

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        now = int(time.time())
        claims = {
            "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            "aud": "https://storage.azure.com",
            "nbf": now - 60,
            "iat": now - 60,
            "exp": now + 3600,
        }
        return AccessToken(jwt.encode(claims, "a secret of thirty-two bytes or so"), now + 3600)


@dataclass(frozen=True)
class Azurite:
    """A running Azurite."""

    url: str
    certificate: Path

    def container(self, name: str) -> str:
        """Create a container and return its URL."""
        url = f"{self.url}/{name}"
        with ContainerClient.from_container_url(
            url, FakeCredential(), connection_verify=str(self.certificate)
        ) as client:
            client.create_container()
        return url


@contextmanager
def run_azurite(folder: Path) -> Iterator[Azurite]:
    """Run Azurite within the context."""
    if not AZURITE.exists():
        pytest.skip("Azurite is not installed: run `make azurite` (requires npm)")
    key, certificate = write_loopback_certificate(folder)
    port = _free_port()
    command = [
        *(str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--oauth", "basic", "--cert", str(certificate), "--key", str(key)),
        *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
    ]
    log = folder / "azurite.log"
    with (
        log.open("wb") as log_file,
        subprocess.Popen(command, stdout=log_file, stderr=subprocess.STDOUT, cwd=folder) as server,
    ):
        try:
            _wait_until_listening(port, server, log)
            yield Azurite(f"https://127.0.0.1:{port}/devstoreaccount1", certificate)
        finally:
            server.terminate()
            server.wait(START_TIMEOUT_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_until_listening(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Azurite did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.1)
