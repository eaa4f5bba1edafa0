"""Index of the finished measurements and their result names: a SQLite file in the folder of results."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thale.batch.result_names import candidate_names
from thale.batch.sources import Source, identity
from thale.errors import FileAccessError, ParameterError
from thale.host.files import access_errors

INDEX_FILENAME = ".thale.sqlite"
WRITE_FAILURE = "results cannot be written to"
_PRIMARY_CODE = 0xFF
"""Mask of the primary result code of SQLite in an extended one."""
_RESERVED_NAMES = ("traits", "traits_wide", "coco", "plantcv", "series", "growth")
"""Names of the tables. A result of that name would have the same file."""
ModelIdentity = tuple[str, str, str]
"""Name, version and digest of a model version, as the server lists it."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    source TEXT NOT NULL UNIQUE,
    sha256 TEXT,
    parameters TEXT,
    models TEXT
)
"""


@dataclass(frozen=True)
class ResultEntry:
    """Inputs of one result. Results with equal entries are the same measurement."""

    sha256: str
    parameters: str
    models: frozenset[ModelIdentity]


class ResultIndex:
    """The result names of sources, and their finished measurements.

    A result is finished when `mark_finished` returns. Its files must be complete before that call.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator["ResultIndex"]:
        """Open the index of a folder of results and lock it against other writers.

        Raises:
            ParameterError: If another process holds the lock, or the index is damaged.
            FileAccessError: If the folder cannot be written, at the start or later.
        """
        with access_errors(WRITE_FAILURE):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            database = sqlite3.connect(folder / INDEX_FILENAME, isolation_level=None, timeout=0.5)
        except sqlite3.OperationalError as error:
            raise _write_error(folder, error) from error
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.execute(_SCHEMA)
            # An earlier version, which wrote fewer tables, may have given a result one of these names.
            database.executemany("DELETE FROM results WHERE name = ?", [(name,) for name in _RESERVED_NAMES])
            database.execute("COMMIT")
            yield cls(database)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise _write_error(folder, error) from error
            raise ParameterError(
                f"results cannot be written to {folder} ({error}): another `thale analyze` may be writing there; "
                "wait for it, or choose another folder with --out"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ParameterError(
                f"{folder / INDEX_FILENAME} is damaged ({error}): delete it to measure again"
            ) from error
        finally:
            database.close()

    def assign_name(self, source: Source, sha256: str) -> str:
        """Return the result name of a source, relative to the folder. Repeated calls return the same name.

        The preferred name is the file name. If another source has it, the folder name is added as prefix, and then a
        number as suffix. A moved file keeps its name.
        """
        path = _source_key(source.path)
        row = self._database.execute("SELECT name FROM results WHERE source = ?", (path,)).fetchone()
        if row is not None:
            return str(row[0])
        for name in candidate_names(source):
            if name.casefold() not in _RESERVED_NAMES and self._reserve_name(name, path, sha256):
                return name
        raise AssertionError("candidate names are unlimited")

    def _reserve_name(self, name: str, path: str | bytes, sha256: str) -> bool:
        row = self._database.execute("SELECT source, sha256 FROM results WHERE name = ?", (name,)).fetchone()
        if row is None:
            self._database.execute("INSERT INTO results (name, source) VALUES (?, ?)", (name, path))
            return True
        is_moved = row[1] == sha256 and not Path(os.fsdecode(row[0])).exists()
        if is_moved:
            self._database.execute("UPDATE results SET source = ? WHERE name = ?", (path, name))
        return is_moved

    def get_entry(self, name: str) -> ResultEntry | None:
        """Return the entry of a result, or None if it is not finished."""
        row = self._database.execute(
            "SELECT sha256, parameters, models FROM results WHERE name = ?", (name,)
        ).fetchone()
        if row is None or row[0] is None:
            return None
        return ResultEntry(
            row[0], row[1], frozenset((name, version, digest) for name, version, digest in json.loads(row[2]))
        )

    def source_path(self, name: str) -> Path | None:
        """Return the photograph of a result, or None if the name is not assigned."""
        row = self._database.execute("SELECT source FROM results WHERE name = ?", (name,)).fetchone()
        return None if row is None else Path(os.fsdecode(row[0]))

    def mark_finished(self, name: str, entry: ResultEntry) -> None:
        """Mark a result as complete."""
        self._database.execute(
            "UPDATE results SET sha256 = ?, parameters = ?, models = ? WHERE name = ?",
            (entry.sha256, entry.parameters, json.dumps(sorted(entry.models)), name),
        )

    def mark_unfinished(self, name: str) -> None:
        """Mark a result as not finished. Its name stays assigned."""
        self._database.execute("UPDATE results SET sha256 = NULL WHERE name = ?", (name,))

    def finished_name(self, source: Source) -> str | None:
        """Return the name of the finished result of a source, or None if it is not finished."""
        path = _source_key(source.path)
        row = self._database.execute(
            "SELECT name FROM results WHERE source = ? AND sha256 IS NOT NULL", (path,)
        ).fetchone()
        return None if row is None else str(row[0])

    def finished_names(self) -> list[str]:
        """Return the names of all finished results, sorted."""
        rows = self._database.execute("SELECT name FROM results WHERE sha256 IS NOT NULL ORDER BY name")
        return [str(row[0]) for row in rows]


def _write_error(folder: Path, error: sqlite3.OperationalError) -> FileAccessError:
    return FileAccessError(
        f"{WRITE_FAILURE} {folder / INDEX_FILENAME}: {error}: free space on that disk, change the permissions, "
        "or choose another folder with --out"
    )


def _source_key(path: Path) -> str | bytes:
    """Return the path of a source as text, or as bytes if its name is not UTF-8: SQLite stores no surrogates."""
    encoded = os.fsencode(identity(path))
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return encoded
