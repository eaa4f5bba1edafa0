"""Integration tests of services that hang: the platform restarts them and serves again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from tests.support import start_caches
from tests.support.bounded_load import RECOVERIES
from tests.support.local_platform import list_descendants, wait_for
from thale.local import platform as local_platform
from thale.local.data_dir import DataDir
from thale.local.liveness import FACADE_PROBE, TORCHSERVE_PROBE

pytestmark = [pytest.mark.integration, pytest.mark.exclusive]

_SHORT = {"period_s": 1.0, "timeout_s": 3.0, "failure_threshold": 3}  # a busy machine responds within 9 s


def find_service(name: str, home: Path) -> psutil.Process:
    """Return the facade or TorchServe of a data directory, without its guard. Other tests have such processes, too."""
    for process in list_descendants(psutil.Process().pid):
        arguments = process.cmdline()
        is_service = process.name() == "java" if name == "TorchServe" else arguments[-2:] == ["-m", "thale.facade"]
        is_guard = "process_guard" in " ".join(arguments)
        if is_service and not is_guard and Path(process.cwd()).is_relative_to(home):
            return process
    raise AssertionError(f"{name} does not run")


@dataclass(frozen=True)
class ServedPlatform:
    """A platform with short probes in this process, its data directory and its notices."""

    running: local_platform.Platform
    home: Path
    notices: list[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[ServedPlatform]:
    notices: list[str] = []
    data_dir = DataDir(tmp_path_factory.mktemp("hang") / "home")
    start_caches.warm(data_dir.path, weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_platform, "FACADE_PROBE", replace(FACADE_PROBE, **_SHORT))
        patch.setattr(local_platform, "TORCHSERVE_PROBE", replace(TORCHSERVE_PROBE, **_SHORT))
        with local_platform.serve(data_dir, notices.append, port=0, weights=weights) as running:
            yield ServedPlatform(running, data_dir.path, notices)


@pytest.mark.parametrize("name", ["the facade", "TorchServe"])
def test_platform_restarts_service_that_hangs(served: ServedPlatform, name: str) -> None:
    served.running.wait_until_ready()
    served.notices.clear()
    hung = find_service(name, served.home)
    hung.suspend()
    started_s = time.monotonic()
    wait_for("the end of the process", lambda: not hung.is_running())
    served.running.wait_until_ready()
    RECOVERIES.append(f"a stop of {name}: {time.monotonic() - started_s:.1f} s")
    notices = served.notices
    assert any(line.startswith(f"{name} has not responded for") for line in notices)
    assert any(line.startswith(f"{name} exited with status") for line in notices)
