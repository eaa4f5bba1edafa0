"""Tests of the conversion between releases and InferenceServices, against KServe's schema and models."""

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
from thale.kserve.inference_service import (
    predictor_name,
    release_from_resource,
    resource_from_release,
    version_from_predictor_name,
)
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
    what=st.sampled_from(["canary", "step", "promote", "roll back", "abort", "shadow", "restore"]),
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


def with_urls(release: Release) -> Release:
    versions = {
        name: manifest.model_copy(update={"url": inference_service.predictor_url("plate-seg", name, "plants")})
        for name, manifest in release.versions.items()
    }
    return release.model_copy(update={"versions": versions})


def json_round_trip(resource: inference_service.Resource) -> Any:
    return json.loads(json.dumps(resource))


@pytest.mark.slow
@given(release_states())
def test_release_survives_round_trip(release: Release) -> None:
    resource = resource_from_release(release, deployed_resource(), archive_uris(release))
    assert release_from_resource(json_round_trip(resource)) == with_urls(release)
    second = resource_from_release(release_from_resource(resource), resource, {})
    assert compute_revision(release_from_resource(second)) == compute_revision(with_urls(release))
    assert inference_service.storage_uris(second) == archive_uris(release)


def test_annotation_keys_are_the_keys_of_a_rollout() -> None:
    rollout = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    resource = resource_from_release(rollout, deployed_resource(), archive_uris(rollout))
    assert sorted(resource["metadata"]["annotations"]) == list(inference_service.ANNOTATION_KEYS)


@pytest.mark.slow
@given(release_states())
def test_annotation_keys_contain_every_written_key(release: Release) -> None:
    resource = resource_from_release(release, deployed_resource(), archive_uris(release))
    assert resource["metadata"]["annotations"].keys() <= {*inference_service.ANNOTATION_KEYS}


@pytest.mark.slow
@given(release_states())
def test_resource_meets_constraints_of_kserve(release: Release) -> None:
    spec = resource_from_release(release, deployed_resource(), archive_uris(release))["spec"]
    entries = spec.get("canary", [])
    assert sum(entry["trafficPercent"] for entry in entries) <= 100
    for entry in entries:
        predictor = entry["predictor"]
        assert predictor["model"]["name"]
        assert 1 <= predictor["minReplicas"] <= 2
        assert not {"maxReplicas", "autoScaling"} & predictor.keys()


@pytest.mark.slow
def test_resource_passes_the_schemas_of_the_cluster() -> None:
    if not SCHEMAS.exists():
        pytest.skip("the shared folder with the schemas of the cluster is missing")
    rollout = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    resources = [
        resource_from_release(release, deployed_resource(), archive_uris(rollout), extra_versions)
        for release, extra_versions in (
            (make_release(), ()),
            (rollout, ()),
            (transitions.promote(rollout, ANNA), ("1.0.0",)),
        )
    ]
    stream = yaml.safe_dump_all(json_round_trip(resources))
    check = subprocess.run([sys.executable, str(SCHEMAS)], input=stream, capture_output=True, text=True)
    if "ModuleNotFoundError" in check.stderr:
        pytest.skip(f"the schema checker requires another package: {check.stderr.splitlines()[-1]}")
    assert check.stdout.strip() == "3 objects, 0 faults"


def test_resource_fields_exist_in_models_of_kserve() -> None:
    kserve = pytest.importorskip("kserve", reason="kserve belongs to the extra dev")
    rollout = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    spec = resource_from_release(rollout, deployed_resource(), archive_uris(rollout))["spec"]
    (entry,) = spec["canary"]
    for model, part in (
        (kserve.V1beta1InferenceServiceSpec, spec),
        (kserve.V1beta1CanarySpec, entry),
        (kserve.V1beta1PredictorSpec, entry["predictor"]),
        (kserve.V1beta1ModelSpec, entry["predictor"]["model"]),
    ):
        assert part.keys() <= set(model.attribute_map.values())


@pytest.mark.parametrize(("percent", "replicas"), [(0.5, 1), (5, 1), (25, 3), (50, 5), (100, 10)])
def test_canary_replicas_are_its_share_of_stable(percent: float, replicas: int) -> None:
    rollout = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA).model_copy(
        update={"weight_percent": percent}
    )
    (entry,) = resource_from_release(rollout, deployed_resource(min_replicas=10), archive_uris(rollout))["spec"][
        "canary"
    ]
    assert entry["predictor"]["minReplicas"] == replicas


def test_rollout_of_a_model_scaled_to_zero_names_the_remedy() -> None:
    live = deployed_resource(min_replicas=0)
    rollout = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    with pytest.raises(TargetError, match="remove components/scale-to-zero from the overlay"):
        resource_from_release(rollout, live, archive_uris(rollout))
    rolled_back = make_release()
    assert "canary" not in resource_from_release(rolled_back, live, archive_uris(rolled_back))["spec"]


def test_changes_by_kubectl_take_precedence() -> None:
    rollout = transitions.step(transitions.start_canary(make_release(), make_version("1.1.0"), ANNA), ANNA)
    resource = json_round_trip(resource_from_release(rollout, deployed_resource(), archive_uris(rollout)))
    resource["spec"]["canary"][0]["trafficPercent"] = 10
    assert release_from_resource(resource).weight_percent == 10
    del resource["spec"]["canary"]
    after = release_from_resource(resource)
    assert (after.canary, after.shadow, after.weight_percent, set(after.versions)) == (None, None, 0, {"1.0.0"})


def test_loading_version_is_not_part_of_the_release() -> None:
    resource = resource_from_release(
        make_release(),
        deployed_resource(),
        {**archive_uris(make_release()), "1.1.0": "https://x"},
        extra_versions=["1.1.0"],
    )
    assert resource["spec"]["canary"][0]["trafficPercent"] == 0
    assert release_from_resource(resource) == with_urls(make_release())


def test_exact_weight_survives_integer_traffic_percent() -> None:
    rollout = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA, steps=(0.5, 100))
    resource = resource_from_release(rollout, deployed_resource(), archive_uris(rollout))
    assert resource["spec"]["canary"][0]["trafficPercent"] == 0
    assert release_from_resource(resource).weight_percent == 0.5


def test_history_loses_oldest_events_beyond_size_limit() -> None:
    events = [
        ReleaseEvent(
            at=ANNA.at, who="anna", what="step", why="x" * 9000, version="1.0.0", stable="1.0.0", weight_percent=n
        )
        for n in range(50)
    ]
    long = make_release().model_copy(update={"history": tuple(events)})
    after = release_from_resource(resource_from_release(long, deployed_resource(), archive_uris(long)))
    assert 10 < len(after.history) < 50
    assert after.history == tuple(events[-len(after.history) :])


def test_invalid_resource_is_rejected_with_its_name() -> None:
    with pytest.raises(TargetError, match="InferenceService plate-seg is not a release"):
        release_from_resource(deployed_resource())
    resource = json_round_trip(resource_from_release(make_release(), deployed_resource(), archive_uris(make_release())))
    resource["spec"]["predictor"]["name"] = "v8-8-8"
    with pytest.raises(TargetError, match=r"stable version 8\.8\.8"):
        release_from_resource(resource)
    resource["metadata"]["annotations"]["release.thale/versions"] = "{"
    with pytest.raises(TargetError, match="is not a valid release"):
        release_from_resource(resource)
    assert not inference_service.is_release(deployed_resource())
    with pytest.raises(TargetError, match=r"no spec\.predictor\.model"):
        resource_from_release(make_release(), {**deployed_resource(), "spec": {"predictor": {"name": "v1-0-0"}}}, {})


def test_predictor_name_converts_to_its_version() -> None:
    assert version_from_predictor_name("v1-10-0") == "1.10.0"
    assert predictor_name("1.10.0") == "v1-10-0"


@pytest.mark.parametrize("name", ["", "v", "1-1-0", "v01-1-0", "v1-1-\u0661", "v1.1.0", "vv1-1-0", "v1-1-0\n", "v1-1"])
def test_predictor_name_of_another_form_has_no_version(name: str) -> None:
    assert version_from_predictor_name(name) is None
