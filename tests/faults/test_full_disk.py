"""A disk that fills up under load, with the data directory and all temporary files on it."""

import errno
import time
from pathlib import Path

import pytest

from tests.support.bounded_load import NO_RESPONSE, BoundedLoad
from tests.support.local_platform import list_workers, run_platform, write_weights
from tests.support.rollout_environment import sample_plates
from tests.support.small_disk import mount_small_disk
from tests.support.tiny_models import write_tiny_model
from thale.local.data_dir import DataDir
from thale.release.registry.stores import FolderStore
from thale_models.archive import write_archive

pytestmark = [pytest.mark.integration, pytest.mark.exclusive, pytest.mark.timeout(900)]

_DISK_MIB = 512
_TEMPORARY = {"model-unavailable", "model-failed", "deadline-exceeded", "overloaded"}


def test_platform_serves_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests need no space, and neither does the restart of a worker. A release fails and changes nothing."""
    model = write_tiny_model(tmp_path / "canary", "segmentation", 7, name="plate-seg", version="1.1.0")
    archive = write_archive(model.weights, model.card, tmp_path)
    weights = write_weights(tmp_path / "weights")
    canary = ("release", "canary", "plate-seg", "1.1.0", "--steps", "1,100", "--why", "fault test")
    with mount_small_disk(tmp_path / "disk", _DISK_MIB) as disk:
        data_dir = DataDir(disk.folder / "home")
        (disk.folder / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(disk.folder / "tmp"))
        FolderStore(data_dir.registry).put(archive)
        with run_platform(data_dir.path, weights, warm=False) as platform:
            load = BoundedLoad(platform.url, sample_plates()[:4])
            baseline = load.measure_baseline()
            released = data_dir.release_state.read_bytes()
            with load.run():
                load.wait_for_successes(4)
                filled_s = time.monotonic()
                disk.fill()
                load.wait_for_successes(12)
                failed = platform.run(*canary)
                state_while_full = data_dir.release_state.read_bytes()
                assert load.failures() == []
                list_workers(platform.process.pid)[0].kill()
                load.wait_for_successes(12)
                disk.free()
                load.wait_for_successes(4)
            load.report("a full disk, and a killed worker on it", filled_s)
            succeeded = platform.run(*canary)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stdout
    assert f"[Errno {errno.ENOSPC}]" in failed.stdout or "No space left" in failed.stdout
    assert state_while_full == released
    assert succeeded.returncode == 0, succeeded.stdout
    assert load.wrong_measurements(baseline) == []
    outcomes = {(exchange.status, exchange.problem) for exchange in load.failures()}
    assert NO_RESPONSE not in {status for status, _ in outcomes}
    assert {problem for _, problem in outcomes} <= _TEMPORARY
