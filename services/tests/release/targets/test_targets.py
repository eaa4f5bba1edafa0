"""Both actuators keep the same promises: on a laptop with a real TorchServe, in a cluster with the API's own rules."""

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from tests.support.fake_kserve_controller import FakeKServeController, canary_percents, run_controller
from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from tests.support.fake_kubernetes_objects import Key
from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA
from tests.support.torchserve_process import TorchServeProcess as RunningTorchServe
from tests.support.torchserve_process import run_torchserve
from thale.errors import ConflictError, ReleaseError, TargetError, UnknownModelError, UnknownVersionError
from thale.files import write_atomically
from thale.kserve import client, inference_service
from thale.release.lifecycle import transitions
from thale.release.registry import golden
from thale.release.targets import ReleaseTarget, WarmUp, kserve, local
from thale.release.targets.kserve import KServeTarget
from thale.release.targets.local import LocalTarget
from thale.release.targets.torchserve_client import TorchServeClient
from thale.schemas import Release, ReleaseState, VersionManifest

NAMESPACE = "plants"


class TargetHarness(Protocol):
    """Somewhere to release to: version 1.0.0 is stable, nothing else is held."""

    shelf: InMemoryVersionStore

    def make_target(self, warm_up: WarmUp | None = None) -> LocalTarget | KServeTarget:
        """Return another actuator of this harness, as another process would have it."""
        ...

    def loaded_versions(self) -> set[str]:
        """Return the versions that could answer."""
        ...

    def register_failing(self, version: str) -> VersionManifest:
        """Register a version that does not come up."""
        ...


@dataclass
class LocalHarness:
    shelf: InMemoryVersionStore
    state_path: Path
    torchserve: RunningTorchServe

    def make_target(self, warm_up: WarmUp | None = None) -> LocalTarget:
        ports = (self.torchserve.inference_port, self.torchserve.management_port)
        server = TorchServeClient.from_urls(*(f"http://127.0.0.1:{port}" for port in ports))
        timeouts = local.TargetTimeouts(propagation_s=0.2)
        return LocalTarget(
            self.state_path, self.shelf, self.torchserve.store, server, warm_up or golden.warm_up, timeouts
        )

    def loaded_versions(self) -> set[str]:
        return set(self.make_target().server.versions(MODEL))

    def register_failing(self, version: str) -> VersionManifest:
        return self.shelf.register(version, broken=True)


@dataclass
class KServeHarness:
    shelf: InMemoryVersionStore
    api: FakeKubernetesApi
    controller: FakeKServeController

    def make_target(self, warm_up: WarmUp | None = None) -> KServeTarget:
        timeouts = kserve.TargetTimeouts(load_s=5, poll_s=0.02, drain_s=0.2)
        return KServeTarget(
            client.with_retries(self.api.client().configuration),
            NAMESPACE,
            self.shelf,
            warm_up or (lambda *_: None),
            timeouts,
        )

    def loaded_versions(self) -> set[str]:
        body = self.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))
        return set(inference_service.storage_uris(body))

    def register_failing(self, version: str) -> VersionManifest:
        self.controller.failing.add(inference_service.predictor_name(version))
        return self.shelf.register(version)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> InMemoryVersionStore:
    made = InMemoryVersionStore(tmp_path_factory.mktemp("shelf"))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        made.register(version)
    return made


@pytest.fixture(scope="module")
def torchserve(tmp_path_factory: pytest.TempPathFactory, shelf: InMemoryVersionStore) -> Iterator[RunningTorchServe]:
    home = tmp_path_factory.mktemp("ts")
    (home / "store").mkdir()
    first = shelf.find(MODEL, "1.0.0")
    archive = f"{MODEL}-1.0.0.mar"
    (home / "store" / archive).write_bytes(shelf.archive(first).read_bytes())
    with run_torchserve(home, [archive]) as running:
        yield running


@contextmanager
def _local_harness(torchserve: RunningTorchServe, shelf: InMemoryVersionStore, folder: Path) -> Iterator[LocalHarness]:
    harness = LocalHarness(shelf, folder / "release-state.json", torchserve)
    state = ReleaseState(models={MODEL: initial_release(shelf)})
    write_atomically(harness.state_path, state.model_dump_json().encode())
    if "1.0.0" not in harness.loaded_versions():  # a test before took it off
        harness.make_target().server.load(MODEL, "1.0.0", f"{MODEL}-1.0.0.mar", 240)
    harness.make_target().unload_unused(MODEL)
    yield harness


@contextmanager
def _kserve_harness(shelf: InMemoryVersionStore) -> Iterator[KServeHarness]:
    with run_fake_kubernetes_api() as api, run_controller(api, NAMESPACE) as controller:
        live = inference_service_as_deployed(shelf)
        key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
        api.objects.create(key, live, ("kubectl", "Apply"))
        yield KServeHarness(shelf, api, controller)


def initial_release(shelf: InMemoryVersionStore) -> Release:
    return Release(task="segmentation", stable="1.0.0", versions={"1.0.0": shelf.find(MODEL, "1.0.0")})


def inference_service_as_deployed(shelf: InMemoryVersionStore) -> dict[str, object]:
    """Return the object as an overlay would have it: the release's part, and what the platform says of predictors."""
    predictor = {
        "name": "v1-0-0",
        "serviceAccountName": "models",
        "minReplicas": 2,
        "maxReplicas": 6,
        "model": {
            "name": "kserve-container",
            "modelFormat": {"name": "thale"},
            "runtime": "thale-torchserve",
            "storageUri": shelf.uri(MODEL, "1.0.0"),
            "resources": {"requests": {"cpu": "1"}},
        },
    }
    live = {"metadata": {"name": MODEL, "namespace": NAMESPACE}, "spec": {"predictor": predictor}}
    wanted = inference_service.resource_from_release(initial_release(shelf), live, {})
    return {**wanted, "spec": {"predictor": predictor}}


@pytest.fixture(params=["laptop", "cluster"])
def harness(request: pytest.FixtureRequest, shelf: InMemoryVersionStore, tmp_path: Path) -> Iterator[TargetHarness]:
    if request.param == "cluster":
        with _kserve_harness(shelf) as kserve_harness:
            yield kserve_harness
        return
    with _local_harness(request.getfixturevalue("torchserve"), shelf, tmp_path) as here:
        yield here


def apply_change(target: ReleaseTarget, transition: Callable[[Release], Release]) -> Release:
    before = target.read(MODEL)
    return target.apply(before, transition(before.release)).release


def with_canary(version: VersionManifest) -> Callable[[Release], Release]:
    return lambda release: transitions.start_canary(release, version, ANNA)


def test_a_canary_is_loaded_and_warm_before_anything_names_it_and_goes_after_nothing_does(
    harness: TargetHarness,
) -> None:
    seen: list[tuple[str, bool, str | None]] = []

    def look(url: str, model: str, version: str, timeout_s: float) -> None:
        seen.append((version, version in harness.loaded_versions(), harness.make_target().read(model).release.canary))

    with harness.make_target(look) as actuator:
        assert (list(actuator.models()), harness.loaded_versions()) == ([MODEL], {"1.0.0"})
        after = apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert seen == [("1.1.0", True, None)]
        assert (after.canary, after.weight_percent, after.shadow) == ("1.1.0", 5, "1.1.0")
        assert harness.make_target().read(MODEL).release == after
        assert harness.loaded_versions() == {"1.0.0", "1.1.0"}

        after = apply_change(actuator, lambda release: transitions.step(release, ANNA))
        assert (after.weight_percent, len(seen)) == (25, 1)

        after = apply_change(actuator, lambda release: transitions.roll_back(release, ANNA))
        assert (after.canary, after.weight_percent, set(after.versions)) == (None, 0, {"1.0.0"})
        assert harness.make_target().read(MODEL).release == after
    assert harness.loaded_versions() == {"1.0.0"}


def test_a_promoted_version_stays_alone_and_the_one_before_can_come_back(harness: TargetHarness) -> None:
    with harness.make_target() as actuator:
        apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        after = apply_change(actuator, lambda release: transitions.promote(release, ANNA))
        assert (after.stable, after.canary) == ("1.1.0", None)
    assert harness.loaded_versions() == {"1.1.0"}
    with harness.make_target() as actuator:
        before = actuator.find(MODEL, "1.0.0")
        after = apply_change(actuator, lambda release: transitions.roll_back(release, ANNA, before))
        assert (after.stable, set(after.versions)) == ("1.0.0", {"1.0.0"})
    assert harness.loaded_versions() == {"1.0.0"}
    assert [line.what for line in after.history] == ["canary", "promote", "roll back"]


def test_a_version_that_does_not_come_up_changes_nothing(harness: TargetHarness) -> None:
    broken = harness.register_failing("9.0.0")
    with harness.make_target() as actuator:
        before = actuator.read(MODEL)
        with pytest.raises(TargetError, match=r"9\.0\.0"):
            apply_change(actuator, with_canary(broken))
        assert actuator.read(MODEL) == before
    assert harness.loaded_versions() == {"1.0.0"}


def test_a_version_that_fails_the_golden_plates_changes_nothing(harness: TargetHarness) -> None:
    def fail(url: str, model: str, version: str, timeout_s: float) -> None:
        raise TargetError(f"{version} answers nonsense")

    with harness.make_target(fail) as actuator:
        before = actuator.read(MODEL)
        with pytest.raises(TargetError, match="nonsense"):
            apply_change(actuator, with_canary(actuator.find(MODEL, "1.2.0")))
        assert actuator.read(MODEL) == before
    assert harness.loaded_versions() == {"1.0.0"}


def test_of_two_who_read_the_same_release_one_changes_it(harness: TargetHarness) -> None:
    with harness.make_target() as first, harness.make_target() as second:
        before = second.read(MODEL)
        after = apply_change(first, with_canary(first.find(MODEL, "1.1.0")))
        with pytest.raises(ConflictError, match="read it again"):
            second.apply(before, transitions.start_canary(before.release, second.find(MODEL, "1.2.0"), ANNA))
        assert second.read(MODEL).release == after
    assert harness.loaded_versions() == {"1.0.0", "1.1.0"}


def test_who_loses_while_a_version_is_being_loaded_takes_it_off_again(harness: TargetHarness) -> None:
    def overtake(url: str, model: str, version: str, timeout_s: float) -> None:
        other = harness.make_target()
        now = other.read(model)
        other.apply(now, now.release.model_copy(update={"steps": (50.0, 100.0)}))

    with harness.make_target(overtake) as actuator:
        with pytest.raises(ConflictError):
            apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert actuator.read(MODEL).release.steps == (50, 100)
    assert harness.loaded_versions() == {"1.0.0"}


def test_what_is_so_already_can_be_made_so_again(harness: TargetHarness) -> None:
    with harness.make_target() as actuator:
        before = actuator.read(MODEL)
        assert actuator.apply(before, before.release) == before
        assert actuator.apply(before, before.release) == before
    assert harness.loaded_versions() == {"1.0.0"}


class KilledError(BaseException):
    """Ends an apply as kill -9 would: nothing that cleans up catches it."""


def test_what_a_killed_change_left_is_healed_by_the_next(harness: TargetHarness) -> None:
    def die(url: str, model: str, version: str, timeout_s: float) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        apply_change(harness.make_target(die), with_canary(harness.shelf.find(MODEL, "1.1.0")))
    assert harness.loaded_versions() == {"1.0.0", "1.1.0"}
    assert harness.make_target().read(MODEL).release.canary is None
    with harness.make_target() as actuator:
        after = apply_change(actuator, with_canary(actuator.find(MODEL, "1.2.0")))
        assert after.canary == "1.2.0"
    assert harness.loaded_versions() == {"1.0.0", "1.2.0"}


def test_what_is_not_there_is_named(harness: TargetHarness) -> None:
    with pytest.raises(UnknownModelError, match=f"the models here are {MODEL}"):
        harness.make_target().read("other")
    with pytest.raises(UnknownVersionError, match=r"1\.0\.0"):
        harness.make_target().find(MODEL, "7.7.7")


def test_what_a_version_on_a_laptop_was_asked_before_it_went_is_answered(
    torchserve: RunningTorchServe, shelf: InMemoryVersionStore, tmp_path: Path
) -> None:
    """TorchServe forgets to answer what a worker is at when its version is unregistered."""
    with _local_harness(torchserve, shelf, tmp_path) as harness, harness.make_target(lambda *_: None) as actuator:
        apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        headers = {"x-thale-mm-per-px": "0.25"}
        with ThreadPoolExecutor() as askers:
            path = f"/predictions/{MODEL}/1.1.0"
            asked = [askers.submit(torchserve.post, path, large_plate(), headers) for _ in range(2)]
            wait_for("the first to reach a worker", lambda: pending_requests(torchserve, "1.1.0") or asked[0].done())
            apply_change(actuator, lambda release: transitions.roll_back(release, ANNA))
            actuator.close()
            assert [future.result()[0].status for future in asked] == [200, 200]
        assert harness.loaded_versions() == {"1.0.0"}


def large_plate() -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (600, 600), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def pending_requests(torchserve: RunningTorchServe, version: str) -> int:
    """Return how many requests wait for a worker of a version."""
    [description] = json.loads(torchserve.call_management("GET", f"/models/{MODEL}/{version}")[1])
    return int(description["jobQueueStatus"]["pendingRequests"])


def test_a_rollback_on_a_laptop_does_not_need_torchserve(shelf: InMemoryVersionStore, tmp_path: Path) -> None:
    record = tmp_path / "release-state.json"
    on_trial = transitions.start_canary(initial_release(shelf), shelf.find(MODEL, "1.1.0"), ANNA)
    record.write_text(ReleaseState(models={MODEL: on_trial}).model_dump_json())
    server = TorchServeClient.from_urls("http://127.0.0.1:9", "http://127.0.0.1:9")
    with LocalTarget(record, shelf, tmp_path, server, timeouts=local.TargetTimeouts(propagation_s=0)) as actuator:
        apply_change(actuator, lambda release: transitions.roll_back(release, ANNA))
    assert ReleaseState.model_validate_json(record.read_bytes()).models[MODEL].canary is None
    record.write_text("{")
    with pytest.raises(TargetError, match=r"release-state\.json cannot be read"):
        actuator.read(MODEL)


@pytest.fixture
def kserve_harness(shelf: InMemoryVersionStore) -> Iterator[KServeHarness]:
    with _kserve_harness(shelf) as made:
        yield made


def test_a_canary_in_a_cluster_is_made_after_the_stable_version(kserve_harness: KServeHarness) -> None:
    with kserve_harness.make_target() as actuator:
        after = apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert after.versions["1.1.0"].url == f"http://{MODEL}-v1-1-0-predictor.{NAMESPACE}.svc"
        assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {"v1-1-0": 5}
        spec = kserve_harness.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))["spec"]
        canary = spec["canary"][0]["predictor"]
        assert (canary["serviceAccountName"], canary["model"]["runtime"]) == ("models", "thale-torchserve")
        assert canary["minReplicas"] == 1
        assert "maxReplicas" not in canary
        assert spec["predictor"]["maxReplicas"] == 6
        apply_change(actuator, lambda release: transitions.promote(release, ANNA))
        assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {"v1-0-0": 0}
    body = kserve_harness.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))
    assert "canary" not in body["spec"]
    predictor = body["spec"]["predictor"]
    assert (predictor["name"], predictor["minReplicas"], predictor["maxReplicas"]) == ("v1-1-0", 2, 6)
    assert predictor["model"]["storageUri"].endswith("1.1.0")


def test_a_predictor_that_never_gets_ready_is_given_up_in_time(kserve_harness: KServeHarness) -> None:
    kserve_harness.controller.never_ready.add("v1-1-0")
    with kserve_harness.make_target() as actuator:
        actuator.timeouts = kserve.TargetTimeouts(load_s=0.2, poll_s=0.02, drain_s=0)
        with pytest.raises(TargetError, match=r"not ready after 0\.2 s"):
            apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
    assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {}


def test_an_entry_that_somebody_takes_away_while_it_is_being_loaded_is_a_conflict(
    kserve_harness: KServeHarness,
) -> None:
    def take_away(url: str, model: str, version: str, timeout_s: float) -> None:
        kserve_harness.api.objects.merge(
            Key(inference_service.PLURAL, NAMESPACE, MODEL), {"spec": {"canary": None}}, ("kubectl", "Update")
        )

    with kserve_harness.make_target(take_away) as actuator:
        before = actuator.read(MODEL)
        with pytest.raises(ConflictError):
            apply_change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert actuator.read(MODEL) == before


def test_an_api_that_fails_for_a_moment_is_asked_again_and_one_that_is_away_is_named(
    kserve_harness: KServeHarness,
) -> None:
    with kserve_harness.make_target() as actuator:
        before = actuator.read(MODEL)
        kserve_harness.api.faults.extend([503, 0, 500])
        assert actuator.read(MODEL) == before
        kserve_harness.api.disconnect()
        with pytest.raises(ReleaseError, match="Kubernetes API"):
            actuator.read(MODEL)


def test_an_apply_whose_answer_is_lost_is_no_conflict(
    kserve_harness: KServeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object holds what was wanted: somebody must have written it, and it was this very apply."""
    with kserve_harness.make_target() as actuator:
        before = actuator.read(MODEL)
        after = before.release.model_copy(update={"steps": (10.0, 100.0)})
        apply = kserve_harness.api.objects.apply

        def lose(*args: object, **kwargs: object) -> object:
            monkeypatch.undo()
            done = apply(*args, **kwargs)  # type: ignore[arg-type]
            kserve_harness.api.faults.append(0)
            raise ConnectionResetError(done)

        monkeypatch.setattr(kserve_harness.api.objects, "apply", lose)
        assert actuator.apply(before, after).release == after
