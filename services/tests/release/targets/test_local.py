"""Tests of the local release target without TorchServe."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.in_memory_version_store import InMemoryVersionStore
from tests.support.sample_releases import make_release
from thale.release.targets.local import LocalTarget
from thale.schemas import ReleaseState


def test_unused_versions_are_sorted_by_number(tmp_path: Path) -> None:
    release = make_release()
    state_path = tmp_path / "release-state.json"
    state_path.write_text(ReleaseState(models={release.name: release}).model_dump_json())
    loaded = dict.fromkeys(("1.10.0", "1.9.0", "1.0.0"))
    server: Any = SimpleNamespace(versions=lambda _model: loaded)
    target = LocalTarget(state_path, InMemoryVersionStore(tmp_path), tmp_path, server)
    assert target.unused(release.name) == ["1.9.0", "1.10.0"]
