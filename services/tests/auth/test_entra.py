"""Attacks on the verification of Entra ID tokens, with a fake authority that publishes its keys over HTTPS."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.support.fake_entra import (
    AUDIENCE,
    KEY_ID,
    OBJECT_ID,
    TENANT,
    FakeEntra,
    public_pem,
    run_entra,
    signing_key,
)
from thale.auth import entra as entra_module
from thale.auth.entra import EntraTokens
from thale.auth.last_known_value import LastKnownValue, RefreshSchedule
from thale.auth.principal import Principal
from thale.auth.signing_keys import SigningKeys, SigningKeySource
from thale.errors import (
    AuthenticationUnavailableError,
    ServerUnreachableError,
    UnauthenticatedError,
    UnexpectedResponseError,
)

OTHER = "99999999-9999-9999-9999-999999999999"
SCHEDULE = RefreshSchedule(interval_s=3600, retry_s=0.05, max_age_s=3600)
DEADLINE_S = 60


@pytest.fixture
def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEntra]:
    with run_entra(tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        yield running


@pytest.fixture
def signing_keys(entra: FakeEntra) -> Iterator[LastKnownValue[SigningKeys]]:
    value = LastKnownValue("entra_keys", SigningKeySource(entra.url, TENANT).read, SCHEDULE)
    with value.running():
        value.first_read.result(DEADLINE_S)
        yield value


@pytest.fixture
def tokens(signing_keys: LastKnownValue[SigningKeys]) -> EntraTokens:
    return EntraTokens(signing_keys, TENANT, AUDIENCE)


def authenticate(tokens: EntraTokens, token: str) -> Principal:
    return asyncio.run(tokens.authenticate(token))


def rejection(tokens: EntraTokens, token: str) -> UnauthenticatedError:
    with pytest.raises(UnauthenticatedError) as raised:
        authenticate(tokens, token)
    assert OBJECT_ID not in str(raised.value)
    assert raised.value.__cause__ is None
    return raised.value


def segment(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_valid_token_returns_its_principal(entra: FakeEntra, tokens: EntraTokens) -> None:
    principal = authenticate(tokens, entra.token())
    assert (principal.id, principal.scopes) == (f"entra:{OBJECT_ID}", {"read"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": OTHER}, "invalid"),
        ({"aud": [AUDIENCE, OTHER]}, "invalid"),
        ({"aud": "https://graph.microsoft.com"}, "invalid"),
        ({"iss": f"https://sts.windows.net/{TENANT}/"}, "invalid"),
        ({"iss": f"https://login.microsoftonline.com/{OTHER}/v2.0"}, "invalid"),
        ({"tid": OTHER}, "invalid"),
        ({"ver": "1.0"}, "invalid"),
        ({"ver": None}, "invalid"),
        ({"oid": 7}, "invalid"),
        ({"exp": 1_700_000_000}, "expired"),
        ({"exp": "soon"}, "invalid"),
        ({"nbf": 4_000_000_000}, "invalid"),
        ({"iat": 4_000_000_000}, "invalid"),
        *(({claim: None}, "invalid") for claim in ("aud", "iss", "iat", "nbf", "exp", "tid", "oid")),
    ],
)
def test_token_with_wrong_claim_is_rejected(
    entra: FakeEntra, tokens: EntraTokens, changes: dict[str, Any], reason: str
) -> None:
    assert rejection(tokens, entra.token(**changes)).reason == reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "forge",
    [
        lambda entra: entra.token(signing_key(2)),
        lambda entra: entra.token(kid=None),
        lambda entra: entra.token(kid="unknown"),
        lambda entra: entra.token(algorithm="RS512"),
        lambda entra: entra.token(algorithm="PS256"),
        lambda entra: entra.token("0" * 32, algorithm="HS256"),
        lambda entra: entra.token()[:-4] + "AAAA",
        lambda entra: entra.token().rsplit(".", 1)[0] + ".",
        lambda entra: ".".join([segment({"alg": "none", "kid": KEY_ID}), segment(entra.claims()), ""]),
        lambda entra: ".".join([segment({"alg": "RS256", "kid": KEY_ID}), segment(entra.claims()), ""]),
        lambda entra: ".".join([segment({"alg": "RS256", "kid": [KEY_ID]}), segment(entra.claims()), "AAAA"]),
        lambda entra: ".".join([segment(b"[" * 9000), segment({}), "AAAA"]),
        lambda entra: ".".join([segment([]), segment({}), "AAAA"]),
        lambda entra: ".".join([segment(b"\xff\xfe"), segment({}), "AAAA"]),
        lambda entra: "a.b.c",
        lambda entra: "..",
        lambda entra: "x",
    ],
)
def test_forged_token_is_rejected(entra: FakeEntra, tokens: EntraTokens, forge: Callable[[FakeEntra], str]) -> None:
    rejection(tokens, forge(entra))


def test_public_key_as_hmac_secret_is_rejected(entra: FakeEntra, tokens: EntraTokens) -> None:
    header, claims = segment({"alg": "HS256", "kid": KEY_ID, "typ": "JWT"}), segment(entra.claims())
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{header}.{claims}".encode(), public_pem(signing_key())
    )
    rejection(tokens, f"{header}.{claims}.{segment(signature)}")


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk"])
def test_key_in_the_token_header_is_ignored(entra: FakeEntra, tokens: EntraTokens, header: str) -> None:
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key(2).public_key()))
    value = own if header == "jwk" else f"{entra.url}/attacker"
    token = jwt.encode(entra.claims(), signing_key(2), algorithm="RS256", headers={"kid": KEY_ID, header: value})
    rejection(tokens, token)
    assert not any("attacker" in path for path in entra.requested_paths)


@pytest.mark.parametrize(("offset_s", "is_valid"), [(-30, True), (-90, False)])
def test_expiry_has_a_leeway_of_one_minute(
    entra: FakeEntra, tokens: EntraTokens, offset_s: int, is_valid: bool
) -> None:
    token = entra.token(exp=int(time.time()) + offset_s)
    if is_valid:
        assert authenticate(tokens, token)
    else:
        assert rejection(tokens, token).reason == "expired"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"roles": ["Thale.Predict", "Thale.Read"]}, {"predict", "read"}),
        ({"roles": ["Thale.Admin"]}, {"admin"}),
        ({"roles": None, "scp": "Thale.Read Thale.Predict"}, {"predict", "read"}),
        ({"roles": ["Thale.Admin"], "scp": "access"}, {"admin"}),
        ({"roles": ["Thale.Admin"], "scp": "Thale.Read"}, {"read"}),
        ({"roles": ["Thale.Read"], "scp": "Thale.Admin"}, {"read"}),
        ({"roles": ["Thale.Read"], "scp": "Thale.Predict"}, set()),
        ({"roles": None, "scp": "access"}, set()),
        ({"roles": ["thale.admin", "Admin", 7, None, ["Thale.Admin"]]}, set()),
        ({"roles": "Thale.Admin"}, set()),
        ({"roles": None, "scp": ["Thale.Admin"]}, set()),
        ({"roles": None}, set()),
    ],
)
def test_scopes_follow_from_roles_and_permissions(
    entra: FakeEntra, tokens: EntraTokens, claims: dict[str, Any], scopes: set[str]
) -> None:
    assert authenticate(tokens, entra.token(**claims)).scopes == scopes


def test_new_signing_key_is_read_on_its_first_token(entra: FakeEntra, tokens: EntraTokens) -> None:
    entra.keys["key-2"] = signing_key(2)
    assert authenticate(tokens, entra.token(signing_key(2), kid="key-2"))
    assert authenticate(tokens, entra.token())
    assert entra.reads == 2


@pytest.mark.slow
def test_flood_of_unknown_key_ids_causes_one_read(entra: FakeEntra, tokens: EntraTokens) -> None:
    for number in range(200):
        assert rejection(tokens, entra.token(kid=f"random-{number}")).reason == "unknown"
    assert entra.reads == 2


def test_concurrent_tokens_of_a_new_key_share_one_read(entra: FakeEntra, tokens: EntraTokens) -> None:
    entra.keys["key-2"] = signing_key(2)
    entra.delay_s = 0.3

    async def authenticate_all() -> list[Principal]:
        new = [entra.token(signing_key(2), kid="key-2", nonce=number) for number in range(5)]
        return await asyncio.gather(*(tokens.authenticate(token) for token in new))

    assert len(asyncio.run(authenticate_all())) == 5
    assert entra.reads == 2


def test_event_loop_runs_while_keys_are_read(entra: FakeEntra, tokens: EntraTokens) -> None:
    entra.delay_s = 0.5
    ticks = 0

    async def count_ticks() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def run() -> None:
        counter = asyncio.create_task(count_ticks())
        with pytest.raises(UnauthenticatedError):
            await tokens.authenticate(entra.token(kid="unknown"))
        counter.cancel()

    asyncio.run(run())
    assert ticks  # a read in the event loop leaves no time for one


def test_last_known_keys_are_used_while_the_authority_fails(entra: FakeEntra, tokens: EntraTokens) -> None:
    entra.status = 503
    rejection(tokens, entra.token(kid="unknown"))
    assert authenticate(tokens, entra.token())


def test_withdrawn_key_ends_its_cached_tokens(
    entra: FakeEntra, tokens: EntraTokens, signing_keys: LastKnownValue[SigningKeys]
) -> None:
    token = entra.token()
    assert authenticate(tokens, token)
    entra.keys = {"key-2": signing_key(2)}
    read = signing_keys.request_read()
    assert read is not None
    read.result(DEADLINE_S)
    assert rejection(tokens, token).reason == "unknown"


def test_cached_token_is_verified_once_and_expires(
    entra: FakeEntra, tokens: EntraTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    decode = jwt.decode
    monkeypatch.setattr(
        entra_module.jwt, "decode", lambda token, *a, **k: verified.append(token) or decode(token, *a, **k)
    )
    token = entra.token()
    for _ in range(3):
        authenticate(tokens, token)
    assert len(verified) == 1
    later = time.time() + 3700
    monkeypatch.setattr(entra_module.time, "time", lambda: later)
    authenticate(tokens, token)  # PyJWT has its own clock, which did not change
    assert len(verified) == 2


def test_cache_of_tokens_is_bounded(entra: FakeEntra, tokens: EntraTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entra_module, "_MAX_VERIFIED", 3)
    for number in range(10):
        authenticate(tokens, entra.token(nonce=number))
    assert len(tokens._verified) == 3


def test_invalid_tokens_are_not_cached(entra: FakeEntra, tokens: EntraTokens) -> None:
    for _ in range(3):
        rejection(tokens, entra.token(aud=OTHER))
    assert tokens._verified == {}


def test_unknown_keys_make_authentication_unavailable() -> None:
    value = LastKnownValue("entra_keys", SigningKeySource("https://127.0.0.1:9", TENANT).read, SCHEDULE)
    token = FakeEntra("https://127.0.0.1:9", Path()).token()
    with pytest.raises(AuthenticationUnavailableError):
        authenticate(EntraTokens(value, TENANT, AUDIENCE), token)


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": f"https://login.microsoftonline.com/{OTHER}/v2.0"},
        {"issuer": f"http://127.0.0.1/{TENANT}/v2.0"},
        {"issuer": None},
        {"jwks_uri": "http://127.0.0.1/keys"},
        {"jwks_uri": 7},
    ],
)
def test_discovery_document_of_another_tenant_is_rejected(entra: FakeEntra, discovery: dict[str, Any]) -> None:
    entra.discovery = discovery
    with pytest.raises(UnexpectedResponseError, match="THALE_ENTRA_TENANT_ID"):
        SigningKeySource(entra.url, TENANT).read()


def test_only_rsa_signing_keys_are_used(entra: FakeEntra) -> None:
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key(2).public_key()))
    secret = {"kty": "oct", "k": segment(b"0" * 32), "kid": "symmetric"}
    entra.keys |= {"encryption": {**jwk, "kid": "encryption", "use": "enc"}, "symmetric": secret}
    entra.keys |= {"short": signing_key(3, 1024), "nameless": jwk}
    assert SigningKeySource(entra.url, TENANT).read().keys.keys() == {KEY_ID}


@pytest.mark.parametrize("keys", [{}, {"x": {"kty": "RSA"}}, {"short": "1024 bits"}])
def test_set_without_usable_key_is_rejected(entra: FakeEntra, keys: dict[str, Any]) -> None:
    entra.keys = {kid: signing_key(3, 1024) if kid == "short" else key for kid, key in keys.items()}
    with pytest.raises(UnexpectedResponseError):
        SigningKeySource(entra.url, TENANT).read()


def test_untrusted_authority_is_rejected(entra: FakeEntra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ServerUnreachableError):
        SigningKeySource(entra.url, TENANT).read()
    assert entra.requested_paths == []
