"""Addresses of the store. This module imports no database library, so that the facade starts without one."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SQLITE_FILE = "experiments.sqlite3"


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
