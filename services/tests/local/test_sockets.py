"""Tests of the private folder of TorchServe's sockets."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from thale.errors import LocalPlatformError
from thale.local import sockets
from thale.local.sockets import create_sockets
from thale.models.model_server_address import socket_path

MAX_SOCKET_PATH_BYTES = 107


def test_create_sockets_makes_folder_of_data_directory_private(tmp_path: Path) -> None:
    (tmp_path / "sockets").mkdir(mode=0o777)
    (tmp_path / "sockets").chmod(0o777)
    (tmp_path / "sockets" / "management.sock").touch()  # left by a killed platform
    with create_sockets(tmp_path) as created:
        assert created.folder == tmp_path / "sockets"
        assert stat.S_IMODE(created.folder.stat().st_mode) == 0o700
        assert not any(created.folder.iterdir())


@pytest.mark.parametrize("runtime_dir", [True, False], ids=["XDG_RUNTIME_DIR", "TMPDIR"])
def test_create_sockets_uses_temporary_folder_for_long_path(
    runtime_dir: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        if runtime_dir:
            monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        else:
            monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        home = tmp_path / ("long-" * 20)
        home.mkdir()
        with create_sockets(home) as created:
            assert created.folder.parent == Path(short if runtime_dir else "/tmp")
            assert stat.S_IMODE(created.folder.stat().st_mode) == 0o700
            for address in (created.inference, created.management, created.metrics):
                path = socket_path(address)
                assert path is not None
                assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(path)
        assert not created.folder.exists()


def test_create_sockets_names_remedy_when_every_folder_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_temporary_parents", lambda: iter([None, tmp_path / "absent"]))
    home = tmp_path / ("long-" * 20)
    home.mkdir()
    with (
        pytest.raises(LocalPlatformError, match=r"too long.*absent: it cannot be written.*--home"),
        create_sockets(home),
    ):
        pass


def test_create_sockets_skips_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sockets").mkdir()
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(LocalPlatformError, match="belongs to another user"), create_sockets(tmp_path):
        pass


def test_create_sockets_rejects_link_to_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_temporary_parents", lambda: iter([None]))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sockets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalPlatformError, match="sockets: it is not a folder"), create_sockets(tmp_path):
        pass


def test_create_sockets_closes_grpc_on_a_multicast_address() -> None:
    """Linux neither connects to a multicast address nor accepts a connection to one, also through loopback."""
    environment = sockets.TorchServeSockets(Path("/run/thale")).environment()
    for api in ("INFERENCE", "MANAGEMENT"):
        address = environment[f"TS_GRPC_{api}_ADDRESS"]
        with socket.create_server((address, 0)) as listener:
            port = listener.getsockname()[1]
            for host in (address, "127.0.0.1"):
                with pytest.raises(OSError, match=r"unreachable|refused"):
                    socket.create_connection((host, port), timeout=5)
