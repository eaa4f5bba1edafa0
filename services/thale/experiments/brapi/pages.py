"""Pages of BrAPI: numbered from 0, with the number of all items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Select, func, select

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class PageRequest:
    """A requested page."""

    page: int
    size: int


@dataclass(frozen=True)
class BrapiPage(Generic[_Item]):
    """Items of a page, and the number of items on all pages."""

    items: tuple[_Item, ...]
    total: int


def select_page(
    connection: Connection, statement: Select[Any], counted: Select[Any], request: PageRequest
) -> tuple[Sequence[Any], int]:
    """Return the rows of a page of an ordered statement, and the number of rows of `counted`."""
    total: int = connection.execute(select(func.count()).select_from(counted.subquery())).scalar_one()
    start = request.page * request.size
    if start >= total:
        return (), total
    return connection.execute(statement.limit(request.size).offset(start)).all(), total
