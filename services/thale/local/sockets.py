"""Unix domain sockets of TorchServe: only their owner can connect (ADR 0072).

TorchServe's APIs check no identity, no Host and no Origin. On a port, each user of the machine and each web page could
load and delete models. A socket in a folder with mode 0700 is reachable by its owner alone.
"""

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from thale.errors import LocalPlatformError
from thale.models.model_server_address import UNIX_PREFIX

UNREACHABLE_ADDRESS = "224.0.0.0"
"""Listen address of TorchServe's gRPC ports, which cannot be switched off.

It is a multicast address. A host discards each TCP connection request to a multicast address (RFC 1122, 4.2.3.10), and
Linux refuses to send one. 224.0.0.0 is never assigned to a group (RFC 1112)."""
ANY_PORT = "0"

_FOLDER_MODE = 0o700
_LONGEST_NAME = "management.sock"


@dataclass(frozen=True)
class TorchServeSockets:
    """Addresses of TorchServe's APIs: sockets in a private folder."""

    folder: Path

    @property
    def inference(self) -> str:
        """Address of the inference API."""
        return self._address("inference.sock")

    @property
    def management(self) -> str:
        """Address of the management API."""
        return self._address(_LONGEST_NAME)

    @property
    def metrics(self) -> str:
        """Address of the metrics."""
        return self._address("metrics.sock")

    def environment(self) -> dict[str, str]:
        """Return the variables with which TorchServe listens on the sockets and on nothing else."""
        return {
            "TS_INFERENCE_ADDRESS": self.inference,
            "TS_MANAGEMENT_ADDRESS": self.management,
            "TS_METRICS_ADDRESS": self.metrics,
            "TS_GRPC_INFERENCE_ADDRESS": UNREACHABLE_ADDRESS,
            "TS_GRPC_MANAGEMENT_ADDRESS": UNREACHABLE_ADDRESS,
            "TS_GRPC_INFERENCE_PORT": ANY_PORT,
            "TS_GRPC_MANAGEMENT_PORT": ANY_PORT,
        }

    def _address(self, name: str) -> str:
        return f"{UNIX_PREFIX}{self.folder / name}"


@contextmanager
def create_sockets(home: Path) -> Iterator[TorchServeSockets]:
    """Create a private folder for sockets in a directory, for the duration of the context.

    A path of a socket has at most 107 bytes, and some file systems have no sockets. In both cases the folder is a
    temporary one: in XDG_RUNTIME_DIR, in TMPDIR, or in /tmp.

    Raises:
        LocalPlatformError: If no folder can hold the sockets, or the system is not Linux.
    """
    if sys.platform != "linux":
        raise LocalPlatformError("TorchServe serves its sockets on Linux only: run thale on Linux, or in its container")
    faults = []
    with ExitStack() as stack:
        for parent in _temporary_parents():
            folder = home / "sockets" if parent is None else _create_temporary_folder(parent, stack)
            fault = _check_folder(folder) if folder is not None else "it cannot be written"
            if folder is not None and fault is None:
                yield TorchServeSockets(folder)
                return
            faults.append(f"{folder or parent}: {fault}")
    raise LocalPlatformError(
        f"TorchServe's sockets cannot be created ({'; '.join(faults)}): choose a shorter directory with --home, or set "
        "XDG_RUNTIME_DIR to a private folder on a local file system"
    )


def _temporary_parents() -> Iterator[Path | None]:
    """Yield None for the directory itself, then the parents of temporary folders, without repetition."""
    yield None
    parents = (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")  # noqa: S108 (a private folder in it)
    yield from dict.fromkeys(Path(parent) for parent in parents if parent)


def _create_temporary_folder(parent: Path, stack: ExitStack) -> Path | None:
    try:
        folder = tempfile.TemporaryDirectory(prefix="thale-", dir=parent, ignore_cleanup_errors=True)
    except OSError:
        return None
    return Path(stack.enter_context(folder))


def _check_folder(folder: Path) -> str | None:
    """Create the folder, make it private, and bind a socket in it. Return the reason if that fails."""
    probe = folder / _LONGEST_NAME
    try:
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return "it is not a folder"
        if status.st_uid != os.geteuid():
            return "it belongs to another user"
        folder.chmod(_FOLDER_MODE)
        probe.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(probe))
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)  # Python's own error for a long path has no strerror
    return None
