"""Tests of the local release target without TorchServe."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.support.in_memory_version_store import InMemoryVersionStore
from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import SignatureError
from thale.release.lifecycle import transitions
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


def test_apply_raises_signature_error_for_other_bytes(tmp_path: Path) -> None:
    """The KServe target raises the same error."""
    release = make_release()
    state_path = tmp_path / "release-state.json"
    state_path.write_text(ReleaseState(models={release.name: release}).model_dump_json())
    (tmp_path / "archive.mar").write_bytes(b"other bytes than the registered ones")
    store: Any = SimpleNamespace(archive=lambda _manifest: tmp_path / "archive.mar")
    (tmp_path / "serving").mkdir()
    target = LocalTarget(state_path, store, tmp_path / "serving", MagicMock())
    before = target.read(release.name)
    with pytest.raises(SignatureError, match="was registered"):
        target.apply(before, transitions.start_canary(before.release, make_version("1.1.0"), ANNA))
    assert target.read(release.name) == before
