"""Statements that both databases need, and times and identifiers of rows."""

import functools
import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase

MAX_PAGE = 500
"""Maximum number of items on a page."""


def utc_now() -> str:
    """Return the time in UTC, in ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id(prefix: str) -> str:
    """Return a new random identifier, such as exp-4f1c09ab5d7e6f80."""
    return f"{prefix}-{secrets.token_hex(8)}"


def insert_if_absent(connection: Connection, table: type[DeclarativeBase], values: dict[str, Any]) -> bool:
    """Insert a row unless its key exists. Return True if it was inserted."""
    statement = _insert_if_absent(connection.dialect.name, table)
    result = connection.execute(statement, values, execution_options={"preserve_rowcount": True})
    return bool(result.rowcount == 1)


@functools.cache
def _insert_if_absent(dialect_name: str, table: type[DeclarativeBase]) -> Any:
    """Return the statement, built once per table: SQLAlchemy needs more time to build it than to execute it."""
    dialect: Any = sqlite if dialect_name == "sqlite" else postgresql
    return dialect.insert(table.__table__).on_conflict_do_nothing()
