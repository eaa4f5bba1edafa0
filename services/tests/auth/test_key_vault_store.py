"""Tests of API keys in a Key Vault, with Azure's own clients against a fake vault."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.support.fake_key_vault import FakeKeyVault, StoredSecret, run_key_vault
from thale.auth.api_key import ApiKey, generate_pepper
from thale.auth.configured_store import open_store
from thale.auth.key_store import ApiKeyStore, create_key, revoke_key
from thale.errors import SecretError, UnauthenticatedError
from thale.secrets.key_vault import KeyVaultSecrets

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
OFFICER, USER = "Key Vault Secrets Officer", "Key Vault Secrets User"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyVault]:
    with run_key_vault(tmp_path) as running:
        running.role = OFFICER
        for name, value in running.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def store(vault: FakeKeyVault) -> ApiKeyStore:
    return open_store(vault.url, Path())


def create(store: ApiKeyStore, lifetime: timedelta = DAY) -> ApiKey:
    return create_key(store, "lab", frozenset({"predict"}), lifetime, datetime.now(UTC))[0]


def requests_of_next_read(vault: FakeKeyVault, store: ApiKeyStore) -> list[str]:
    vault.requested_paths.clear()
    store.read()
    return [path.strip("/") for path in vault.requested_paths if "oauth2" not in path]


def test_created_key_is_valid_and_its_secret_not_stored(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    key = create(store)
    assert store.read().authenticate(key.text, NOW).id == f"key:{key.id}"
    assert vault.stored.keys() == {"api-key-pepper", f"api-key-{key.id}"}
    assert not any(key.text[15:] in secret.value for secret in vault.stored.values())
    expires = vault.stored[f"api-key-{key.id}"].expires
    assert expires is not None
    assert abs(expires - (NOW + DAY).timestamp()) < 3600


def test_reader_of_keys_needs_no_write_access(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    key = create(store)
    vault.role = USER
    assert open_store(vault.url, Path()).read().authenticate(key.text, NOW)
    with pytest.raises(SecretError, match="Key Vault Secrets Officer"):
        create(store)


def test_read_fetches_only_changed_secrets(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    keys = [create(store) for _ in range(3)]
    store.read()
    unchanged = requests_of_next_read(vault, store)
    assert {*unchanged} == {"secrets", "secrets/api-key-pepper/versions"}
    revoke_key(store, keys[0].id, datetime.now(UTC))
    changed = requests_of_next_read(vault, store)
    assert [path for path in changed if path not in unchanged] == [f"secrets/api-key-{keys[0].id}"]


def test_revoked_key_is_rejected_and_still_listed(store: ApiKeyStore) -> None:
    key, other = create(store), create(store)
    revoke_key(store, key.id, NOW)
    keyring = store.read()
    with pytest.raises(UnauthenticatedError, match="revoked"):
        keyring.authenticate(key.text, NOW)
    assert keyring.authenticate(other.text, NOW)
    assert keyring.records[key.id].name == "lab"


@pytest.mark.parametrize("change", [{"enabled": False}, {"expires": int(NOW.timestamp()) - 1}, None])
def test_key_ended_in_the_vault_is_rejected(vault: FakeKeyVault, store: ApiKeyStore, change: dict | None) -> None:
    key = create(store)
    assert store.read().authenticate(key.text, NOW)
    name = f"api-key-{key.id}"
    if change is None:
        del vault.stored[name]
    else:
        vault.stored[name] = dataclasses.replace(vault.stored[name], **change)
    with pytest.raises(UnauthenticatedError):
        store.read().authenticate(key.text, NOW)


def test_keys_of_both_pepper_versions_are_valid(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    old_key = create(store)
    old_pepper = vault.stored["api-key-pepper"]
    vault.stored["api-key-pepper"] = StoredSecret(
        generate_pepper(), created=old_pepper.created + 1, previous=[old_pepper]
    )
    new_key = create(store)
    for key in (old_key, new_key):
        assert store.read().authenticate(key.text, NOW)
    old_pepper.enabled = False
    assert store.read().authenticate(new_key.text, NOW)
    with pytest.raises(UnauthenticatedError):
        store.read().authenticate(old_key.text, NOW)


def test_create_replaces_a_pepper_that_is_not_valid_any_more(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    old_key = create(store)
    vault.stored["api-key-pepper"].enabled = False
    key = create(store)
    assert store.read().authenticate(key.text, NOW)
    with pytest.raises(UnauthenticatedError):
        store.read().authenticate(old_key.text, NOW)


def test_vault_without_pepper_is_reported(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    with pytest.raises(SecretError, match="no valid secret 'api-key-pepper'"):
        store.read()
    vault.stored["api-key-pepper"] = StoredSecret("short")
    with pytest.raises(SecretError, match="at least 32 characters"):
        store.read()


@pytest.mark.parametrize("value", ["", "{}", '{"id": "secret-text"}'])
def test_invalid_record_does_not_affect_other_keys(
    vault: FakeKeyVault, store: ApiKeyStore, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = create(store)
    vault.stored["api-key-00000000"] = StoredSecret(value)
    assert store.read().authenticate(key.text, NOW)
    assert "API key record is invalid" in caplog.text
    assert [record.error.split(":")[0] for record in caplog.records if "invalid" in record.message] == [
        "api-key-00000000"
    ]
    assert "secret-text" not in caplog.text


def test_record_under_another_id_is_ignored(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    key = create(store)
    vault.stored["api-key-00000000"] = vault.stored.pop(f"api-key-{key.id}")
    with pytest.raises(UnauthenticatedError):
        store.read().authenticate(key.text, NOW)


@pytest.mark.slow
def test_failing_vault_raises_a_secret_error(vault: FakeKeyVault, store: ApiKeyStore) -> None:
    create(store)
    vault.status = HTTPStatus.SERVICE_UNAVAILABLE
    with pytest.raises(SecretError, match="returned 503"):
        store.read()


def test_disabled_secret_is_not_a_missing_role(vault: FakeKeyVault) -> None:
    vault.stored["note"] = StoredSecret("text", enabled=False)
    secrets = KeyVaultSecrets.from_vault(vault.url)
    assert secrets.read("note") is None
    assert secrets.read("missing") is None
    vault.role = "Key Vault Reader"
    with pytest.raises(SecretError, match="Key Vault Secrets User"):
        secrets.read("note")
