"""Fixtures of the store's tests: each contract test runs with SQLite and with PostgreSQL."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgresql_process import PostgresqlProcess, run_postgresql
from thale.experiments.address import StoreAddress
from thale.experiments.store import ExperimentStore

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlProcess]:
    with run_postgresql(tmp_path_factory.mktemp("postgresql")) as process:
        yield process


@pytest.fixture(params=BACKENDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """Address of an empty store."""
    if request.param == "sqlite":
        return StoreAddress(tmp_path / "experiments")
    server: PostgresqlProcess = request.getfixturevalue("postgresql")
    url = server.create_database(f"thale{next(_numbers)}")
    return StoreAddress(tmp_path / "experiments", url, server.password_path)


@pytest.fixture
def store(address: StoreAddress) -> Iterator[ExperimentStore]:
    store = ExperimentStore.open(address)
    try:
        yield store
    finally:
        store.close()
