"""Tests of the reconciler with a fake TorchServe and a real release state."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.sample_releases import make_release
from thale.errors import TargetError
from thale.local import serving_store
from thale.local.data_dir import DataDir
from thale.local.reconciler import Reconciler
from thale.release.targets.loading_lock import loading_lock, try_loading_lock
from thale.release.targets.torchserve_client import LoadedVersion
from thale.schemas import ReleaseState

RELEASE = make_release("1.0.0")
MODEL = RELEASE.name


def loaded_version(workers: int) -> LoadedVersion:
    description = {"modelVersion": "1.0.0", "modelUrl": "a.mar", "minWorkers": workers, "workers": []}
    return LoadedVersion.model_validate(description)


@dataclass
class FakeTorchServe:
    """TorchServe with one optional version, which records calls. With a fault, every call fails."""

    loaded: dict[str, LoadedVersion] = field(default_factory=dict)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    fault: str = ""

    def versions(self, model: str) -> Mapping[str, LoadedVersion]:
        if self.fault:
            self.calls.append(("versions",))
            raise TargetError(self.fault)
        return self.loaded

    def load(self, model: str, version: str, archive: str, timeout_s: float) -> None:
        self.calls.append(("load", model, version, archive))
        self.loaded[version] = loaded_version(1)

    def scale(self, model: str, version: str, workers: int, timeout_s: float) -> None:
        self.calls.append(("scale", model, version, workers))
        self.loaded[version] = loaded_version(workers)

    def set_default(self, model: str, version: str) -> None:
        self.calls.append(("set_default", model, version))


@pytest.fixture
def server() -> FakeTorchServe:
    return FakeTorchServe()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def reconciler(tmp_path: Path, server: FakeTorchServe, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Reconciler:
    data_dir = DataDir(tmp_path)
    data_dir.release_state.write_text(ReleaseState(models={MODEL: RELEASE}).model_dump_json())
    monkeypatch.setattr(serving_store, "locate_archives", lambda _: {(MODEL, "1.0.0"): "stored.mar"})
    return Reconciler(data_dir, server, 1, lines.append)  # type: ignore[arg-type]  # a fake


def test_reconciler_loads_unloaded_version(reconciler: Reconciler, server: FakeTorchServe, lines: list[str]) -> None:
    for _ in range(2):
        reconciler.reconcile()
    assert server.calls == [("load", MODEL, "1.0.0", "stored.mar"), ("set_default", MODEL, "1.0.0")]
    assert "is not loaded" in lines[0]
    assert "serves again" in lines[1]


def test_reconciler_restores_workers(reconciler: Reconciler, server: FakeTorchServe) -> None:
    server.loaded["1.0.0"] = loaded_version(0)
    reconciler.reconcile()
    assert server.calls == [("scale", MODEL, "1.0.0", 1), ("set_default", MODEL, "1.0.0")]


def test_reconciler_skips_model_during_release_command(reconciler: Reconciler, server: FakeTorchServe) -> None:
    with loading_lock(reconciler.data_dir.release_state, MODEL):
        reconciler.reconcile()
    assert server.calls == []
    with try_loading_lock(reconciler.data_dir.release_state, MODEL) as is_held:
        assert is_held  # the reconciler has released it
    reconciler.reconcile()
    assert server.calls[0][0] == "load"


def test_reconciler_ignores_versions_that_are_not_released(reconciler: Reconciler, server: FakeTorchServe) -> None:
    server.loaded = {"1.0.0": loaded_version(1), "0.9.0": loaded_version(0)}
    reconciler.reconcile()
    reconciler.data_dir.release_state.write_text("not JSON")
    server.loaded.clear()
    reconciler.reconcile()
    assert server.calls == []


def test_reconciler_backs_off_when_torchserve_fails(reconciler: Reconciler, server: FakeTorchServe) -> None:
    with_long_interval = dataclasses.replace(reconciler, interval_s=3600.0)
    server.fault = "no response"
    for _ in range(3):
        with_long_interval.reconcile()
    assert server.calls == [("versions",)]
