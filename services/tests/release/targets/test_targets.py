"""Contract tests of the release targets: the local target with TorchServe, KServe with the fake Kubernetes API."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.kserve_harness import apply_change, initial_release, run_kserve, with_canary
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA
from tests.support.torchserve_process import TorchServeProcess as RunningTorchServe
from tests.support.torchserve_process import run_torchserve
from thale.errors import ConflictError, TargetError, UnknownModelError, UnknownVersionError
from thale.host.files import write_atomically
from thale.release.lifecycle import transitions
from thale.release.registry import golden
from thale.release.targets import WarmUp, local
from thale.release.targets.kserve import KServeTarget
from thale.release.targets.local import LocalTarget
from thale.release.targets.torchserve_client import TorchServeClient
from thale.schemas import ReleaseState, VersionManifest

NAMESPACE = "plants"


class TargetHarness(Protocol):
    """A target under test. Version 1.0.0 is stable, and no other version is loaded."""

    store: InMemoryVersionStore

    def make_target(self, warm_up: WarmUp | None = None) -> LocalTarget | KServeTarget:
        """Return a new target object for the same releases, as another process would create it."""
        ...

    def loaded_versions(self) -> set[str]:
        """Return the loaded versions."""
        ...

    def register_failing(self, version: str) -> VersionManifest:
        """Register a version that cannot be loaded."""
        ...


@dataclass
class LocalHarness:
    store: InMemoryVersionStore
    state_path: Path
    torchserve: RunningTorchServe

    def make_target(self, warm_up: WarmUp | None = None) -> LocalTarget:
        ports = (self.torchserve.inference_port, self.torchserve.management_port)
        server = TorchServeClient.from_urls(*(f"http://127.0.0.1:{port}" for port in ports))
        timeouts = replace(local.DEFAULT_TIMEOUTS, propagation_s=0.2)
        return LocalTarget(
            self.state_path, self.store, self.torchserve.store, server, warm_up or golden.warm_up, timeouts
        )

    def loaded_versions(self) -> set[str]:
        return set(self.make_target().server.versions(MODEL))

    def register_failing(self, version: str) -> VersionManifest:
        return self.store.register(version, broken=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> InMemoryVersionStore:
    store = InMemoryVersionStore(tmp_path_factory.mktemp("store"))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        store.register(version)
    return store


@pytest.fixture(scope="module")
def torchserve(tmp_path_factory: pytest.TempPathFactory, store: InMemoryVersionStore) -> Iterator[RunningTorchServe]:
    folder = tmp_path_factory.mktemp("torchserve")
    (folder / "store").mkdir()
    first = store.find(MODEL, "1.0.0")
    archive = f"{MODEL}-1.0.0.mar"
    (folder / "store" / archive).write_bytes(store.archive(first).read_bytes())
    with run_torchserve(folder, [archive]) as running:
        yield running


@contextmanager
def _local_harness(torchserve: RunningTorchServe, store: InMemoryVersionStore, folder: Path) -> Iterator[LocalHarness]:
    harness = LocalHarness(store, folder / "release-state.json", torchserve)
    state = ReleaseState(models={MODEL: initial_release(store)})
    write_atomically(harness.state_path, state.model_dump_json().encode())
    if "1.0.0" not in harness.loaded_versions():  # a previous test unloaded it
        harness.make_target().server.load(MODEL, "1.0.0", f"{MODEL}-1.0.0.mar", 240)
    harness.make_target().unload_unused(MODEL)
    yield harness


@pytest.fixture(params=[pytest.param("local", marks=pytest.mark.integration), "kserve"])
def harness(request: pytest.FixtureRequest, store: InMemoryVersionStore, tmp_path: Path) -> Iterator[TargetHarness]:
    if request.param == "kserve":
        with run_kserve(store) as kserve_harness:
            yield kserve_harness
        return
    with _local_harness(request.getfixturevalue("torchserve"), store, tmp_path) as local_harness:
        yield local_harness


def test_canary_is_loaded_before_release_and_unloaded_after(harness: TargetHarness) -> None:
    warm_ups: list[tuple[str, bool, str | None]] = []

    def record_warm_up(url: str, model: str, version: str, timeout_s: float) -> None:
        warm_ups.append(
            (version, version in harness.loaded_versions(), harness.make_target().read(model).release.canary)
        )

    with harness.make_target(record_warm_up) as target:
        assert (list(target.models()), harness.loaded_versions()) == ([MODEL], {"1.0.0"})
        after = apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        assert warm_ups == [("1.1.0", True, None)]
        assert (after.canary, after.weight_percent, after.shadow) == ("1.1.0", 5, "1.1.0")
        assert harness.make_target().read(MODEL).release == after
        assert harness.loaded_versions() == {"1.0.0", "1.1.0"}

        after = apply_change(target, lambda release: transitions.step(release, ANNA))
        assert (after.weight_percent, len(warm_ups)) == (25, 1)

        after = apply_change(target, lambda release: transitions.roll_back(release, ANNA))
        assert (after.canary, after.weight_percent, set(after.versions)) == (None, 0, {"1.0.0"})
        assert harness.make_target().read(MODEL).release == after
    assert harness.loaded_versions() == {"1.0.0"}


@pytest.mark.slow
def test_promoted_version_can_be_rolled_back(harness: TargetHarness) -> None:
    with harness.make_target() as target:
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        after = apply_change(target, lambda release: transitions.promote(release, ANNA))
        assert (after.stable, after.canary) == ("1.1.0", None)
    assert harness.loaded_versions() == {"1.1.0"}
    with harness.make_target() as target:
        previous = target.find(MODEL, "1.0.0")
        after = apply_change(target, lambda release: transitions.roll_back(release, ANNA, previous))
        assert (after.stable, set(after.versions)) == ("1.0.0", {"1.0.0"})
    assert harness.loaded_versions() == {"1.0.0"}
    assert [event.what for event in after.history] == ["canary", "promote", "roll back"]


def test_version_that_cannot_load_changes_nothing(harness: TargetHarness) -> None:
    broken = harness.register_failing("9.0.0")
    with harness.make_target() as target:
        before = target.read(MODEL)
        with pytest.raises(TargetError, match=r"9\.0\.0"):
            apply_change(target, with_canary(broken))
        assert target.read(MODEL) == before
    assert harness.loaded_versions() == {"1.0.0"}


def test_version_that_fails_warm_up_changes_nothing(harness: TargetHarness) -> None:
    def fail(url: str, model: str, version: str, timeout_s: float) -> None:
        raise TargetError(f"{version} fails the golden plates")

    with harness.make_target(fail) as target:
        before = target.read(MODEL)
        with pytest.raises(TargetError, match="fails the golden plates"):
            apply_change(target, with_canary(target.find(MODEL, "1.2.0")))
        assert target.read(MODEL) == before
    assert harness.loaded_versions() == {"1.0.0"}


def test_apply_fails_for_second_of_two_concurrent_changes(harness: TargetHarness) -> None:
    with harness.make_target() as first, harness.make_target() as second:
        before = second.read(MODEL)
        after = apply_change(first, with_canary(first.find(MODEL, "1.1.0")))
        with pytest.raises(ConflictError, match="read it again"):
            second.apply(before, transitions.start_canary(before.release, second.find(MODEL, "1.2.0"), ANNA))
        assert second.read(MODEL).release == after
    assert harness.loaded_versions() == {"1.0.0", "1.1.0"}


def test_version_is_unloaded_after_conflict_while_loading(harness: TargetHarness) -> None:
    def change_concurrently(url: str, model: str, version: str, timeout_s: float) -> None:
        other = harness.make_target()
        current = other.read(model)
        other.apply(current, current.release.model_copy(update={"steps": (50.0, 100.0)}))

    with harness.make_target(change_concurrently) as target:
        with pytest.raises(ConflictError):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        assert target.read(MODEL).release.steps == (50, 100)
    assert harness.loaded_versions() == {"1.0.0"}


def test_apply_of_unchanged_release_is_idempotent(harness: TargetHarness) -> None:
    with harness.make_target() as target:
        before = target.read(MODEL)
        assert target.apply(before, before.release) == before
        assert target.apply(before, before.release) == before
    assert harness.loaded_versions() == {"1.0.0"}


class KilledError(BaseException):
    """Ends an apply as SIGKILL would: no cleanup code catches it."""


def test_next_change_unloads_leftover_of_killed_change(harness: TargetHarness) -> None:
    def kill(url: str, model: str, version: str, timeout_s: float) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        apply_change(harness.make_target(kill), with_canary(harness.store.find(MODEL, "1.1.0")))
    assert harness.loaded_versions() == {"1.0.0", "1.1.0"}
    assert harness.make_target().read(MODEL).release.canary is None
    with harness.make_target() as target:
        after = apply_change(target, with_canary(target.find(MODEL, "1.2.0")))
        assert after.canary == "1.2.0"
    assert harness.loaded_versions() == {"1.0.0", "1.2.0"}


def test_interrupted_change_unloads_its_version(harness: TargetHarness) -> None:
    def interrupt(url: str, model: str, version: str, timeout_s: float) -> None:
        assert version in harness.loaded_versions()
        raise KeyboardInterrupt

    with harness.make_target(interrupt) as target:
        with pytest.raises(KeyboardInterrupt):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        assert target.unused(MODEL) == []
    assert harness.loaded_versions() == {"1.0.0"}


def test_unused_version_is_dropped_unless_it_is_released(harness: TargetHarness) -> None:
    def kill(url: str, model: str, version: str, timeout_s: float) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        apply_change(harness.make_target(kill), with_canary(harness.store.find(MODEL, "1.1.0")))
    with harness.make_target() as target:
        assert target.unused(MODEL) == ["1.1.0"]
        target.drop(MODEL, ["1.0.0"])
        assert harness.loaded_versions() == {"1.0.0", "1.1.0"}
        target.drop(MODEL, ["1.1.0"])
        assert target.unused(MODEL) == []
    assert harness.loaded_versions() == {"1.0.0"}


def test_missing_model_and_version_are_named(harness: TargetHarness) -> None:
    with pytest.raises(UnknownModelError, match=MODEL):
        harness.make_target().read("other")
    with pytest.raises(UnknownVersionError, match=r"1\.0\.0"):
        harness.make_target().find(MODEL, "7.7.7")


@pytest.mark.integration
def test_local_target_drains_requests_before_unload(
    torchserve: RunningTorchServe, store: InMemoryVersionStore, tmp_path: Path
) -> None:
    """TorchServe sends no response for a request in a worker when its version is unregistered."""
    with _local_harness(torchserve, store, tmp_path) as harness, harness.make_target(lambda *_: None) as target:
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        headers = {"x-thale-mm-per-px": "0.25"}
        with ThreadPoolExecutor() as pool:
            path = f"/predictions/{MODEL}/1.1.0"
            futures = [pool.submit(torchserve.post, path, large_plate(), headers) for _ in range(2)]
            wait_for(
                "the first request to reach a worker",
                lambda: pending_requests(torchserve, "1.1.0") or futures[0].done(),
            )
            apply_change(target, lambda release: transitions.roll_back(release, ANNA))
            target.close()
            assert [future.result()[0].status for future in futures] == [200, 200]
        assert harness.loaded_versions() == {"1.0.0"}


def large_plate() -> bytes:
    image_HW = np.random.default_rng(0).integers(0, 255, (600, 600), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image_HW).save(buffer, "PNG")
    return buffer.getvalue()


def pending_requests(torchserve: RunningTorchServe, version: str) -> int:
    """Return the number of requests in the queue of a version."""
    [description] = json.loads(torchserve.call_management("GET", f"/models/{MODEL}/{version}")[1])
    return int(description["jobQueueStatus"]["pendingRequests"])


def test_local_target_rolls_back_without_torchserve(store: InMemoryVersionStore, tmp_path: Path) -> None:
    state_path = tmp_path / "release-state.json"
    rollout = transitions.start_canary(initial_release(store), store.find(MODEL, "1.1.0"), ANNA)
    state_path.write_text(ReleaseState(models={MODEL: rollout}).model_dump_json())
    server = TorchServeClient.from_urls("http://127.0.0.1:9", "http://127.0.0.1:9")
    with LocalTarget(
        state_path, store, tmp_path, server, timeouts=replace(local.DEFAULT_TIMEOUTS, propagation_s=0)
    ) as target:
        apply_change(target, lambda release: transitions.roll_back(release, ANNA))
    assert ReleaseState.model_validate_json(state_path.read_bytes()).models[MODEL].canary is None
    state_path.write_text("{")
    with pytest.raises(TargetError, match=r"release-state\.json cannot be read"):
        target.read(MODEL)
