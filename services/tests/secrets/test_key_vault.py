"""Tests of secrets in a Key Vault, with Azure's own clients against a fake vault."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.support.fake_key_vault import TENANT, FakeKeyVault, StoredSecret, run_key_vault
from thale.errors import SecretError
from thale.secrets import FileSecrets, Secrets, open_secrets

EXPIRES = datetime(2027, 1, 31, tzinfo=UTC)
LATER = datetime(2028, 1, 31, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyVault]:
    """Run a vault with five secrets, and give this process a workload identity."""
    with run_key_vault(tmp_path) as running:
        running.stored = {
            "api-key": StoredSecret("k-1", int(EXPIRES.timestamp())),
            "license": StoredSecret("k-2"),
            "old": StoredSecret("k-3", int(EXPIRES.timestamp()), enabled=False),
            "signing": StoredSecret("k-4", int(LATER.timestamp())),
            "tokens": StoredSecret("k-5", int(LATER.timestamp())),
        }
        for name, value in running.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


def secrets_of(address: str) -> Secrets:
    secrets = open_secrets(address, None)
    assert secrets is not None
    return secrets


def test_expiries_read_all_pages_without_values(vault: FakeKeyVault) -> None:
    vault.role = "Key Vault Reader"
    secrets = secrets_of(vault.url)
    assert secrets.expiries() == {"api-key": EXPIRES, "license": None, "signing": LATER, "tokens": LATER}
    assert f"/{TENANT}/oauth2/v2.0/token" in vault.requested_paths
    assert {path for path in vault.requested_paths if "oauth2" not in path} == {"/secrets"}


def test_value_is_not_part_of_its_representation(vault: FakeKeyVault) -> None:
    value = secrets_of(vault.url).value("api-key")
    assert value.get_secret_value() == "k-1"
    assert "k-1" not in f"{value} {value!r}"


def test_access_token_is_requested_once(vault: FakeKeyVault) -> None:
    secrets = secrets_of(vault.url)
    for _ in range(3):
        secrets.expiries()
    assert sum("oauth2" in path for path in vault.requested_paths) == 1


def test_missing_secret_is_named(vault: FakeKeyVault) -> None:
    with pytest.raises(SecretError, match="has no secret 'missing'"):
        secrets_of(vault.url).value("missing")


def test_missing_role_is_named(vault: FakeKeyVault) -> None:
    vault.role = "Key Vault Reader"
    with pytest.raises(SecretError, match="the role Key Vault Secrets User"):
        secrets_of(vault.url).value("api-key")
    vault.role = ""
    with pytest.raises(SecretError, match="the role Key Vault Reader"):
        secrets_of(vault.url).expiries()


def test_other_service_account_has_no_credential(
    vault: FakeKeyVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.environment(tmp_path, "system:serviceaccount:thale:facade")
    monkeypatch.setenv("PATH", str(tmp_path))  # no `az` command
    with pytest.raises(SecretError, match="no credential for"):
        secrets_of(vault.url).expiries()


@pytest.mark.slow
def test_failing_vault_is_reported_with_its_status(vault: FakeKeyVault) -> None:
    vault.status = HTTPStatus.SERVICE_UNAVAILABLE
    with pytest.raises(SecretError, match="returned 503"):
        secrets_of(vault.url).expiries()


@pytest.mark.slow
def test_unreachable_vault_is_reported(vault: FakeKeyVault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SecretError, match="cannot be reached"):
        secrets_of(f"https://127.0.0.1:{port}").expiries()


def test_token_is_not_sent_to_server_of_another_domain(vault: FakeKeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeKeyVault, "resource", "https://vault.azure.net")
    with pytest.raises(SecretError, match="did not send the challenge of a Key Vault"):
        secrets_of(vault.url).expiries()
    assert not any("oauth2" in path for path in vault.requested_paths)


@pytest.mark.parametrize(
    "address", ["", "x", "http://kv-thale.vault.azure.net", "kv_thale", "https://host/path", "1kv"]
)
def test_invalid_vault_is_rejected(address: str) -> None:
    with pytest.raises(SecretError, match="is not a Key Vault"):
        open_secrets(address, None)


def test_open_secrets_rejects_two_sources(tmp_path: Path) -> None:
    assert open_secrets(None, None) is None
    assert isinstance(open_secrets(None, tmp_path / "secrets.toml"), FileSecrets)
    with pytest.raises(SecretError, match="two sources"):
        open_secrets("kv-thale", tmp_path / "secrets.toml")


def test_missing_azure_packages_are_named() -> None:
    program = """
import sys
for name in ("azure", "azure.identity", "azure.keyvault", "azure.keyvault.secrets"):
    sys.modules[name] = None
from thale.secrets import open_secrets
try:
    open_secrets("kv-thale", None)
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120
    )
    assert (
        result.stdout.strip() == "SecretError Azure Key Vault requires the Azure packages: pip install 'thale[azure]'"
    ), result
