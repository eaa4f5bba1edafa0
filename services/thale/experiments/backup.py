"""Backup and restore of a store in a folder: a consistent copy of the database, then the bytes of its images.

SQLite's backup API copies a snapshot while the server writes. The images are copied afterwards: each one that the
snapshot names exists, because bytes are stored before their rows. PostgreSQL has its own tools (docs/experiments.md).
"""

import contextlib
import hashlib
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from thale.errors import ExperimentStoreError
from thale.experiments.address import SQLITE_FILE


def back_up(folder: Path, target: Path) -> int:
    """Copy the store of a folder into a new folder, check the copy, and return the number of its images.

    Raises:
        ExperimentStoreError: If there is no store, the target exists, or the copy fails.
    """
    if not (folder / SQLITE_FILE).exists():
        raise ExperimentStoreError(f"{folder} has no experiment store: choose its data directory with --home")
    return _copy(folder, target)


def restore(source: Path, folder: Path) -> int:
    """Copy a backup to the folder of a store, which must not exist, and return the number of its images.

    Raises:
        ExperimentStoreError: If the backup is incomplete, a store exists, or the copy fails.
    """
    if (folder / SQLITE_FILE).exists():
        raise ExperimentStoreError(f"{folder} has an experiment store: move it away before a restore")
    if not (source / SQLITE_FILE).exists():
        raise ExperimentStoreError(f"{source} is no backup: it has no {SQLITE_FILE}")
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
    return _copy(source, folder)


def _copy(source: Path, target: Path) -> int:
    if target.exists():
        raise ExperimentStoreError(f"{target} exists: choose a new folder, or move it away")
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        digests = _copy_database(source / SQLITE_FILE, partial / SQLITE_FILE)
        count = _copy_images(source, partial, digests)
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ExperimentStoreError(
            f"{source} cannot be copied to {target} ({error}): free space, then retry"
        ) from error
    return count


def _copy_database(source: Path, target: Path) -> list[str]:
    """Copy a snapshot of the database, check it, and return the digests of its images."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as original,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        [(state,)] = copy.execute("PRAGMA integrity_check(1)").fetchall()
        if state != "ok":
            raise ExperimentStoreError(f"the copy of {source} is damaged ({state}): use an earlier backup")
        return [sha256 for (sha256,) in copy.execute("SELECT sha256 FROM images ORDER BY sha256")]


def _copy_images(source: Path, target: Path, digests: Iterable[str]) -> int:
    count = 0
    for sha256 in digests:
        path = Path("blobs", "images", sha256[:2], sha256)
        data = (source / path).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ExperimentStoreError(f"the image {source / path} is damaged: add it again, then repeat the backup")
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)
        count += 1
    return count
