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

from tests.support.fake_kserve_controller import KServeController, entries, running_controller
from tests.support.fake_kubernetes_api import KubeApi, running_kube_api
from tests.support.fake_kubernetes_objects import Key
from tests.support.in_memory_version_store import MODEL, Shelf
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA
from tests.support.torchserve_process import TorchServe as RunningTorchServe
from tests.support.torchserve_process import running_torchserve
from thale.errors import ActuatorError, ConflictError, ReleaseError, UnknownModelError, UnknownVersionError
from thale.files import write_atomically
from thale.kserve import client, inference_service
from thale.release.lifecycle import transitions
from thale.release.registry import golden
from thale.release.targets import Actuator, WarmUp, kserve, local
from thale.release.targets.kserve import KServeActuator
from thale.release.targets.local import LocalActuator
from thale.release.targets.torchserve_client import TorchServe
from thale.schemas import Release, ReleasedVersion, ReleaseRecord

NAMESPACE = "plants"


class Place(Protocol):
    """Somewhere to release to: version 1.0.0 is stable, nothing else is held."""

    shelf: Shelf

    def actuator(self, warm_up: WarmUp | None = None) -> LocalActuator | KServeActuator:
        """Return another actuator of this place, as another process would have it."""
        ...

    def loaded(self) -> set[str]:
        """Return the versions that could answer."""
        ...

    def fails(self, version: str) -> ReleasedVersion:
        """Register a version that does not come up."""
        ...


@dataclass
class Laptop:
    shelf: Shelf
    record: Path
    torchserve: RunningTorchServe

    def actuator(self, warm_up: WarmUp | None = None) -> LocalActuator:
        ports = (self.torchserve.inference_port, self.torchserve.management_port)
        server = TorchServe.at(*(f"http://127.0.0.1:{port}" for port in ports))
        patience = local.Patience(follow_s=0.2)
        return LocalActuator(
            self.record, self.shelf, self.torchserve.store, server, warm_up or golden.warm_up, patience
        )

    def loaded(self) -> set[str]:
        return set(self.actuator().server.versions(MODEL))

    def fails(self, version: str) -> ReleasedVersion:
        return self.shelf.register(version, broken=True)


@dataclass
class Cluster:
    shelf: Shelf
    api: KubeApi
    controller: KServeController

    def actuator(self, warm_up: WarmUp | None = None) -> KServeActuator:
        patience = kserve.Patience(load_s=5, look_s=0.02, drain_s=0.2)
        return KServeActuator(
            client.patient(self.api.client().configuration),
            NAMESPACE,
            self.shelf,
            warm_up or (lambda *_: None),
            patience,
        )

    def loaded(self) -> set[str]:
        body = self.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))
        return set(inference_service.storage_uris(body))

    def fails(self, version: str) -> ReleasedVersion:
        self.controller.failing.add(inference_service.predictor_name(version))
        return self.shelf.register(version)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    made = Shelf(tmp_path_factory.mktemp("shelf"))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        made.register(version)
    return made


@pytest.fixture(scope="module")
def torchserve(tmp_path_factory: pytest.TempPathFactory, shelf: Shelf) -> Iterator[RunningTorchServe]:
    home = tmp_path_factory.mktemp("ts")
    (home / "store").mkdir()
    first = shelf.find(MODEL, "1.0.0")
    archive = f"{MODEL}-1.0.0.mar"
    (home / "store" / archive).write_bytes(shelf.archive(first).read_bytes())
    with running_torchserve(home, [archive]) as running:
        yield running


@contextmanager
def _laptop(torchserve: RunningTorchServe, shelf: Shelf, folder: Path) -> Iterator[Laptop]:
    place = Laptop(shelf, folder / "traffic.json", torchserve)
    record = ReleaseRecord(models={MODEL: first_release(shelf)})
    write_atomically(place.record, record.model_dump_json().encode())
    if "1.0.0" not in place.loaded():  # a test before took it off
        place.actuator().server.load(MODEL, "1.0.0", f"{MODEL}-1.0.0.mar", 240)
    place.actuator().unload_unused(MODEL)
    yield place


@contextmanager
def _cluster(shelf: Shelf) -> Iterator[Cluster]:
    with running_kube_api() as api, running_controller(api, NAMESPACE) as controller:
        live = inference_service_as_deployed(shelf)
        key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
        api.objects.create(key, live, ("kubectl", "Apply"))
        yield Cluster(shelf, api, controller)


def first_release(shelf: Shelf) -> Release:
    return Release(task="segmentation", stable="1.0.0", versions={"1.0.0": shelf.find(MODEL, "1.0.0")})


def inference_service_as_deployed(shelf: Shelf) -> dict[str, object]:
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
    wanted = inference_service.write_release(first_release(shelf), live, {})
    return {**wanted, "spec": {"predictor": predictor}}


@pytest.fixture(params=["laptop", "cluster"])
def place(request: pytest.FixtureRequest, shelf: Shelf, tmp_path: Path) -> Iterator[Place]:
    if request.param == "cluster":
        with _cluster(shelf) as somewhere:
            yield somewhere
        return
    with _laptop(request.getfixturevalue("torchserve"), shelf, tmp_path) as here:
        yield here


def change(actuator: Actuator, planned: Callable[[Release], Release]) -> Release:
    before = actuator.read(MODEL)
    return actuator.apply(before, planned(before.release)).release


def with_canary(version: ReleasedVersion) -> Callable[[Release], Release]:
    return lambda release: transitions.canary(release, version, ANNA)


def test_a_canary_is_loaded_and_warm_before_anything_names_it_and_goes_after_nothing_does(place: Place) -> None:
    seen: list[tuple[str, bool, str | None]] = []

    def look(url: str, model: str, version: str, timeout_s: float) -> None:
        seen.append((version, version in place.loaded(), place.actuator().read(model).release.canary))

    with place.actuator(look) as actuator:
        assert (list(actuator.models()), place.loaded()) == ([MODEL], {"1.0.0"})
        after = change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert seen == [("1.1.0", True, None)]
        assert (after.canary, after.weight_percent, after.shadow) == ("1.1.0", 5, "1.1.0")
        assert place.actuator().read(MODEL).release == after
        assert place.loaded() == {"1.0.0", "1.1.0"}

        after = change(actuator, lambda release: transitions.step(release, ANNA))
        assert (after.weight_percent, len(seen)) == (25, 1)

        after = change(actuator, lambda release: transitions.roll_back(release, ANNA))
        assert (after.canary, after.weight_percent, set(after.versions)) == (None, 0, {"1.0.0"})
        assert place.actuator().read(MODEL).release == after
    assert place.loaded() == {"1.0.0"}


def test_a_promoted_version_stays_alone_and_the_one_before_can_come_back(place: Place) -> None:
    with place.actuator() as actuator:
        change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        after = change(actuator, lambda release: transitions.promote(release, ANNA))
        assert (after.stable, after.canary) == ("1.1.0", None)
    assert place.loaded() == {"1.1.0"}
    with place.actuator() as actuator:
        before = actuator.find(MODEL, "1.0.0")
        after = change(actuator, lambda release: transitions.roll_back(release, ANNA, before))
        assert (after.stable, set(after.versions)) == ("1.0.0", {"1.0.0"})
    assert place.loaded() == {"1.0.0"}
    assert [line.what for line in after.history] == ["canary", "promote", "roll back"]


def test_a_version_that_does_not_come_up_changes_nothing(place: Place) -> None:
    broken = place.fails("9.0.0")
    with place.actuator() as actuator:
        before = actuator.read(MODEL)
        with pytest.raises(ActuatorError, match=r"9\.0\.0"):
            change(actuator, with_canary(broken))
        assert actuator.read(MODEL) == before
    assert place.loaded() == {"1.0.0"}


def test_a_version_that_fails_the_golden_plates_changes_nothing(place: Place) -> None:
    def fail(url: str, model: str, version: str, timeout_s: float) -> None:
        raise ActuatorError(f"{version} answers nonsense")

    with place.actuator(fail) as actuator:
        before = actuator.read(MODEL)
        with pytest.raises(ActuatorError, match="nonsense"):
            change(actuator, with_canary(actuator.find(MODEL, "1.2.0")))
        assert actuator.read(MODEL) == before
    assert place.loaded() == {"1.0.0"}


def test_of_two_who_read_the_same_release_one_changes_it(place: Place) -> None:
    with place.actuator() as first, place.actuator() as second:
        before = second.read(MODEL)
        after = change(first, with_canary(first.find(MODEL, "1.1.0")))
        with pytest.raises(ConflictError, match="read it again"):
            second.apply(before, transitions.canary(before.release, second.find(MODEL, "1.2.0"), ANNA))
        assert second.read(MODEL).release == after
    assert place.loaded() == {"1.0.0", "1.1.0"}


def test_who_loses_while_a_version_is_being_loaded_takes_it_off_again(place: Place) -> None:
    def overtake(url: str, model: str, version: str, timeout_s: float) -> None:
        other = place.actuator()
        now = other.read(model)
        other.apply(now, now.release.model_copy(update={"steps": (50.0, 100.0)}))

    with place.actuator(overtake) as actuator:
        with pytest.raises(ConflictError):
            change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert actuator.read(MODEL).release.steps == (50, 100)
    assert place.loaded() == {"1.0.0"}


def test_what_is_so_already_can_be_made_so_again(place: Place) -> None:
    with place.actuator() as actuator:
        before = actuator.read(MODEL)
        assert actuator.apply(before, before.release) == before
        assert actuator.apply(before, before.release) == before
    assert place.loaded() == {"1.0.0"}


class KilledError(BaseException):
    """Ends an apply as kill -9 would: nothing that cleans up catches it."""


def test_what_a_killed_change_left_is_healed_by_the_next(place: Place) -> None:
    def die(url: str, model: str, version: str, timeout_s: float) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        change(place.actuator(die), with_canary(place.shelf.find(MODEL, "1.1.0")))
    assert place.loaded() == {"1.0.0", "1.1.0"}
    assert place.actuator().read(MODEL).release.canary is None
    with place.actuator() as actuator:
        after = change(actuator, with_canary(actuator.find(MODEL, "1.2.0")))
        assert after.canary == "1.2.0"
    assert place.loaded() == {"1.0.0", "1.2.0"}


def test_what_is_not_there_is_named(place: Place) -> None:
    with pytest.raises(UnknownModelError, match=f"the models here are {MODEL}"):
        place.actuator().read("other")
    with pytest.raises(UnknownVersionError, match=r"1\.0\.0"):
        place.actuator().find(MODEL, "7.7.7")


def test_what_a_version_on_a_laptop_was_asked_before_it_went_is_answered(
    torchserve: RunningTorchServe, shelf: Shelf, tmp_path: Path
) -> None:
    """TorchServe forgets to answer what a worker is at when its version is unregistered."""
    with _laptop(torchserve, shelf, tmp_path) as place, place.actuator(lambda *_: None) as actuator:
        change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        headers = {"x-thale-mm-per-px": "0.25"}
        with ThreadPoolExecutor() as askers:
            path = f"/predictions/{MODEL}/1.1.0"
            asked = [askers.submit(torchserve.post, path, large_plate(), headers) for _ in range(2)]
            wait_for("the first to reach a worker", lambda: waiting(torchserve, "1.1.0") or asked[0].done())
            change(actuator, lambda release: transitions.roll_back(release, ANNA))
            actuator.close()
            assert [future.result()[0].status for future in asked] == [200, 200]
        assert place.loaded() == {"1.0.0"}


def large_plate() -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (600, 600), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def waiting(torchserve: RunningTorchServe, version: str) -> int:
    """Return how many requests wait for a worker of a version."""
    [told] = json.loads(torchserve.manage("GET", f"/models/{MODEL}/{version}")[1])
    return int(told["jobQueueStatus"]["pendingRequests"])


def test_a_rollback_on_a_laptop_does_not_need_torchserve(shelf: Shelf, tmp_path: Path) -> None:
    record = tmp_path / "traffic.json"
    on_trial = transitions.canary(first_release(shelf), shelf.find(MODEL, "1.1.0"), ANNA)
    record.write_text(ReleaseRecord(models={MODEL: on_trial}).model_dump_json())
    server = TorchServe.at("http://127.0.0.1:9", "http://127.0.0.1:9")
    with LocalActuator(record, shelf, tmp_path, server, patience=local.Patience(follow_s=0)) as actuator:
        change(actuator, lambda release: transitions.roll_back(release, ANNA))
    assert ReleaseRecord.model_validate_json(record.read_bytes()).models[MODEL].canary is None
    record.write_text("{")
    with pytest.raises(ActuatorError, match=r"traffic\.json cannot be read"):
        actuator.read(MODEL)


@pytest.fixture
def somewhere(shelf: Shelf) -> Iterator[Cluster]:
    with _cluster(shelf) as made:
        yield made


def test_a_canary_in_a_cluster_is_made_after_the_stable_version(somewhere: Cluster) -> None:
    with somewhere.actuator() as actuator:
        after = change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert after.versions["1.1.0"].url == f"http://{MODEL}-v1-1-0-predictor.{NAMESPACE}.svc"
        assert entries(somewhere.api, NAMESPACE, MODEL) == {"v1-1-0": 5}
        spec = somewhere.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))["spec"]
        canary = spec["canary"][0]["predictor"]
        assert (canary["serviceAccountName"], canary["model"]["runtime"]) == ("models", "thale-torchserve")
        assert canary["minReplicas"] == 1
        assert "maxReplicas" not in canary
        assert spec["predictor"]["maxReplicas"] == 6
        change(actuator, lambda release: transitions.promote(release, ANNA))
        assert entries(somewhere.api, NAMESPACE, MODEL) == {"v1-0-0": 0}
    body = somewhere.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))
    assert "canary" not in body["spec"]
    predictor = body["spec"]["predictor"]
    assert (predictor["name"], predictor["minReplicas"], predictor["maxReplicas"]) == ("v1-1-0", 2, 6)
    assert predictor["model"]["storageUri"].endswith("1.1.0")


def test_a_predictor_that_never_gets_ready_is_given_up_in_time(somewhere: Cluster) -> None:
    somewhere.controller.never_ready.add("v1-1-0")
    with somewhere.actuator() as actuator:
        actuator.patience = kserve.Patience(load_s=0.2, look_s=0.02, drain_s=0)
        with pytest.raises(ActuatorError, match=r"not ready after 0\.2 s"):
            change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
    assert entries(somewhere.api, NAMESPACE, MODEL) == {}


def test_an_entry_that_somebody_takes_away_while_it_is_being_loaded_is_a_conflict(somewhere: Cluster) -> None:
    def take_away(url: str, model: str, version: str, timeout_s: float) -> None:
        somewhere.api.objects.merge(
            Key(inference_service.PLURAL, NAMESPACE, MODEL), {"spec": {"canary": None}}, ("kubectl", "Update")
        )

    with somewhere.actuator(take_away) as actuator:
        before = actuator.read(MODEL)
        with pytest.raises(ConflictError):
            change(actuator, with_canary(actuator.find(MODEL, "1.1.0")))
        assert actuator.read(MODEL) == before


def test_an_api_that_fails_for_a_moment_is_asked_again_and_one_that_is_away_is_named(somewhere: Cluster) -> None:
    with somewhere.actuator() as actuator:
        before = actuator.read(MODEL)
        somewhere.api.faults.extend([503, 0, 500])
        assert actuator.read(MODEL) == before
        somewhere.api.hang_up()
        with pytest.raises(ReleaseError, match="Kubernetes API"):
            actuator.read(MODEL)


def test_an_apply_whose_answer_is_lost_is_no_conflict(somewhere: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object holds what was wanted: somebody must have written it, and it was this very apply."""
    with somewhere.actuator() as actuator:
        before = actuator.read(MODEL)
        after = before.release.model_copy(update={"steps": (10.0, 100.0)})
        apply = somewhere.api.objects.apply

        def lose(*args: object, **kwargs: object) -> object:
            monkeypatch.undo()
            done = apply(*args, **kwargs)  # type: ignore[arg-type]
            somewhere.api.faults.append(0)
            raise ConnectionResetError(done)

        monkeypatch.setattr(somewhere.api.objects, "apply", lose)
        assert actuator.apply(before, after).release == after
