"""Errors of the database, as one sentence with its remedy."""

import threading

import pytest
from sqlalchemy import Connection, update

from thale.errors import ExperimentStoreError
from thale.experiments.models import ExperimentRow
from thale.experiments.store import ExperimentStore


def touch(connection: Connection, experiment: str) -> None:
    connection.execute(update(ExperimentRow).where(ExperimentRow.id == experiment).values(description="changed"))


@pytest.mark.integration
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_deadlock_is_a_conflict_to_retry(store: ExperimentStore) -> None:
    first, second = (store.experiments.create(name, "", "local").id for name in "ab")
    both_hold_one = threading.Barrier(2)
    errors: list[ExperimentStoreError] = []

    def change(*experiments: str) -> None:
        try:
            with store.database.write() as connection:
                touch(connection, experiments[0])
                both_hold_one.wait(20)
                touch(connection, experiments[1])
        except ExperimentStoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=change, args=order) for order in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    [error] = errors
    assert "another request changed the same experiment at this moment: retry" in str(error)
    assert {store.experiments.get(each).description for each in (first, second)} == {"changed"}
