"""Schema of the store: created under a lock, equal to the models, and refused if it is newer."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from thale.errors import ExperimentStoreError, SchemaVersionError
from thale.experiments.address import StoreAddress
from thale.experiments.database import Database
from thale.experiments.migrate import known_revisions, migrate, read_revision
from thale.experiments.migrations import HEAD
from thale.experiments.models import Table
from thale.experiments.store import ExperimentStore


def test_head_is_the_last_script() -> None:
    assert max(known_revisions()) == HEAD


def test_schema_equals_the_models(store: ExperimentStore) -> None:
    with store.database.read() as connection:
        assert read_revision(connection) == HEAD
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_stores_that_open_at_once_migrate_once(address: StoreAddress) -> None:
    with ThreadPoolExecutor(3) as threads:
        stores = list(threads.map(lambda _: ExperimentStore.open(address), range(3)))
    stores[0].experiments.create("a", "", "local")
    assert [store.experiments.get("a").name for store in stores] == ["a"] * 3
    for store in stores:
        store.close()


def test_newer_schema_is_refused(address: StoreAddress) -> None:
    store = ExperimentStore.open(address)
    with store.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(SchemaVersionError, match=r"9999.*use the version of thale that wrote it"):
        ExperimentStore.open(address)


def test_failed_migration_leaves_nothing(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade

    def fail(*arguments: object) -> None:
        upgrade(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("the process ends here")

    monkeypatch.setattr(command, "upgrade", fail)
    address.folder.mkdir()
    database = Database(address)
    with pytest.raises(RuntimeError, match="ends here"):
        migrate(database)
    with database.read() as connection:
        assert read_revision(connection) is None
    monkeypatch.undo()
    migrate(database)
    database.close()


def test_folder_that_cannot_be_created_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentStoreError, match="cannot be created"):
        ExperimentStore.open(StoreAddress(tmp_path / "file" / "experiments"))


def test_damaged_database_names_the_backup(tmp_path: Path) -> None:
    (tmp_path / "experiments.sqlite3").write_bytes(b"not a database" * 1000)
    with pytest.raises(ExperimentStoreError, match="restore it from a backup"):
        ExperimentStore.open(StoreAddress(tmp_path))


def test_locked_database_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thale.experiments.database._SQLITE_BUSY_MS", 50)
    store, other = (ExperimentStore.open(StoreAddress(tmp_path)) for _ in range(2))
    with other.database.write(), pytest.raises(ExperimentStoreError, match="another process writes to it"):
        store.experiments.create("a", "", "local")
    assert store.experiments.create("a", "", "local").name == "a"
    store.close()
    other.close()


def test_full_database_changes_nothing(tmp_path: Path) -> None:
    store = ExperimentStore.open(StoreAddress(tmp_path))
    with store.database.write() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    store.database.engine.dispose()
    from sqlalchemy import event

    @event.listens_for(store.database.engine, "connect")
    def limit(connection: object, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 1}")  # type: ignore[attr-defined]

    with pytest.raises(ExperimentStoreError, match="free space on its disk"):
        store.experiments.create("a", "x" * 50_000, "local")
    assert store.experiments.list(10, None).items == ()
    store.close()


def test_open_store_imports_no_alembic_if_migrated(tmp_path: Path) -> None:
    import subprocess

    ExperimentStore.open(StoreAddress(tmp_path)).close()
    code = (
        "import sys; from pathlib import Path; from thale.experiments.store import ExperimentStore, StoreAddress; "
        "ExperimentStore.open(StoreAddress(Path(sys.argv[1]))); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
