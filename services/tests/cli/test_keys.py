"""Tests of `thale keys`."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.fake_key_vault import run_key_vault
from thale.auth.api_key import KEY_PATTERN
from thale.auth.configured_store import open_store
from thale.auth.key_file import ApiKeyFile
from thale.cli.app import app
from thale.client import API_KEY_VARIABLE
from thale.errors import ParameterError, UnauthenticatedError
from thale.local.commands import facade_environment, torchserve_environment
from thale.local.data_dir import DataDir
from thale.local.ports import PlatformPorts
from thale.local.sockets import TorchServeSockets
from thale.local.worker_plan import plan_workers


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("THALE_KEY_VAULT", raising=False)
    monkeypatch.setenv("THALE_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["keys", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def create(*arguments: str) -> str:
    result = run("create", "--name", "imaging station", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_created_key_is_the_only_text_on_standard_output(home: Path) -> None:
    result = run("create", "--name", "lab", "--scope", "predict", "--expires", "12h")
    assert KEY_PATTERN.fullmatch(result.stdout.strip())
    record = json.loads((home / "api-keys.json").read_text())["keys"][0]
    assert (record["name"], record["scopes"]) == ("lab", ["predict"])
    lifetime = datetime.fromisoformat(record["expires"]) - datetime.fromisoformat(record["created"])
    assert lifetime == timedelta(hours=12)
    assert "not shown again" in result.stderr


def test_default_key_reads_and_predicts_for_90_days(home: Path) -> None:
    key = create()
    keyring = ApiKeyFile(home / "api-keys.json").read()
    assert keyring.authenticate(key, datetime.now(UTC)).scopes == {"read", "predict"}
    with pytest.raises(UnauthenticatedError, match="expired"):
        keyring.authenticate(key, datetime.now(UTC) + timedelta(days=90))


def test_list_shows_state_and_no_secret(home: Path) -> None:
    key, revoked = create(), create()
    run("revoke", revoked[6:14])
    output = run("list").stdout
    assert re.search(rf"{key[6:14]} .*imaging.* valid", output)
    assert re.search(rf"{revoked[6:14]} .*imaging.* revoked", output)
    digest = json.loads((home / "api-keys.json").read_text())["keys"][0]["digest"]
    assert not any(secret in output for secret in (key[15:], revoked[15:], digest))


def test_rotation_overlaps_by_the_grace_period(home: Path) -> None:
    old, new = create(), create()
    assert "valid until" in run("revoke", old[6:14], "--grace", "7d").stdout
    keyring = ApiKeyFile(home / "api-keys.json").read()
    now = datetime.now(UTC)
    assert keyring.authenticate(old, now).name == keyring.authenticate(new, now).name
    with pytest.raises(UnauthenticatedError, match="revoked"):
        keyring.authenticate(old, now + timedelta(days=7, minutes=1))
    assert keyring.authenticate(new, now + timedelta(days=7, minutes=1))


@pytest.mark.parametrize("duration", ["", "0d", "90", "d", "731d", "-1d", "1y", "1.5d"])
def test_invalid_duration_is_a_usage_error(home: Path, duration: str) -> None:
    assert run("create", "--name", "lab", "--expires", duration).exit_code == 2
    assert not (home / "api-keys.json").exists()


def test_revoke_rejects_unknown_id(home: Path) -> None:
    create()
    with pytest.raises(ParameterError, match="no API key"):
        run("revoke", "00000000")


def test_keys_are_managed_in_a_key_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_key_vault(tmp_path) as vault:
        vault.role = "Key Vault Secrets Officer"
        for name, value in vault.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        key = create("--key-vault", vault.url)
        assert key[6:14] in run("list", "--key-vault", vault.url).stdout
        run("revoke", key[6:14], "--key-vault", vault.url)
        assert open_store(vault.url, Path()).read().records[key[6:14]].revoked is not None


def test_local_platform_requires_keys_once_there_are_some(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = (DataDir(home), PlatformPorts(8080, 9090), TorchServeSockets(home))
    assert "THALE_API_KEYS_PATH" not in facade_environment(*addresses, plan_workers(1))
    create()
    assert facade_environment(*addresses, plan_workers(1))["THALE_API_KEYS_PATH"] == str(home / "api-keys.json")
    monkeypatch.setenv("THALE_KEY_VAULT", "kv-thale")
    assert "THALE_API_KEYS_PATH" not in facade_environment(*addresses, plan_workers(1))


def test_services_do_not_inherit_the_credential(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, "secret-key")
    sockets = TorchServeSockets(home)
    for environment in (
        facade_environment(DataDir(home), PlatformPorts(8080, 9090), sockets, plan_workers(1)),
        torchserve_environment(DataDir(home), sockets, plan_workers(1)),
    ):
        assert "secret-key" not in environment.values()
