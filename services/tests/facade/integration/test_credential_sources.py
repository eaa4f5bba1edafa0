"""A facade with a Key Vault and Entra ID as its sources of credentials, also while they are unavailable."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support import sample_images
from tests.support.facade_without_models import settings_of
from tests.support.fake_entra import AUDIENCE, OBJECT_ID, TENANT, FakeEntra, run_entra, signing_key
from tests.support.fake_key_vault import FakeKeyVault, run_key_vault
from tests.support.running_facade import Facade, running_facade
from thale.auth.api_key import ApiKey
from thale.auth.configured_store import open_store
from thale.auth.key_store import create_key, revoke_key
from thale.facade.settings import FacadeSettings

pytestmark = pytest.mark.integration

DEADLINE_S = 120
INTERVAL_S = 0.3


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKeyVault]:
    with run_key_vault(tmp_path) as running:
        running.role = "Key Vault Secrets Officer"
        for name, value in running.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEntra]:
    with run_entra(tmp_path / "entra") as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", running.url)
        yield running


def vault_settings(folder: Path, vault: FakeKeyVault, **fields: object) -> FacadeSettings:
    return settings_of(folder, key_vault=vault.url, key_vault_interval_s=INTERVAL_S, **fields)


def create(vault: FakeKeyVault) -> ApiKey:
    return create_key(open_store(vault.url, Path()), "lab", frozenset({"read"}), timedelta(days=1), datetime.now(UTC))[
        0
    ]


def status_of(facade: Facade, credential: str) -> int:
    return facade.get("/v1/models", Authorization=f"Bearer {credential}").status


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_key_in_vault_is_accepted_until_it_is_revoked(vault: FakeKeyVault, tmp_path: Path) -> None:
    key = create(vault)
    with running_facade(vault_settings(tmp_path, vault)) as facade:
        wait_until(lambda: status_of(facade, key.text) == 200)
        new_key = create(vault)
        wait_until(lambda: status_of(facade, new_key.text) == 200)
        revoke_key(open_store(vault.url, Path()), key.id, datetime.now(UTC))
        wait_until(lambda: status_of(facade, key.text) == 401)
        assert status_of(facade, new_key.text) == 200


def test_last_known_keys_are_used_while_the_vault_fails(vault: FakeKeyVault, tmp_path: Path) -> None:
    key = create(vault)
    with running_facade(vault_settings(tmp_path, vault)) as facade:
        wait_until(lambda: status_of(facade, key.text) == 200)
        read_at = REGISTRY.get_sample_value("thale_facade_credentials_read_timestamp_seconds", {"source": "api_keys"})
        assert read_at is not None
        assert abs(read_at - time.time()) < DEADLINE_S
        vault.status = HTTPStatus.SERVICE_UNAVAILABLE
        vault.requested_paths.clear()
        wait_until(lambda: len(vault.requested_paths) >= 3)
        assert status_of(facade, key.text) == 200
        assert status_of(facade, ApiKey.generate().text) == 401


def test_keys_are_not_used_beyond_their_maximum_age(vault: FakeKeyVault, tmp_path: Path) -> None:
    key = create(vault)
    with running_facade(vault_settings(tmp_path, vault, credentials_max_age_s=5.0)) as facade:
        wait_until(lambda: status_of(facade, key.text) == 200)
        vault.status = HTTPStatus.SERVICE_UNAVAILABLE
        wait_until(lambda: status_of(facade, key.text) == 503)
        vault.status = None
        wait_until(lambda: status_of(facade, key.text) == 200)


def test_facade_rejects_requests_until_the_vault_is_up(vault: FakeKeyVault, tmp_path: Path) -> None:
    key = create(vault)
    vault.status = HTTPStatus.SERVICE_UNAVAILABLE
    with running_facade(vault_settings(tmp_path, vault)) as facade:
        reply = facade.phenotype(sample_images.png(), Authorization=f"Bearer {key.text}")
        assert (reply.status, reply.problem) == (503, "authentication-unavailable")
        assert reply.headers["retry-after"]
        assert facade.get("/v1/models").status == 401
        assert facade.get("/health/live").status == 200
        vault.status = None
        wait_until(lambda: status_of(facade, key.text) == 200)


def test_token_is_accepted_with_its_roles(entra: FakeEntra, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, entra_tenant_id=TENANT, entra_audience=AUDIENCE)
    with running_facade(settings) as facade:
        wait_until(lambda: status_of(facade, entra.token()) == 200)
        reply = facade.phenotype(sample_images.png(), Authorization=f"Bearer {entra.token()}")
        assert (reply.status, reply.problem) == (403, "forbidden")
        assert status_of(facade, entra.token(roles=None)) == 403
        predict = facade.phenotype(sample_images.png(), Authorization=f"Bearer {entra.token(roles=['Thale.Predict'])}")
        assert predict.status not in (401, 403)
        for token in (
            entra.token(aud="https://graph.microsoft.com"),
            entra.token(signing_key(2)),
            entra.token(exp=1_700_000_000),
            ApiKey.generate().text,
        ):
            rejected = facade.get("/v1/models", Authorization=f"Bearer {token}")
            assert (rejected.status, rejected.problem) == (401, "unauthenticated")
            assert OBJECT_ID not in rejected.body.decode()


def test_facade_rejects_tokens_until_the_authority_is_up(entra: FakeEntra, tmp_path: Path) -> None:
    entra.status = 503
    with running_facade(settings_of(tmp_path, entra_tenant_id=TENANT, entra_audience=AUDIENCE)) as facade:
        assert status_of(facade, entra.token()) == 503
        entra.status = 200
        wait_until(lambda: status_of(facade, entra.token()) == 200)


def test_facade_is_not_ready_before_credentials_are_read(vault: FakeKeyVault, tmp_path: Path) -> None:
    """The vault has no pepper yet, so no key can be verified."""
    with running_facade(vault_settings(tmp_path, vault)) as facade:
        assert "no source of credentials can be read" in str(facade.get("/health/ready").json)
        create(vault)
        wait_until(lambda: "no source of credentials" not in str(facade.get("/health/ready").json))
