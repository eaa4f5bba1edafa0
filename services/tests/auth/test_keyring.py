"""Tests of the verification of API keys."""

import hmac
from datetime import UTC, datetime, timedelta

import pytest

from thale.auth import keyring as keyring_module
from thale.auth.api_key import ApiKey, generate_pepper
from thale.auth.keyring import ApiKeyRecord, Keyring
from thale.errors import UnauthenticatedError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PEPPER, OLD_PEPPER = generate_pepper().encode(), generate_pepper().encode()


def record_of(key: ApiKey, pepper: bytes = PEPPER, **changes: object) -> ApiKeyRecord:
    fields = {"expires": NOW + timedelta(days=1), **changes}
    return ApiKeyRecord(
        id=key.id, name="lab", scopes=frozenset({"read"}), digest=key.digest(pepper), created=NOW, **fields
    )


def keyring_of(*records: ApiKeyRecord, peppers: tuple[bytes, ...] = (PEPPER,)) -> Keyring:
    return Keyring({record.id: record for record in records}, peppers)


def rejection(keyring: Keyring, credential: str, now: datetime = NOW) -> str:
    with pytest.raises(UnauthenticatedError) as raised:
        keyring.authenticate(credential, now)
    assert credential not in str(raised.value) or not credential
    return raised.value.reason


def test_valid_key_returns_its_principal() -> None:
    key = ApiKey.generate()
    principal = keyring_of(record_of(key)).authenticate(key.text, NOW)
    assert (principal.id, principal.name, principal.scopes) == (f"key:{key.id}", "lab", {"read"})


def test_two_keys_of_one_name_are_valid_together() -> None:
    old, new = ApiKey.generate(), ApiKey.generate()
    keyring = keyring_of(record_of(old, revoked=NOW + timedelta(days=7)), record_of(new))
    for key in (old, new):
        assert keyring.authenticate(key.text, NOW).name == "lab"
    assert rejection(keyring, old.text, NOW + timedelta(days=7)) == "revoked"


def test_expired_and_revoked_keys_are_rejected() -> None:
    key = ApiKey.generate()
    assert rejection(keyring_of(record_of(key, expires=NOW)), key.text) == "expired"
    assert rejection(keyring_of(record_of(key, revoked=NOW)), key.text) == "revoked"


def test_secret_of_another_key_is_rejected() -> None:
    key, other = ApiKey.generate(), ApiKey.generate()
    record = record_of(key).model_copy(update={"id": other.id})
    assert rejection(keyring_of(record), other.text) == "unknown"


@pytest.mark.parametrize("revoked", [None, NOW])
def test_state_of_a_key_is_hidden_without_its_secret(revoked: datetime | None) -> None:
    key, guess = ApiKey.generate(), ApiKey.generate()
    record = record_of(key, revoked=revoked).model_copy(update={"id": guess.id})
    assert rejection(keyring_of(record), guess.text) == rejection(keyring_of(), guess.text) == "unknown"


def test_malformed_key_is_rejected() -> None:
    assert rejection(keyring_of(), "thale_00000000_short") == "malformed"


def test_key_of_previous_pepper_is_valid_during_rotation() -> None:
    key = ApiKey.generate()
    record = record_of(key, OLD_PEPPER)
    assert keyring_of(record, peppers=(PEPPER, OLD_PEPPER)).authenticate(key.text, NOW).name == "lab"
    assert rejection(keyring_of(record, peppers=(PEPPER,)), key.text) == "unknown"


@pytest.mark.parametrize("is_known", [True, False])
def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, is_known: bool) -> None:
    compared: list[tuple[str, str]] = []

    def record_comparison(left: str, right: str) -> bool:
        compared.append((left, right))
        return original(left, right)

    original = hmac.compare_digest
    monkeypatch.setattr(keyring_module.hmac, "compare_digest", record_comparison)
    key, guess = ApiKey.generate(), ApiKey.generate()
    record = record_of(key).model_copy(update={"id": guess.id if is_known else key.id})
    assert rejection(keyring_of(record, peppers=(PEPPER, OLD_PEPPER)), guess.text) == "unknown"
    assert [left for left, _ in compared] == [guess.digest(PEPPER), guess.digest(OLD_PEPPER)]
    assert all(len(left) == len(right) for left, right in compared)


def test_verified_key_is_cached_and_still_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ApiKey.generate()
    keyring = keyring_of(record_of(key, expires=NOW + timedelta(hours=1)))
    assert keyring.authenticate(key.text, NOW)
    monkeypatch.setattr(ApiKey, "digest", None)
    assert keyring.authenticate(key.text, NOW)
    assert rejection(keyring, key.text, NOW + timedelta(hours=1)) == "expired"


def test_cached_keys_are_bounded_and_valid_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "_MAX_VERIFIED", 2)
    keys = [ApiKey.generate() for _ in range(4)]
    keyring = keyring_of(*(record_of(key) for key in keys))
    assert all(keyring.authenticate(key.text, NOW) for key in keys)
    rejection(keyring, ApiKey.generate().text)
    rejection(keyring, "thale_x")
    assert len(keyring._verified) == 2
    assert keyring == keyring_of(*(record_of(key) for key in keys))


def test_digest_and_pepper_are_not_in_representations() -> None:
    record = record_of(ApiKey.generate())
    text = repr(keyring_of(record))
    assert record.digest not in text
    assert PEPPER.decode() not in text
