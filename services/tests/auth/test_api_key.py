"""Tests of the format, the checksum and the digest of an API key."""

import hashlib
import hmac
import string

import pytest

from thale.auth.api_key import KEY_PATTERN, ApiKey, generate_pepper


def test_generated_keys_match_the_pattern_and_differ() -> None:
    keys = [ApiKey.generate() for _ in range(200)]
    assert all(KEY_PATTERN.fullmatch(key.text) for key in keys)
    assert len({key.id for key in keys}) == len({key.text[15:58] for key in keys}) == 200
    used = set("".join(key.text[15:58] for key in keys))
    assert used == set(string.ascii_letters + string.digits)


def test_key_has_the_documented_checksum() -> None:
    # CRC-32 of "thale_00000000_" and 43 zeros, in base 62 with the digits 0-9A-Za-z.
    body = f"thale_00000000_{'0' * 43}"
    key = ApiKey.parse(f"{body}0Dg5dS")
    assert key is not None
    assert key.id == "00000000"


def test_parse_returns_the_generated_key() -> None:
    key = ApiKey.generate()
    assert ApiKey.parse(key.text) == key


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text[:20] + ("a" if text[20] != "a" else "b") + text[21:],
        lambda text: text[:6] + ("a" if text[6] != "a" else "b") + text[7:],
        lambda text: text.replace("thale_", "thale-"),
        lambda text: f" {text}",
        lambda text: f"{text}\n",
        lambda text: text.upper(),
        lambda text: "",
    ],
)
def test_parse_rejects_changed_key(change) -> None:
    assert ApiKey.parse(change(ApiKey.generate().text)) is None


def test_digest_is_hmac_sha256_of_the_whole_key() -> None:
    key = ApiKey.generate()
    pepper = generate_pepper().encode()
    assert key.digest(pepper) == hmac.new(pepper, key.text.encode(), hashlib.sha256).hexdigest()
    assert key.digest(pepper) != key.digest(generate_pepper().encode())


def test_secret_is_not_part_of_the_representation() -> None:
    key = ApiKey.generate()
    assert key.text[15:] not in f"{key} {key!r}"
