"""Statements that both databases need, and times and identifiers of rows."""

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
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
    result = connection.execute(statement, execution_options={"preserve_rowcount": True})
    return bool(result.rowcount == 1)
