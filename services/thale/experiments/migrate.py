"""Schema of the store: created and migrated at the start, under a lock, and refused if it is newer.

Alembic is imported only if there is something to migrate.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from thale.errors import ExperimentStoreError, SchemaVersionError
from thale.experiments.database import Database
from thale.experiments.migrations import HEAD
from thale.host.files import exclusive_lock

_SCRIPTS = Path(__file__).with_name("migrations")
_LOCK_FILE = ".migration.lock"
_ADVISORY_LOCK = 0x7468616C65  # "thale"


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the schema, or None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def migrate(database: Database) -> None:
    """Create the schema, or bring it to the revision of this version. One process migrates, others wait.

    Raises:
        SchemaVersionError: If a newer version of thale wrote the schema.
        ExperimentStoreError: If the database cannot be used.
    """
    if _current(database) == HEAD:
        return
    with _lock(database):
        if _current(database) == HEAD:  # another process was first
            return
        _run_scripts(database)


def _current(database: Database) -> str | None:
    with database.read() as connection:
        revision = read_revision(connection)
    if revision is not None and revision not in known_revisions():
        raise SchemaVersionError(
            f"the experiment store {database.address.shown_database} has the schema {revision}, and this version of "
            f"thale knows up to {HEAD}: use the version of thale that wrote it, or a backup from before its upgrade"
        )
    return revision


def known_revisions() -> frozenset[str]:
    """Return the revisions of the scripts, without Alembic."""
    names = (path.stem for path in (_SCRIPTS / "versions").glob("*.py"))
    return frozenset(match[1] for name in names if (match := re.match(r"(\d{4})_", name)))


@contextmanager
def _lock(database: Database) -> Iterator[None]:
    if database.is_sqlite:
        try:
            with exclusive_lock(database.address.folder / _LOCK_FILE):
                yield
        except OSError as error:
            raise ExperimentStoreError(
                f"the experiment store {database.address.shown_database} cannot be created ({error.strerror}): check "
                "that its folder exists and that the server may write to it"
            ) from error
        return
    with database.engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '120s'"))
        connection.execute(text("SET statement_timeout = '120s'"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()


def _run_scripts(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    with database.write() as connection:  # DDL is transactional in both databases: all scripts, or none
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
