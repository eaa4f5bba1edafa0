"""A rollout by hand on a real platform: TorchServe with tiny models, the facade, and commands as people type them."""

import json
from pathlib import Path

import pytest

from tests.support.local_platform import Platform, running_platform
from tests.support.tiny_models import tiny_model
from thale.client import Client
from thale.local.data_dir import Home
from thale.release.registry.stores import FolderStore
from thale_models.archive import write_archive

MODEL = "plate-seg"


def released(platform: Platform, *words: str) -> str:
    """Run a command of `thale release`, which must go well; return what it says."""
    done = platform.run("release", *words)
    assert done.returncode == 0, done.stdout
    return done.stdout


def served(platform: Platform) -> dict[str, float]:
    """Return the share of the requests that each version answers, as the facade tells."""
    with Client(platform.url) as client:
        [model] = [model for model in client.models() if model.name == MODEL]
    return {version.version: version.traffic_percent for version in model.versions}


@pytest.mark.timeout(900)  # four starts of workers, on a machine that may be busy
def test_a_version_is_tried_promoted_and_taken_back(tmp_path: Path, weights: Path) -> None:
    home = Home(tmp_path / "home")
    model = tiny_model(tmp_path / "1.1.0", "segmentation", 7, name=MODEL, version="1.1.0")
    FolderStore(home.registered).put(write_archive(model.weights, model.card, tmp_path))
    with running_platform(home.folder, weights) as platform:
        told = released(platform, "canary", MODEL, "1.1.0", "--steps", "10,100", "--why", "better on dark plates")
        assert "canary 1.1.0" in told
        assert served(platform) == {"1.0.0": 90, "1.1.0": 10}
        released(platform, "step", "--why", "looks fine")
        released(platform, "promote", "--why", "looks fine still")
        assert served(platform) == {"1.1.0": 100}
        told = released(platform, "list")
        assert "1.1.0" in told
        released(platform, "rollback", MODEL, "--why", "hypocotyls went missing")
        assert served(platform) == {"1.0.0": 100}
        refused = platform.run("release", "canary", MODEL, "1.1.0", "--why", "once more")
        assert (refused.returncode, "was rolled back before" in refused.stdout) == (2, True)
        lines = [json.loads(line) for line in (home.logs / "audit.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["canary", "step", "promote", "roll back"]
