"""Integration test of the rollout commands on a local platform: TorchServe with tiny models, and the facade."""

import json
from pathlib import Path

import pytest

from tests.support.local_platform import PlatformProcess, run_platform
from tests.support.tiny_models import write_tiny_model
from thale.client import Client
from thale.local.data_dir import DataDir
from thale.release.registry.stores import FolderStore
from thale_models.archive import write_archive

pytestmark = pytest.mark.integration

MODEL = "plate-seg"


def run_release(platform: PlatformProcess, *arguments: str) -> str:
    """Run a command of `thale release`, check that it succeeds, and return its output."""
    result = platform.run("release", *arguments)
    assert result.returncode == 0, result.stdout
    return result.stdout


def traffic_percent_by_version(platform: PlatformProcess) -> dict[str, float]:
    """Return the traffic of each version as reported by the facade."""
    with Client(platform.url) as client:
        [model] = [model for model in client.models() if model.name == MODEL]
    return {version.version: version.traffic_percent for version in model.versions}


@pytest.mark.timeout(900)  # four starts of workers, possibly on a busy machine
def test_rollout_by_commands_to_promotion_and_rollback(tmp_path: Path, weights: Path) -> None:
    data_dir = DataDir(tmp_path / "home")
    model = write_tiny_model(tmp_path / "1.1.0", "segmentation", 7, name=MODEL, version="1.1.0")
    FolderStore(data_dir.registry).put(write_archive(model.weights, model.card, tmp_path))
    with run_platform(data_dir.path, weights) as platform:
        output = run_release(platform, "canary", MODEL, "1.1.0", "--steps", "10,100", "--why", "better on dark plates")
        assert "canary 1.1.0" in output
        assert traffic_percent_by_version(platform) == {"1.0.0": 90, "1.1.0": 10}
        run_release(platform, "step", "--why", "looks fine")
        run_release(platform, "promote", "--why", "looks fine still")
        assert traffic_percent_by_version(platform) == {"1.1.0": 100}
        output = run_release(platform, "list")
        assert "1.1.0" in output
        run_release(platform, "rollback", MODEL, "--why", "hypocotyls went missing")
        assert traffic_percent_by_version(platform) == {"1.0.0": 100}
        rejected = platform.run("release", "canary", MODEL, "1.1.0", "--why", "once more")
        assert (rejected.returncode, "was rolled back" in rejected.stdout) == (2, True)
        events = [json.loads(line) for line in (data_dir.logs / "audit.jsonl").read_text().splitlines()]
    assert [event["what"] for event in events] == ["canary", "step", "promote", "roll back"]
