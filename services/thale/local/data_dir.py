"""The folder that a laptop's platform keeps: models, logs, the traffic record, and who is running just now."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from platformdirs import user_data_path
from pydantic import ValidationError

from thale.errors import LocalPlatformError
from thale.files import open_locked, write_atomically
from thale.local.ports import Addresses


class RunningPlatform(Addresses):
    """The platform that runs on a home. A process is its id and its start: ids are used again."""

    pid: int
    started_at: float
    version: str
    persistent: bool
    """False where the platform ends with somebody's `thale analyze`."""

    @classmethod
    def current_process(cls, addresses: Addresses, version: str, persistent: bool) -> "RunningPlatform":
        """Return this very process."""
        process = psutil.Process()
        return cls(
            **addresses.model_dump(),
            pid=process.pid,
            started_at=process.create_time(),
            version=version,
            persistent=persistent,
        )

    def is_alive(self) -> bool:
        """Whether that process still runs."""
        try:
            return psutil.Process(self.pid).create_time() == self.started_at
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class DataDir:
    """The folder and its parts."""

    path: Path

    @classmethod
    def resolve(cls, folder: Path | None) -> "DataDir":
        """Return the home in a folder, or else in the user's data folder (XDG on Linux)."""
        return cls(user_data_path("thale", appauthor=False) if folder is None else folder.expanduser().resolve())

    @property
    def model_store(self) -> Path:
        """The folder of model archives that TorchServe serves."""
        return self.path / "model-store"

    @property
    def registry(self) -> Path:
        """The folder of registered versions, a `release.stores.FolderStore`: served or not, they stay."""
        return self.path / "registry"

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.path / "logs"

    @property
    def torchserve(self) -> Path:
        """TorchServe's working folder."""
        return self.path / "torchserve"

    @property
    def release_state(self) -> Path:
        """The traffic record: which version of which model answers whom."""
        return self.path / "release-state.json"

    @property
    def secrets(self) -> Path:
        """The file of secrets, a `secrets.FileSecrets`, where there is one."""
        return self.path / "secrets.toml"

    @property
    def _run_file(self) -> Path:
        return self.path / "running.json"

    def find_running_platform(self) -> RunningPlatform | None:
        """Return the platform that runs on this home and is ready, if there is one."""
        try:
            platform = RunningPlatform.model_validate_json(self._run_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return platform if platform.is_alive() else None

    @contextmanager
    def publish(self, running: RunningPlatform) -> Iterator[None]:
        """Tell others about this platform for as long as the context lasts."""
        write_atomically(self._run_file, running.model_dump_json(indent=2).encode())
        try:
            yield
        finally:
            self._run_file.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folders and keep every other platform off this home. A killed holder lets go by dying.

        Raises:
            LocalPlatformError: If a platform runs here already, or the folder cannot be written.
        """
        try:
            for folder in (self.path, self.model_store, self.logs, self.torchserve):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock_fd = open_locked(self.path / "lock", blocking=False)
        except BlockingIOError as error:
            raise LocalPlatformError(self._in_use_message()) from error
        except OSError as error:
            raise LocalPlatformError(
                f"the folder {self.path} cannot be written ({error.strerror}): choose another with --home"
            ) from error
        try:
            yield
        finally:
            os.close(lock_fd)

    def _in_use_message(self) -> str:
        running = self.find_running_platform()
        if running is None:
            return f"another thale is just starting on {self.path}: wait for it, or choose another --home"
        return (
            f"thale already runs on {self.path} (process {running.pid}, {running.url}): "
            "use that one, stop it, or choose another --home"
        )
