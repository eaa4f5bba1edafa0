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
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyVault]:
    """A vault with five secrets, and this process as a pod that has an identity."""
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


def secrets_of(vault: str) -> Secrets:
    found = open_secrets(vault, None)
    assert found is not None
    return found


def test_the_expiry_of_all_pages_is_read_without_a_value(cloud: FakeKeyVault) -> None:
    cloud.role = "Key Vault Reader"
    secrets = secrets_of(cloud.url)
    assert secrets.expiries() == {"api-key": EXPIRES, "signing": LATER, "tokens": LATER}
    assert f"/{TENANT}/oauth2/v2.0/token" in cloud.requested_paths
    assert {path for path in cloud.requested_paths if "oauth2" not in path} == {"/secrets"}


def test_a_value_is_read_and_does_not_show(cloud: FakeKeyVault) -> None:
    value = secrets_of(cloud.url).value("api-key")
    assert value.get_secret_value() == "k-1"
    assert "k-1" not in f"{value} {value!r}"


def test_a_token_is_asked_for_once(cloud: FakeKeyVault) -> None:
    secrets = secrets_of(cloud.url)
    for _ in range(3):
        secrets.expiries()
    assert sum("oauth2" in path for path in cloud.requested_paths) == 1


def test_a_secret_that_is_not_there_is_named(cloud: FakeKeyVault) -> None:
    with pytest.raises(SecretError, match="has no secret 'missing'"):
        secrets_of(cloud.url).value("missing")


def test_a_missing_role_is_named(cloud: FakeKeyVault) -> None:
    cloud.role = "Key Vault Reader"
    with pytest.raises(SecretError, match="the role Key Vault Secrets User"):
        secrets_of(cloud.url).value("api-key")
    cloud.role = ""
    with pytest.raises(SecretError, match="the role Key Vault Reader"):
        secrets_of(cloud.url).expiries()


def test_who_is_somebody_else_is_nobody(cloud: FakeKeyVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.environment(tmp_path, "system:serviceaccount:thale:facade")
    monkeypatch.setenv("PATH", str(tmp_path))  # no `az` here that could be signed in
    with pytest.raises(SecretError, match="nobody is signed in"):
        secrets_of(cloud.url).expiries()


def test_a_vault_that_is_ill_is_told_with_its_status(cloud: FakeKeyVault) -> None:
    cloud.status = HTTPStatus.SERVICE_UNAVAILABLE
    with pytest.raises(SecretError, match="answered 503"):
        secrets_of(cloud.url).expiries()


def test_a_vault_that_is_away_is_told(cloud: FakeKeyVault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SecretError, match="cannot be reached"):
        secrets_of(f"https://127.0.0.1:{port}").expiries()


def test_no_token_is_sent_to_who_is_no_key_vault(cloud: FakeKeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeKeyVault, "resource", "https://vault.azure.net")
    with pytest.raises(SecretError, match="does not ask for a token as a Key Vault does"):
        secrets_of(cloud.url).expiries()
    assert not any("oauth2" in path for path in cloud.requested_paths)


@pytest.mark.parametrize("vault", ["", "x", "http://kv-thale.vault.azure.net", "kv_thale", "https://host/path", "1kv"])
def test_what_can_be_no_vault_is_refused(vault: str) -> None:
    with pytest.raises(SecretError, match="is no Key Vault"):
        open_secrets(vault, None)


def test_secrets_come_from_one_source(tmp_path: Path) -> None:
    assert open_secrets(None, None) is None
    assert isinstance(open_secrets(None, tmp_path / "secrets.toml"), FileSecrets)
    with pytest.raises(SecretError, match="one source"):
        open_secrets("kv-thale", tmp_path / "secrets.toml")


def test_without_azure_s_packages_the_extra_is_named() -> None:
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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.strip() == "SecretError Azure Key Vault needs more packages: pip install 'thale[azure]'", done
