"""The folder that a laptop's platform keeps: models, logs, the traffic record, and who is running just now."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from platformdirs import user_data_path
from pydantic import ValidationError

from thale.errors import LaptopError
from thale.files import write_atomically
from thale.local.ports import Addresses


class Running(Addresses):
    """The platform that runs on a home. A process is its id and its start: ids are used again."""

    pid: int
    started: float
    version: str
    lasting: bool
    """False where the platform ends with somebody's `thale analyze`."""

    @classmethod
    def here(cls, addresses: Addresses, version: str, lasting: bool) -> "Running":
        """Return this very process."""
        process = psutil.Process()
        return cls(
            **addresses.model_dump(),
            pid=process.pid,
            started=process.create_time(),
            version=version,
            lasting=lasting,
        )

    def alive(self) -> bool:
        """Whether that process still runs."""
        try:
            return psutil.Process(self.pid).create_time() == self.started
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class Home:
    """The folder and its parts."""

    folder: Path

    @classmethod
    def at(cls, folder: Path | None) -> "Home":
        """Return the home in a folder, or else in the user's data folder (XDG on Linux)."""
        return cls(user_data_path("thale", appauthor=False) if folder is None else folder.expanduser().resolve())

    @property
    def model_store(self) -> Path:
        """The folder of model archives that TorchServe serves."""
        return self.folder / "model-store"

    @property
    def registered(self) -> Path:
        """The folder of registered versions, a `release.stores.FolderStore`: served or not, they stay."""
        return self.folder / "registered"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.folder / "logs"

    @property
    def torchserve(self) -> Path:
        """TorchServe's working folder."""
        return self.folder / "torchserve"

    @property
    def record(self) -> Path:
        """The traffic record: which version of which model answers whom."""
        return self.folder / "traffic.json"

    @property
    def secrets(self) -> Path:
        """The file of secrets, a `secrets.FileSecrets`, where there is one."""
        return self.folder / "secrets.toml"

    @property
    def _run_file(self) -> Path:
        return self.folder / "running.json"

    def running(self) -> Running | None:
        """Return the platform that runs on this home and is ready, if there is one."""
        try:
            found = Running.model_validate_json(self._run_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return found if found.alive() else None

    @contextmanager
    def announce(self, running: Running) -> Iterator[None]:
        """Tell others about this platform for as long as the context lasts."""
        write_atomically(self._run_file, running.model_dump_json(indent=2).encode())
        try:
            yield
        finally:
            self._run_file.unlink(missing_ok=True)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folders and keep every other platform off this home. A killed holder lets go by dying.

        Raises:
            LaptopError: If a platform runs here already, or the folder cannot be written.
        """
        try:
            for folder in (self.folder, self.model_store, self.logs, self.torchserve):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LaptopError(
                f"the folder {self.folder} cannot be written ({error.strerror}): choose another with --home"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise LaptopError(self._taken()) from error
        try:
            yield
        finally:
            os.close(lock)

    def _taken(self) -> str:
        running = self.running()
        if running is None:
            return f"another thale is just starting on {self.folder}: wait for it, or choose another --home"
        return (
            f"thale already runs on {self.folder} (process {running.pid}, {running.url}): "
            "use that one, stop it, or choose another --home"
        )
