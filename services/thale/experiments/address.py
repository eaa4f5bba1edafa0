"""Addresses of the store. This module imports no database library, so that the facade starts without one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, PostgresDsn, TypeAdapter

SQLITE_FILE = "experiments.sqlite3"
_POSTGRESQL_URL = TypeAdapter(PostgresDsn)


def _database_url(value: str) -> str:
    url = _POSTGRESQL_URL.validate_python(value)
    if url.scheme not in ("postgresql", "postgres") or any(host["password"] for host in url.hosts()):
        raise ValueError(
            "write it as postgresql://USER@HOST:PORT/DATABASE, and the password into the file "
            "THALE_EXPERIMENTS_DATABASE_PASSWORD_PATH"
        )
    return str(url).replace("postgres://", "postgresql://", 1)


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
"""URL of a PostgreSQL database without a password."""


def _blob_url(value: str) -> str:
    url = urlsplit(value)
    if (
        url.scheme != "https"
        or not url.hostname
        or len(url.path.strip("/").split("/")) != 1
        or url.path.strip("/") == ""
    ):
        raise ValueError("write it as https://ACCOUNT.blob.core.windows.net/CONTAINER")
    return value


BlobUrl = Annotated[str, AfterValidator(_blob_url)]
"""URL of a container of Azure Blob Storage."""


@dataclass(frozen=True)
class StoreAddress:
    """Addresses of the database and of the image bytes. Without URLs, both are in the folder."""

    folder: Path
    database_url: str | None = None
    database_password_path: Path | None = None
    blob_url: str | None = None
    database_entra: bool = False
    """True if a token of Entra ID is the password."""
    database_ca_path: Path | None = None

    @property
    def shown_database(self) -> str:
        """Address of the database for messages, without a password."""
        if self.database_url is None:
            return str(self.folder / SQLITE_FILE)
        url = urlsplit(self.database_url)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
