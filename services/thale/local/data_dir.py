"""Data directory of the local platform: models, logs, release state, and the running platform."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from platformdirs import user_data_path
from pydantic import ValidationError

from thale.errors import LocalPlatformError
from thale.host.files import open_locked, write_atomically
from thale.local.ports import Addresses


class RunningPlatform(Addresses):
    """The running platform of a data directory. Process id and start time identify it, because ids are reused."""

    pid: int
    started_at: float
    version: str
    persistent: bool
    """False if the platform belongs to a `thale analyze` and ends with it."""

    @classmethod
    def current_process(cls, addresses: Addresses, version: str, persistent: bool) -> "RunningPlatform":
        """Return the entry of the current process."""
        process = psutil.Process()
        return cls(
            **addresses.model_dump(),
            pid=process.pid,
            started_at=process.create_time(),
            version=version,
            persistent=persistent,
        )

    def is_alive(self) -> bool:
        """Return True if the process is running."""
        try:
            return psutil.Process(self.pid).create_time() == self.started_at
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class DataDir:
    """Paths in the data directory."""

    path: Path

    @classmethod
    def resolve(cls, folder: Path | None) -> "DataDir":
        """Return the data directory at a path. The default is in the user's data folder (XDG on Linux)."""
        return cls(user_data_path("thale", appauthor=False) if folder is None else folder.expanduser().resolve())

    @property
    def model_store(self) -> Path:
        """Folder of the model archives that TorchServe serves."""
        return self.path / "model-store"

    @property
    def registry(self) -> Path:
        """Folder of all registered versions, a `thale.release.registry.stores.FolderStore`."""
        return self.path / "registry"

    @property
    def controller_checkpoint(self) -> Path:
        """Checkpoint of the rollout controller, a `thale.schemas.release_status.ControllerReport` for readers."""
        return self.path / "controller-checkpoint.json"

    @property
    def logs(self) -> Path:
        """Folder of logs."""
        return self.path / "logs"

    @property
    def torchserve(self) -> Path:
        """Working folder of TorchServe."""
        return self.path / "torchserve"

    @property
    def release_state(self) -> Path:
        """File of the release state."""
        return self.path / "release-state.json"

    @property
    def secrets(self) -> Path:
        """File of secrets, a `thale.secrets.FileSecrets`. It is optional."""
        return self.path / "secrets.toml"

    @property
    def api_keys(self) -> Path:
        """File of API keys, a `thale.auth.key_file.ApiKeyFile`. If it exists, the facade requires a credential."""
        return self.path / "api-keys.json"

    @property
    def experiments(self) -> Path:
        """Folder of the experiment store."""
        return self.path / "experiments"

    @property
    def _run_file(self) -> Path:
        return self.path / "running.json"

    def find_running_platform(self) -> RunningPlatform | None:
        """Return the running platform of this data directory, or None."""
        try:
            platform = RunningPlatform.model_validate_json(self._run_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return platform if platform.is_alive() else None

    @contextmanager
    def publish(self, running: RunningPlatform) -> Iterator[None]:
        """Publish the running platform to other processes until the context ends.

        Raises:
            LocalPlatformError: If the directory cannot be written.
        """
        try:
            write_atomically(self._run_file, running.model_dump_json(indent=2).encode())
        except OSError as error:
            raise self._write_error(error) from error
        try:
            yield
        finally:
            # A file that remains names a process that has ended, so it is ignored.
            with contextlib.suppress(OSError):
                self._run_file.unlink(missing_ok=True)

    def _write_error(self, error: OSError) -> LocalPlatformError:
        return LocalPlatformError(
            f"the data directory {self.path} cannot be written ({error.strerror}): free space on its disk or "
            "change its permissions, or choose another with --home"
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Create the folders and lock the data directory. The lock ends with the process, even if it is killed.

        Raises:
            LocalPlatformError: If another platform holds the lock, or the directory cannot be written.
        """
        try:
            for folder in (self.path, self.model_store, self.logs, self.torchserve):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock_fd = open_locked(self.path / "lock", blocking=False)
        except BlockingIOError as error:
            raise LocalPlatformError(self._in_use_message()) from error
        except OSError as error:
            raise self._write_error(error) from error
        try:
            yield
        finally:
            os.close(lock_fd)

    def _in_use_message(self) -> str:
        running = self.find_running_platform()
        if running is None:
            return f"another thale is starting in {self.path}: wait for it, or choose another directory with --home"
        return (
            f"thale is already running in {self.path} (process {running.pid}, {running.url}): "
            "use it, stop it, or choose another directory with --home"
        )
