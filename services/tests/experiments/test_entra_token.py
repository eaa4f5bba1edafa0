"""Connections to PostgreSQL with tokens of Entra ID: real server and azure-identity, fake authority."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.entra_postgresql import ROLE, DatabaseAuthority, run_database_authority
from tests.support.postgresql_process import PostgresqlProcess, run_postgresql
from tests.support.self_signed_certificate import write_loopback_certificate
from thale.errors import ExperimentStoreError
from thale.experiments.address import StoreAddress
from thale.experiments.database import Database
from thale.experiments.migrations import HEAD
from thale.experiments.store import ExperimentStore

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlProcess]:
    with run_postgresql(tmp_path_factory.mktemp("postgresql")) as process:
        yield process


@pytest.fixture
def authority(
    server: PostgresqlProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabaseAuthority]:
    with run_database_authority(server, tmp_path / "authority") as authority:
        for name, value in authority.environment().items():
            monkeypatch.setenv(name, value)
        yield authority


@pytest.fixture
def address(server: PostgresqlProcess, authority: DatabaseAuthority, tmp_path: Path) -> Iterator[StoreAddress]:
    server.sql(f'CREATE DATABASE entra OWNER "{ROLE}"')
    url = f"postgresql://{ROLE}@127.0.0.1:{server.port}/entra"
    yield StoreAddress(tmp_path, url, database_entra=True, database_ca_path=authority.certificate)
    server.sql("DROP DATABASE entra WITH (FORCE)")


@pytest.fixture
def database(address: StoreAddress) -> Iterator[Database]:
    database = Database(address)
    yield database
    database.close()


def test_store_opens_with_a_token_over_tls(address: StoreAddress, authority: DatabaseAuthority) -> None:
    store = ExperimentStore.open(address)
    store.close()
    assert authority.checked[0] == (ROLE, authority.issued[0])
    assert len(authority.issued) == 1, "each connection requested a token of its own"


def test_facades_that_start_together_migrate_once(address: StoreAddress) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(ExperimentStore.open, [address] * 6))
    with stores[0].database.read() as connection:
        versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    assert versions == [HEAD]
    for number, store in enumerate(stores):
        store.experiments.create(f"experiment {number}", "", "local")
    assert len(stores[0].experiments.list(10, None).items) == len(stores)
    for store in stores:
        store.close()


def test_new_connection_gets_a_new_token_when_one_expires(database: Database, authority: DatabaseAuthority) -> None:
    authority.lifetime_s = 2
    with database.read() as first:
        time.sleep(3.1)
        assert first.exec_driver_sql("SELECT 1").scalar() == 1, "an open connection ended with its token"
        with database.read() as second:
            assert second.exec_driver_sql("SELECT 2").scalar() == 2
    assert [token for _, token in authority.checked] == authority.issued[:2]
    assert len(authority.issued) == 2


def test_database_refuses_the_token_of_another_identity(database: Database, authority: DatabaseAuthority) -> None:
    authority.role = "id-thale-trainer"
    with pytest.raises(ExperimentStoreError, match=r"authentication failed.*role of the database") as caught:
        database.ping()
    assert authority.issued[0] not in str(caught.value)


def test_store_is_unavailable_when_entra_issues_no_token(database: Database, authority: DatabaseAuthority) -> None:
    authority.is_refusing = True
    with pytest.raises(ExperimentStoreError, match=r"issued no token.*az login"):
        database.ping()
    assert authority.checked == []


@pytest.mark.parametrize("case", ["public", "other", "missing"])
def test_token_is_not_sent_to_an_unverified_server(
    case: str, address: StoreAddress, authority: DatabaseAuthority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    paths = {
        "public": None,
        "other": write_loopback_certificate(tmp_path / "other")[1],
        "missing": tmp_path / "missing.pem",
    }
    database = Database(replace(address, database_ca_path=paths[case]))
    with pytest.raises(ExperimentStoreError, match=r"certificate.*THALE_EXPERIMENTS_DATABASE_CA_PATH"):
        database.ping()
    database.close()
    assert authority.checked == []


def test_token_is_not_sent_to_another_host_name(address: StoreAddress, authority: DatabaseAuthority) -> None:
    url = str(address.database_url).replace("127.0.0.1", "localhost")
    database = Database(replace(address, database_url=url))
    with pytest.raises(ExperimentStoreError, match="check the host name"):
        database.ping()
    database.close()
    assert authority.checked == []
