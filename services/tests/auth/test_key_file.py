"""Tests of API keys in a file."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thale.auth import key_file
from thale.auth.api_key import ApiKey, generate_pepper
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key, revoke_key
from thale.errors import ParameterError, SecretError, UnauthenticatedError

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "api-keys.json"


def create(path: Path, name: str = "lab") -> ApiKey:
    return create_key(ApiKeyFile(path), name, frozenset({"predict"}), DAY, NOW)[0]


def test_created_key_is_valid_and_stored_without_secret(path: Path) -> None:
    key = create(path)
    assert ApiKeyFile(path).read().authenticate(key.text, NOW).id == f"key:{key.id}"
    stored = path.read_text() + path.with_name("secrets.toml").read_text()
    assert key.text[15:] not in stored


def test_files_belong_to_the_owner_only(path: Path) -> None:
    create(path)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["api-keys.json", "secrets.toml"])
def test_file_that_others_can_read_is_rejected(path: Path, name: str) -> None:
    create(path)
    path.with_name(name).chmod(0o640)
    with pytest.raises(SecretError, match=rf"other users can access .*{name}"):
        ApiKeyFile(path).read()


def test_revoked_key_is_rejected_and_others_stay_valid(path: Path) -> None:
    key, other = create(path), create(path)
    revoke_key(ApiKeyFile(path), key.id, NOW)
    keyring = ApiKeyFile(path).read()
    with pytest.raises(UnauthenticatedError, match="revoked"):
        keyring.authenticate(key.text, NOW)
    assert keyring.authenticate(other.text, NOW).name == "lab"


def test_revoke_keeps_an_earlier_revocation(path: Path) -> None:
    key = create(path)
    assert revoke_key(ApiKeyFile(path), key.id, NOW).revoked == NOW
    assert revoke_key(ApiKeyFile(path), key.id, NOW + DAY).revoked == NOW


def test_revoke_names_an_unknown_id(path: Path) -> None:
    create(path)
    with pytest.raises(ParameterError, match="thale keys list"):
        revoke_key(ApiKeyFile(path), "00000000", NOW)


def test_key_of_previous_pepper_is_valid_until_its_expiry(path: Path) -> None:
    key = create(path)
    secrets = path.with_name("secrets.toml")
    previous = secrets.read_text().replace("api-key-pepper", "api-key-pepper-previous")
    secrets.write_text(
        f'{previous}expires = {NOW + DAY:%Y-%m-%dT%H:%M:%SZ}\n[api-key-pepper]\nvalue = "{generate_pepper()}"'
    )
    new = create(path)
    keyring = ApiKeyFile(path).read()
    assert keyring.authenticate(key.text, NOW)
    assert keyring.authenticate(new.text, NOW)
    secrets.write_text(secrets.read_text().replace(f"{NOW + DAY:%Y-%m-%d}", "2026-01-01"))
    with pytest.raises(UnauthenticatedError, match="unknown"):
        ApiKeyFile(path).read().authenticate(key.text, NOW)


def test_pepper_is_added_to_an_existing_file_of_secrets(path: Path) -> None:
    path.parent.mkdir()
    secrets = path.with_name("secrets.toml")
    secrets.write_text('# notes\n[license]\nvalue = "abc"')
    secrets.chmod(0o600)
    key = create(path)
    assert secrets.read_text().startswith('# notes\n[license]\nvalue = "abc"\n\n[api-key-pepper]\n')
    assert ApiKeyFile(path).read().authenticate(key.text, NOW)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"keys": [{"id": "x"}]}'])
def test_invalid_file_is_reported_without_its_content(path: Path, content: str) -> None:
    create(path)
    digest = json.loads(path.read_text())["keys"][0]["digest"]
    path.write_text(content.replace("x", digest))
    with pytest.raises(SecretError, match="is not a list of API keys") as raised:
        ApiKeyFile(path).read()
    assert digest not in str(raised.value)


def test_missing_file_is_an_error(path: Path) -> None:
    with pytest.raises(SecretError, match="cannot be read"):
        ApiKeyFile(path).read()


def test_unchanged_files_are_parsed_once_a_minute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = create(path)
    store = ApiKeyFile(path)
    keyring = store.read()
    assert store.read() is keyring
    revoke_key(ApiKeyFile(path), key.id, NOW)
    assert store.read().records[key.id].revoked == NOW
    path.chmod(0o644)
    with pytest.raises(SecretError, match="other users"):
        store.read()
    path.chmod(0o600)
    keyring = store.read()
    now_s = time.monotonic()
    monkeypatch.setattr(key_file.time, "monotonic", lambda: now_s + 61)
    assert store.read() is not keyring


@pytest.mark.parametrize("pepper", ["short", ""])
def test_short_pepper_is_rejected(path: Path, pepper: str) -> None:
    create(path)
    path.with_name("secrets.toml").write_text(f'[api-key-pepper]\nvalue = "{pepper}"')
    with pytest.raises(SecretError, match="of at least 32 characters"):
        ApiKeyFile(path).read()


@pytest.mark.parametrize("name", ["", "a" * 101, "two\nlines"])
def test_invalid_name_is_rejected(path: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="name"):
        create(path, name)


def test_concurrent_writers_lose_no_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = [*pool.map(lambda number: create(path, f"caller {number}"), range(24))]
    keyring = ApiKeyFile(path).read()
    assert {keyring.authenticate(key.text, NOW).name for key in keys} == {f"caller {number}" for number in range(24)}
