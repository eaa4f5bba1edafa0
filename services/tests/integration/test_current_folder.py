"""Integration test of the local platform in a folder with scripts that have the names of modules."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.hostile_folder import was_executed, write_hostile_modules
from tests.support.local_platform import run_platform
from tests.support.sample_images import seedlings

pytestmark = pytest.mark.integration


def test_platform_ignores_modules_in_current_folder(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    write_hostile_modules(folder)
    Image.fromarray(seedlings()).save(folder / "plate.png")
    monkeypatch.chdir(folder)
    with run_platform(tmp_path / "home", weights, warm=False) as platform:
        for arguments in (
            ("analyze", "plate.png", "--out", "results", "--mm-per-px", "0.25"),
            ("models",),
            ("release", "list"),
            ("release", "status"),
        ):
            completed = platform.run(*arguments)
            assert completed.returncode == 0, completed.stdout
    assert not was_executed(folder)
    logs = [path.name for path in (tmp_path / "home" / "logs").iterdir()]
    assert set(logs) <= {"facade.log", "torchserve.log", "model_log.log", "audit.jsonl"}
