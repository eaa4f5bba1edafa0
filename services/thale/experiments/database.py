"""Connections to the database of the store: SQLite in a folder, or PostgreSQL by its URL.

SQLite runs in WAL mode with full synchronisation: a commit survives a power cut, and readers do not wait for the
writer. A write transaction begins with BEGIN IMMEDIATE, so that it waits for another writer at its start, and never
fails in the middle.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from thale.errors import ExperimentStoreError
from thale.experiments.address import SQLITE_FILE, StoreAddress
from thale.experiments.entra_token import EntraToken, verified_tls

_SQLITE_BUSY_MS = 10_000
_CONNECT_TIMEOUT_S = 5
_POOL_SIZE = 4
_POOL_TIMEOUT_S = 15
_MAX_CONNECTION_AGE_S = 3600
"""An identity whose access ends keeps a connection up to this age."""
_CERTIFICATE_FAILURES = ("certificate verify failed", "root certificate file", "does not match host")


def create_store_engine(address: StoreAddress) -> Engine:
    """Return an engine. It opens no connection."""
    if address.database_url is None:
        return _sqlite_engine(address.folder / SQLITE_FILE)
    return _postgresql_engine(address, address.database_url)


def _postgresql_engine(address: StoreAddress, url: str) -> Engine:
    is_verified = address.database_entra or address.database_ca_path is not None
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,
        pool_recycle=_MAX_CONNECTION_AGE_S,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "application_name": "thale",
            "options": "-c statement_timeout=60000 -c lock_timeout=10000",
            **(verified_tls(address.database_ca_path) if is_verified else {}),
        },
    )
    if (password := _password_source(address)) is not None:

        @event.listens_for(engine, "do_connect")
        def set_password(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
            parameters["password"] = password()  # for each connection, because passwords rotate and tokens expire

    return engine


def _password_source(address: StoreAddress) -> Callable[[], str] | None:
    if address.database_entra:
        return EntraToken().value
    if (path := address.database_password_path) is not None:
        return lambda: path.read_text().strip()
    return None


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _SQLITE_BUSY_MS / 1000, "check_same_thread": False},
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_read = connection.get_execution_options().get("is_read", False)
        connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    return engine


_CONFLICTS = frozenset({"40001", "40P01", "23503"})
"""SQLSTATE of PostgreSQL after a conflict with another transaction: a serialization failure, a deadlock, or a foreign
key to a row that was deleted meanwhile."""


class Database:
    """Transactions, with errors of the database as one class."""

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self.engine = create_store_engine(address)

    @property
    def is_sqlite(self) -> bool:
        """True if the database is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection with a snapshot of the database.

        Raises:
            ExperimentStoreError: If the database cannot be used.
        """
        with self._translate_errors():
            options = {"is_read": True} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
            with self.engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction, which is committed at the end of the context.

        Raises:
            ExperimentStoreError: If the database cannot be used. The transaction is then undone.
        """
        with self._translate_errors(), self.engine.begin() as connection:
            yield connection

    def ping(self) -> None:
        """Check that the database responds.

        Raises:
            ExperimentStoreError: If it does not.
        """
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise describe_database_error(error, self.address) from error
        except OSError as error:  # the file of the password
            raise ExperimentStoreError(f"{self.address.shown_database} cannot be opened: {error}") from error


def describe_database_error(error: SQLAlchemyError, address: StoreAddress) -> ExperimentStoreError:
    """Return an error of the database as one sentence with its remedy."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    message = " ".join(str(cause).split())[:300]
    if getattr(cause, "sqlstate", None) in _CONFLICTS:
        remedy = "another request changed the same experiment at this moment: retry; nothing was changed"
    elif "database is locked" in message:
        remedy = "another process writes to it: retry, or end that process"
    elif "disk is full" in message or "No space left" in message:
        remedy = "free space on its disk, then retry; nothing was changed"
    elif "readonly" in message or "unable to open" in message:
        remedy = "check that its folder exists and that the server may write to it"
    elif "disk image is malformed" in message or "is not a database" in message:
        remedy = "restore it from a backup (`thale experiment restore`)"
    elif (
        "certificate verify failed" in message or "root certificate file" in message or "does not match host" in message
    ):
        remedy = "check the host name in THALE_EXPERIMENTS_DATABASE_URL and THALE_EXPERIMENTS_DATABASE_CA_PATH"
    elif "authentication failed" in message:
        remedy = "check that the user in the URL is a role of the database, and its password or identity"
    else:
        remedy = "check that the database runs and accepts connections, then retry"
    return ExperimentStoreError(f"the experiment store {address.shown_database} failed ({message}): {remedy}")
