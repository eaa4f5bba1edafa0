"""Tests of routing, the traffic split, version pins and the release state file."""

import errno
import hashlib
import math
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.hostile_archives import OTHER_SPELLINGS_OF_A_VERSION
from tests.support.sample_releases import make_card
from thale.errors import ModelUnavailableError, ParameterError, UnknownModelError, UnknownVersionError, WrongTaskError
from thale.facade.upstream import release_source
from thale.facade.upstream.release_source import FileReleaseSource
from thale.facade.upstream.routing import Route, VersionPin, hash_fraction, pinned_route, select_route, split_traffic
from thale.schemas import Release, ReleaseState, Task, VersionManifest


def make_release(name: str, task: Task, *versions: str) -> Release:
    manifests = {
        version: VersionManifest(
            digest=f"sha256:{version}",
            card=make_card(
                name,
                version,
                task=task,
                classes=("background", "root"),
                mm_per_px=0.1,
                weights_sha256=hashlib.sha256(version.encode()).hexdigest(),
            ),
        )
        for version in versions
    }
    return Release(task=task, stable=versions[0], versions=manifests)


RELEASE_STATE = ReleaseState(
    models={
        "plate-seg": make_release("plate-seg", "segmentation", "1.0.0", "1.1.0"),
        "rosette-seg": make_release("rosette-seg", "segmentation", "2.0.0"),
        "plate-landmarks": make_release("plate-landmarks", "landmarks", "1.0.0"),
    }
)


def select(*pins: str, task: Task = "segmentation", default: str = "plate-seg") -> Route:
    parsed = [VersionPin.parse(pin) for pin in pins]
    return select_route(RELEASE_STATE, task, default, experiment=None, request_id="a", pins=parsed)


def test_route_is_stable_of_the_default_model_by_default() -> None:
    assert (select().name, select().version, select().task) == ("plate-seg", "1.0.0", "segmentation")


def test_route_has_archive_and_weights_digests() -> None:
    manifest = RELEASE_STATE.models["plate-seg"].versions["1.1.0"]
    route = select("plate-seg@1.1.0")
    assert (route.digest, route.weights_digest) == (manifest.digest, f"sha256:{manifest.card.weights_sha256}")


def test_pin_selects_version_or_model_of_the_task() -> None:
    assert select("plate-seg@1.1.0").version == "1.1.0"
    assert select("rosette-seg", "plate-landmarks").name == "rosette-seg"


@pytest.mark.parametrize("version", OTHER_SPELLINGS_OF_A_VERSION)
def test_pin_of_another_spelling_of_a_version_is_rejected(version: str) -> None:
    with pytest.raises(ParameterError, match="write name or name@version"):
        VersionPin.parse(f"plate-seg@{version}")


def test_pin_of_another_task_is_ignored() -> None:
    assert select("plate-landmarks").name == "plate-seg"


def test_unknown_models_and_versions_are_rejected() -> None:
    with pytest.raises(UnknownModelError, match="plate-seg"):
        select("plate")
    with pytest.raises(UnknownVersionError, match=r"1\.1\.0"):
        select("plate-seg@3.0.0")
    with pytest.raises(ParameterError, match="rosette-seg"):
        select("plate-seg", "rosette-seg")
    with pytest.raises(WrongTaskError, match="landmarks"):
        pinned_route(RELEASE_STATE, VersionPin("plate-landmarks", None), "segmentation")
    with pytest.raises(ModelUnavailableError, match="maize-seg"):
        select(default="maize-seg")


def canary_release(percent: float, canary: str = "1.1.0", shadow: str | None = None) -> Release:
    release = RELEASE_STATE.models["plate-seg"]
    return Release.model_validate({**dict(release), "canary": canary, "weight_percent": percent, "shadow": shadow})


@pytest.mark.slow
@pytest.mark.parametrize("percent", [0, 1, 5, 25, 50, 99, 100])
def test_split_matches_the_weight_over_10000_requests(percent: float) -> None:
    requests, weight = 10_000, percent / 100
    release = canary_release(percent)
    for kind in ("request", "experiment"):
        canaries = sum(split_traffic(release, f"{kind} {number}").role == "canary" for number in range(requests))
        assert abs(canaries - requests * weight) <= 4 * math.sqrt(requests * weight * (1 - weight))


def test_split_keeps_an_experiment_on_one_version() -> None:
    release_state = ReleaseState(models={"plate-seg": canary_release(50)})

    def version(experiment: str, request_id: str) -> str:
        return select_route(
            release_state, "segmentation", "plate-seg", experiment=experiment, request_id=request_id
        ).version

    versions = {experiment: {version(experiment, f"{plate}") for plate in range(50)} for experiment in "abcdefgh"}
    assert all(len(serving_versions) == 1 for serving_versions in versions.values())
    assert set.union(*versions.values()) == {"1.0.0", "1.1.0"}


def test_split_moves_no_request_back_as_the_weight_grows() -> None:
    keys = [f"experiment {number}" for number in range(1000)]
    before: set[str] = set()
    for percent in (0, 1, 5, 25, 50, 99.9, 100):
        release = canary_release(percent)
        now = {key for key in keys if split_traffic(release, key).role == "canary"}
        assert before <= now
        before = now
    assert before == set(keys)


def test_hash_fraction_is_equal_in_every_process() -> None:
    assert hash_fraction("plate-seg", "1.1.0", "drought 7") == pytest.approx(0.31149545380784605)
    assert hash_fraction("plate-seg", "1.1.0", "drought 7") != hash_fraction("plate-seg", "1.2.0", "drought 7")
    assert hash_fraction("plate-seg", "1.1.0", "drought 7") != hash_fraction("plate-landmarks", "1.1.0", "drought 7")


def test_canary_route_has_fallback_and_stable_route_shadow() -> None:
    canary = split_traffic(canary_release(100, shadow="1.1.0"), "a")
    assert (canary.version, canary.role, canary.shadow) == ("1.1.0", "canary", None)
    assert canary.fallback == Route.from_manifest(RELEASE_STATE.models["plate-seg"].versions["1.0.0"])
    stable = split_traffic(canary_release(0, shadow="1.1.0"), "a")
    assert (stable.version, stable.role, stable.fallback) == ("1.0.0", "stable", None)
    assert stable.shadow is not None
    assert (stable.shadow.version, stable.shadow.role) == ("1.1.0", "shadow")


def test_pinned_version_has_no_fallback() -> None:
    release_state = ReleaseState(models={**RELEASE_STATE.models, "plate-seg": canary_release(100, shadow="1.1.0")})

    def pinned(pin: str) -> Route:
        pins = [VersionPin.parse(pin)]
        return select_route(release_state, "segmentation", "plate-seg", experiment=None, request_id="a", pins=pins)

    for version in ("1.0.0", "1.1.0"):
        route = pinned(f"plate-seg@{version}")
        assert (route.version, route.role, route.fallback, route.shadow) == (version, "pinned", None, None)
    assert pinned("plate-seg").role == "canary"


def test_route_has_the_url_of_its_model_server() -> None:
    version = RELEASE_STATE.models["plate-seg"].versions["1.0.0"]
    assert Route.from_manifest(version).url == ""
    assert Route.from_manifest(version.model_copy(update={"url": "http://canary"})).url == "http://canary"


def test_file_source_reloads_changed_and_ignores_invalid_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_source, "_POLL_INTERVAL_S", 0.0)
    path = tmp_path / "release-state.json"
    source = FileReleaseSource(path)
    with pytest.raises(ModelUnavailableError):
        source.current()
    path.write_text(RELEASE_STATE.model_dump_json())
    assert source.current() == RELEASE_STATE
    path.write_text("{half")
    assert source.current() == RELEASE_STATE
    path.unlink()
    assert source.current() == RELEASE_STATE
    smaller_state = ReleaseState(models={"plate-seg": RELEASE_STATE.models["plate-seg"]})
    path.write_text(smaller_state.model_dump_json())
    assert source.current() == smaller_state


def test_file_source_repeats_a_failed_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_source, "_POLL_INTERVAL_S", 0.0)
    path = tmp_path / "release-state.json"
    path.write_text(RELEASE_STATE.model_dump_json())
    source = FileReleaseSource(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", Mock(side_effect=OSError(errno.EMFILE, "too many open files")))
        with pytest.raises(ModelUnavailableError):
            source.current()
    assert source.current() == RELEASE_STATE


def test_release_state_rejects_inconsistent_parts() -> None:
    with pytest.raises(ValueError, match="stable version"):
        Release(task="segmentation", stable="9.0.0", versions=RELEASE_STATE.models["plate-seg"].versions)
    with pytest.raises(ValueError, match="has the card of plate-seg"):
        ReleaseState(models={"other-seg": RELEASE_STATE.models["plate-seg"]})
