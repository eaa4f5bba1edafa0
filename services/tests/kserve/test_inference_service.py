"""A release survives being an InferenceService, and the objects are such as KServe's own schema takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.errors import TargetError
from thale.kserve import inference_service
from thale.kserve.inference_service import release_from_resource, resource_from_release
from thale.release.lifecycle import transitions
from thale.release.targets import compute_revision
from thale.schemas import Release, ReleaseEvent

REPO_ROOT = Path(__file__).parents[3]
SCHEMAS = REPO_ROOT.parent / "shared" / "crds" / "check.py"

VERSIONS = st.tuples(*[st.integers(0, 30)] * 3).map(lambda parts: ".".join(map(str, parts)))
EVENTS = st.builds(
    ReleaseEvent,
    at=st.just(ANNA.at),
    who=st.text(max_size=20),
    what=st.sampled_from(["canary", "step", "promote", "roll back", "abort", "shadow"]),
    why=st.text(max_size=200),
    version=VERSIONS,
    stable=VERSIONS,
    weight_percent=st.floats(0, 100),
)


@st.composite
def release_states(draw: st.DrawFn) -> Release:
    names = draw(st.lists(VERSIONS, min_size=1, max_size=4, unique=True))
    stable, *others = names
    canary = draw(st.sampled_from([None, *others]))
    return Release(
        task="segmentation",
        stable=stable,
        versions={name: make_version(name) for name in draw(st.permutations(names))},
        canary=canary,
        weight_percent=draw(st.floats(0, 100)) if canary else 0.0,
        shadow=draw(st.sampled_from([None, *others])),
        steps=tuple(sorted({*draw(st.lists(st.floats(0.01, 99.9), max_size=5)), 100.0})),
        history=tuple(draw(st.lists(EVENTS, max_size=6))),
    )


def deployed_resource(min_replicas: int = 2) -> dict[str, Any]:
    predictor = {
        "name": "v9-9-9",
        "minReplicas": min_replicas,
        "maxReplicas": 6,
        "serviceAccountName": "models",
        "model": {"name": "kserve-container", "modelFormat": {"name": "thale"}, "runtime": "thale-torchserve"},
    }
    return {"metadata": {"name": "plate-seg", "namespace": "plants"}, "spec": {"predictor": predictor}}


def archive_uris(release: Release) -> dict[str, str]:
    return {name: f"https://account.blob.core.windows.net/models/plate-seg/{name}" for name in release.versions}


def with_urls(made: Release) -> Release:
    versions = {
        name: released.model_copy(update={"url": inference_service.predictor_url("plate-seg", name, "plants")})
        for name, released in made.versions.items()
    }
    return made.model_copy(update={"versions": versions})


def json_round_trip(resource: inference_service.Resource) -> Any:
    return json.loads(json.dumps(resource))


@given(release_states())
def test_a_release_comes_back_as_it_was(made: Release) -> None:
    written = resource_from_release(made, deployed_resource(), archive_uris(made))
    assert release_from_resource(json_round_trip(written)) == with_urls(made)
    again = resource_from_release(release_from_resource(written), written, {})
    assert compute_revision(release_from_resource(again)) == compute_revision(with_urls(made))
    assert inference_service.storage_uris(again) == archive_uris(made)


@given(release_states())
def test_kserve_takes_what_is_written(made: Release) -> None:
    spec = resource_from_release(made, deployed_resource(), archive_uris(made))["spec"]
    entries = spec.get("canary", [])
    assert sum(entry["trafficPercent"] for entry in entries) <= 100
    for entry in entries:
        predictor = entry["predictor"]
        assert predictor["model"]["name"]
        assert 1 <= predictor["minReplicas"] <= 2
        assert not {"maxReplicas", "autoScaling"} & predictor.keys()


def test_the_manifests_pass_the_schemas_of_the_cluster() -> None:
    if not SCHEMAS.exists():
        pytest.skip("the shared folder with the cluster's schemas is not there")
    on_trial = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    made = [
        resource_from_release(now, deployed_resource(), archive_uris(on_trial), also)
        for now, also in ((make_release(), ()), (on_trial, ()), (transitions.promote(on_trial, ANNA), ("1.0.0",)))
    ]
    stream = yaml.safe_dump_all(json_round_trip(made))
    checked = subprocess.run([sys.executable, str(SCHEMAS)], input=stream, capture_output=True, text=True)
    if "ModuleNotFoundError" in checked.stderr:
        pytest.skip(f"the schemas' checker needs another package: {checked.stderr.splitlines()[-1]}")
    assert checked.stdout.strip() == "3 objects, 0 faults"


def test_kserves_own_models_know_every_field() -> None:
    kserve = pytest.importorskip("kserve", reason="kserve belongs to the extra dev")
    on_trial = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    spec = resource_from_release(on_trial, deployed_resource(), archive_uris(on_trial))["spec"]
    (entry,) = spec["canary"]
    for model, part in (
        (kserve.V1beta1InferenceServiceSpec, spec),
        (kserve.V1beta1CanarySpec, entry),
        (kserve.V1beta1PredictorSpec, entry["predictor"]),
        (kserve.V1beta1ModelSpec, entry["predictor"]["model"]),
    ):
        assert part.keys() <= set(model.attribute_map.values())


@pytest.mark.parametrize(("percent", "replicas"), [(0.5, 1), (5, 1), (25, 3), (50, 5), (100, 10)])
def test_a_canary_runs_its_share_of_the_replicas(percent: float, replicas: int) -> None:
    on_trial = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA).model_copy(
        update={"weight_percent": percent}
    )
    (entry,) = resource_from_release(on_trial, deployed_resource(min_replicas=10), archive_uris(on_trial))["spec"][
        "canary"
    ]
    assert entry["predictor"]["minReplicas"] == replicas


def test_what_is_done_by_kubectl_holds() -> None:
    on_trial = transitions.step(transitions.start_canary(make_release(), make_version("1.1.0"), ANNA), ANNA)
    written = json_round_trip(resource_from_release(on_trial, deployed_resource(), archive_uris(on_trial)))
    written["spec"]["canary"][0]["trafficPercent"] = 10
    assert release_from_resource(written).weight_percent == 10
    del written["spec"]["canary"]
    after = release_from_resource(written)
    assert (after.canary, after.shadow, after.weight_percent, set(after.versions)) == (None, None, 0, {"1.0.0"})


def test_a_version_that_is_being_loaded_is_not_released_yet() -> None:
    written = resource_from_release(
        make_release(),
        deployed_resource(),
        {**archive_uris(make_release()), "1.1.0": "https://x"},
        extra_versions=["1.1.0"],
    )
    assert written["spec"]["canary"][0]["trafficPercent"] == 0
    assert release_from_resource(written) == with_urls(make_release())


def test_an_exact_weight_is_kept_beside_kserves_whole_percent() -> None:
    on_trial = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, steps=(0.5, 100))
    written = resource_from_release(on_trial, deployed_resource(), archive_uris(on_trial))
    assert written["spec"]["canary"][0]["trafficPercent"] == 0
    assert release_from_resource(written).weight_percent == 0.5


def test_a_history_that_does_not_fit_loses_its_beginning_and_a_rollback_never_fails_on_it() -> None:
    lines = [
        ReleaseEvent(
            at=ANNA.at, who="anna", what="step", why="x" * 9000, version="1.0.0", stable="1.0.0", weight_percent=n
        )
        for n in range(50)
    ]
    long = make_release().model_copy(update={"history": tuple(lines)})
    after = release_from_resource(resource_from_release(long, deployed_resource(), archive_uris(long)))
    assert 10 < len(after.history) < 50
    assert after.history == tuple(lines[-len(after.history) :])


def test_what_is_no_release_is_named() -> None:
    with pytest.raises(TargetError, match="InferenceService plate-seg is no release"):
        release_from_resource(deployed_resource())
    written = json_round_trip(resource_from_release(make_release(), deployed_resource(), archive_uris(make_release())))
    written["spec"]["predictor"]["name"] = "v8-8-8"
    with pytest.raises(TargetError, match=r"stable version 8\.8\.8 is none of"):
        release_from_resource(written)
    written["metadata"]["annotations"]["release.thale/versions"] = "{"
    with pytest.raises(TargetError, match="can be understood"):
        release_from_resource(written)
    assert not inference_service.is_release(deployed_resource())
    with pytest.raises(TargetError, match=r"no spec\.predictor\.model"):
        resource_from_release(make_release(), {**deployed_resource(), "spec": {"predictor": {"name": "v1-0-0"}}}, {})
