"""Integration tests of TorchServe's isolation: only the owner of the platform reaches it.

A real TorchServe runs in a data directory that other users may enter. Each listener of the process tree is tried over
TCP, and each socket as another user.
"""

import socket
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.local_platform import PlatformProcess, list_descendants, run_platform, write_weights
from tests.support.other_user import can_change_user, succeeds_as_other_user
from thale.local.data_dir import DataDir, RunningPlatform
from thale.models.model_server_address import socket_path
from thale.models.model_server_pool import open_pool

pytestmark = pytest.mark.integration

TIMEOUT_S = 10
MANAGEMENT_REQUESTS = [
    ("POST", "/models?url=/tmp/model"),
    ("DELETE", "/models/plate-seg/1.0.0"),
    ("PUT", "/models/plate-seg/1.0.0?min_worker=0&max_worker=0"),
    ("GET", "/models"),
    ("POST", "/predictions/plate-seg/1.0.0"),
]
WEB_PAGE = {"Host": "rebinding.example", "Origin": "http://rebinding.example"}


@pytest.fixture(scope="module")
def platform() -> Iterator[PlatformProcess]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # short, so that the sockets are in the data directory
        home = Path(folder) / "home"
        home.mkdir()
        for path in (Path(folder), home):
            path.chmod(0o755)
        with run_platform(home, write_weights(Path(folder) / "weights")) as running:
            yield running


def running_platform(platform: PlatformProcess) -> RunningPlatform:
    running = DataDir(platform.home).find_running_platform()
    assert running is not None
    return running


def is_reachable(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except PermissionError:
            return False
        return True


def listeners(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    pids = {process.pid for process in processes}
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in pids
    }


def test_torchserve_accepts_no_tcp_connection(platform: PlatformProcess) -> None:
    descendants = list_descendants(platform.process.pid)
    [java] = [process for process in descendants if process.name() == "java"]
    found = listeners([java, *java.children(recursive=True)])
    assert len(found) == 2  # gRPC, which TorchServe always starts
    for ip, port in found:
        for host in (ip, "127.0.0.1", "::1", socket.gethostname()):
            with pytest.raises(OSError, match=r"refused|unreachable|unavailable|not known|assign"):
                socket.create_connection((host, port), timeout=TIMEOUT_S)


@pytest.mark.parametrize(("method", "path"), MANAGEMENT_REQUESTS)
def test_no_port_serves_torchserve_api(platform: PlatformProcess, method: str, path: str) -> None:
    tree = [psutil.Process(platform.process.pid), *list_descendants(platform.process.pid)]
    ports = {port for _, port in listeners(tree)}
    facade = {urlsplit(url).port for url in (running_platform(platform).url, running_platform(platform).metrics_url)}
    assert facade < ports
    for port in ports:
        assert send(port, method, path) in (None, 404, 405)
    with open_pool(running_platform(platform).management_url) as pool:
        assert b"plate-seg" in pool.request("GET", "/models").data  # nothing was unloaded


def send(port: int, method: str, path: str) -> int | None:
    """Return the status of a web page's request, or None without a response."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, headers=WEB_PAGE)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


@pytest.mark.skipif(not can_change_user(), reason="only root may run code as another user")
def test_sockets_refuse_other_users(platform: PlatformProcess) -> None:
    running = running_platform(platform)
    folder = platform.home / "sockets"
    paths = [socket_path(address) for address in (running.model_url, running.management_url)]
    paths.append(str(folder / "metrics.sock"))
    for path in paths:
        assert path is not None
        assert is_reachable(path)
        assert not succeeds_as_other_user(lambda path=path: is_reachable(path))
    folder.chmod(0o755)  # the check finds an open folder
    Path(paths[0] or "").chmod(0o777)
    try:
        assert succeeds_as_other_user(lambda: is_reachable(paths[0] or ""))
    finally:
        folder.chmod(0o700)


def test_torchserve_metrics_are_on_metrics_port_of_facade(platform: PlatformProcess) -> None:
    url = urlsplit(running_platform(platform).model_metrics_url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT_S)
    connection.request("GET", url.path)
    response = connection.getresponse()
    assert (response.status, b"Requests2XX" in response.read()) == (200, True)
