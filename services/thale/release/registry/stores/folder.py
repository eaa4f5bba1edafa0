"""Model store in a folder. Writes are atomic, files are read-only, and several processes may register concurrently."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from thale.errors import StoreError
from thale.release.registry.archive_validation import ValidatedArchive
from thale.release.registry.signatures import compute_digest
from thale.release.registry.stores.model_store import MANIFEST_FILE, ModelStore, archive_key
from thale.schemas import VersionManifest

_CHUNK_BYTES = 2**20


class FolderStore(ModelStore):
    """The store in `root`. The first registration creates the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def archive(self, manifest: VersionManifest) -> Path:
        """Return the path of a version's archive.

        Raises:
            StoreError: If it is missing.
        """
        path = self.root / archive_key(manifest)
        if not path.is_file():
            raise StoreError(f"{path} is missing: register {manifest.card.name} {manifest.card.version} again")
        return path

    def read_object(self, key: str) -> bytes | None:
        """Return a small object, None if it does not exist."""
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _to_store_error(self.root, error) from error

    def create_object(self, key: str, data: bytes) -> bool:
        """Write a small object atomically. Return False, without a change, if it exists."""
        return self._create_exclusive(self.root / key, lambda file: file.write(data))

    def _put_archive(self, archive: ValidatedArchive, key: str) -> None:
        path = self.root / key
        with archive.path.open("rb") as source:
            self._create_exclusive(path, lambda file: shutil.copyfileobj(source, file, _CHUNK_BYTES))
        if compute_digest(path) != archive.digest:
            raise StoreError(
                f"the bytes of {path} do not match its digest: the disk is damaged, or the archive changed"
            )

    def _create_exclusive(self, path: Path, write: Callable[[BinaryIO], object]) -> bool:
        """Write a temporary file and link it to `path`, which fails if that exists. Return whether it was created."""
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
                    _fsync_dir(path.parent)
                    return True
                return False
            finally:
                os.unlink(partial)  # noqa: PTH108 its name is text
        except OSError as error:
            raise _to_store_error(self.root, error) from error

    def object_names(self, folder: str) -> Iterable[str]:
        """Return the names of the objects directly in a folder. Empty if it does not exist."""
        try:
            return [path.name for path in (self.root / folder).iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _to_store_error(self.root, error) from error

    def _manifest_keys(self) -> Iterator[str]:
        try:
            with os.scandir(self.root):
                pass  # `glob` finds nothing in a folder that it cannot read
        except FileNotFoundError:
            return
        except OSError as error:
            raise _to_store_error(self.root, error) from error
        for path in self.root.glob(f"*/*/{MANIFEST_FILE}"):
            yield path.relative_to(self.root).as_posix()

    def _read_chunks(self, key: str) -> Iterator[bytes]:
        try:
            with (self.root / key).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise _to_store_error(self.root, error) from error

    def _object_uri(self, key: str) -> str:
        return (self.root.absolute() / key).as_uri()


def _to_store_error(root: Path, error: OSError) -> StoreError:
    return StoreError(f"the model store {root} cannot be used ({error.strerror}: {error.filename}): use another folder")


def _fsync_dir(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
