"""A model store in a folder. Several processes may register at once; files come whole or not at all, and read-only."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from thale.errors import StoreError
from thale.release.registry.archive_validation import CheckedArchive
from thale.release.registry.stores.model_store import CLAIM, ModelStore, archive_name, digest_of
from thale.schemas import ReleasedVersion

_CHUNK_BYTES = 2**20


class FolderStore(ModelStore):
    """The store in `root`, which is made when something is put into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def archive(self, released: ReleasedVersion) -> Path:
        """Return where a registered version's archive lies.

        Raises:
            StoreError: If it is not there.
        """
        path = self.root / archive_name(released)
        if not path.is_file():
            raise StoreError(f"{path} is not there: register {released.card.name} {released.card.version} again")
        return path

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unusable(self.root, error) from error

    def _write_new(self, name: str, data: bytes) -> bool:
        return self._link_new(self.root / name, lambda file: file.write(data))

    def _place(self, archive: CheckedArchive, name: str) -> None:
        path = self.root / name
        with archive.path.open("rb") as source:
            self._link_new(path, lambda file: shutil.copyfileobj(source, file, _CHUNK_BYTES))
        if digest_of(path) != archive.digest:
            raise StoreError(f"{path} has other bytes than its name says: the disk is damaged, or the archive changed")

    def _link_new(self, path: Path, write: Callable[[BinaryIO], object]) -> bool:
        """Write a file beside its place and link it there, which fails where a file is: whole, and only once."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                return False
            descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
            try:
                with open(descriptor, "wb") as file:  # noqa: PTH123 it is a descriptor
                    write(file)
                    file.flush()
                    os.fsync(descriptor)
                    os.fchmod(descriptor, 0o444)
                with contextlib.suppress(FileExistsError):
                    os.link(partial, path)
                    _sync(path.parent)
                    return True
                return False
            finally:
                os.unlink(partial)  # noqa: PTH108 its name is text
        except OSError as error:
            raise _unusable(self.root, error) from error

    def _claims(self) -> Iterator[str]:
        for path in self.root.glob(f"*/*/{CLAIM}"):
            yield path.relative_to(self.root).as_posix()

    def _chunks(self, name: str) -> Iterator[bytes]:
        try:
            with (self.root / name).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise _unusable(self.root, error) from error

    def _uri_of(self, name: str) -> str:
        return (self.root.absolute() / name).as_uri()


def _unusable(root: Path, error: OSError) -> StoreError:
    return StoreError(f"the model store {root} cannot be used ({error.strerror}: {error.filename}): choose another")


def _sync(folder: Path) -> None:
    """Have the folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
