"""Tests of the KServe target with the fake Kubernetes API and the fake of KServe's controller."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.fake_kserve_controller import canary_percents, disallow_annotations
from tests.support.fake_kubelet import LOAD_FAILURE, NO_NODE, NO_VOLUME, OVER_QUOTA, Behaviour
from tests.support.fake_kubernetes_objects import Key
from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.kserve_harness import NAMESPACE, KServeHarness, apply_change, run_kserve, with_canary
from tests.support.local_platform import wait_for
from tests.support.sample_releases import ANNA
from thale.errors import ConflictError, ReleaseError, TargetError
from thale.kserve import inference_service, pod_state
from thale.release.lifecycle import transitions
from thale.release.targets import TargetTimeouts, predictor_loading
from thale.schemas import Release

STABLE_DEPLOYMENT = f"{MODEL}-v1-0-0-predictor"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> InMemoryVersionStore:
    store = InMemoryVersionStore(tmp_path_factory.mktemp("store"))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        store.register(version)
    return store


@pytest.fixture
def kserve_harness(store: InMemoryVersionStore) -> Iterator[KServeHarness]:
    with run_kserve(store) as harness:
        wait_for("the stable predictor", lambda: harness.controller.ready_pods(MODEL, "v1-0-0") == 2)
        yield harness


def live_spec(harness: KServeHarness) -> Any:
    return harness.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))["spec"]


def step(release: Release) -> Release:
    return transitions.step(release, ANNA)


def test_kserve_target_copies_stable_predictor_for_canary(kserve_harness: KServeHarness) -> None:
    with kserve_harness.make_target() as target:
        after = apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        assert after.versions["1.1.0"].url == f"http://{MODEL}-v1-1-0-predictor.{NAMESPACE}.svc"
        assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {"v1-1-0": 5}
        spec = kserve_harness.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))["spec"]
        canary = spec["canary"][0]["predictor"]
        assert (canary["serviceAccountName"], canary["model"]["runtime"]) == ("models", "thale-torchserve")
        assert canary["minReplicas"] == 1
        assert "maxReplicas" not in canary
        assert spec["predictor"]["maxReplicas"] == 6
        apply_change(target, lambda release: transitions.promote(release, ANNA))
        assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {"v1-0-0": 0}
    body = kserve_harness.api.objects.get(Key(inference_service.PLURAL, NAMESPACE, MODEL))
    assert "canary" not in body["spec"]
    predictor = body["spec"]["predictor"]
    assert (predictor["name"], predictor["minReplicas"], predictor["maxReplicas"]) == ("v1-1-0", 2, 6)
    assert predictor["model"]["storageUri"].endswith("1.1.0")


def test_kserve_target_fails_when_predictor_is_not_ready(kserve_harness: KServeHarness) -> None:
    kserve_harness.controller.behaviours["v1-1-0"] = "starting"
    with kserve_harness.make_target() as target:
        target.timeouts = TargetTimeouts(load_s=0.2, poll_s=0.02, drain_s=0)
        with pytest.raises(TargetError, match=r"not ready after 0\.2 s: 0 of 1 pods ready.* Starting"):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {}


def test_kserve_target_detects_removed_entry_while_loading(
    kserve_harness: KServeHarness,
) -> None:
    def remove_canary_entry(url: str, model: str, version: str, timeout_s: float) -> None:
        kserve_harness.api.objects.merge(
            Key(inference_service.PLURAL, NAMESPACE, MODEL), {"spec": {"canary": None}}, ("kubectl", "Update")
        )

    with kserve_harness.make_target(remove_canary_entry) as target:
        before = target.read(MODEL)
        with pytest.raises(ConflictError):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        assert target.read(MODEL) == before


@pytest.mark.slow
def test_kserve_target_retries_transient_api_failures(
    kserve_harness: KServeHarness,
) -> None:
    with kserve_harness.make_target() as target:
        before = target.read(MODEL)
        kserve_harness.api.faults.extend([503, 0, 500])
        assert target.read(MODEL) == before
        kserve_harness.api.disconnect()
        with pytest.raises(ReleaseError, match="Kubernetes API"):
            target.read(MODEL)


def test_kserve_target_accepts_apply_with_lost_response(
    kserve_harness: KServeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object already is the desired release, so the previous attempt must have succeeded."""
    with kserve_harness.make_target() as target:
        before = target.read(MODEL)
        after = before.release.model_copy(update={"steps": (10.0, 100.0)})
        apply = kserve_harness.api.objects.apply

        def lose_response(*args: object, **kwargs: object) -> object:
            monkeypatch.undo()
            result = apply(*args, **kwargs)  # type: ignore[arg-type]
            kserve_harness.api.faults.append(0)
            raise ConnectionResetError(result)

        monkeypatch.setattr(kserve_harness.api.objects, "apply", lose_response)
        assert target.apply(before, after).release == after


@pytest.mark.slow
def test_changes_of_a_release_change_no_pod_template(kserve_harness: KServeHarness) -> None:
    with kserve_harness.make_target() as target:
        apply_change(target, lambda release: transitions.set_shadow(release, target.find(MODEL, "1.2.0"), ANNA))
        apply_change(target, lambda release: transitions.set_shadow(release, None, ANNA))
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        for _ in range(3):
            apply_change(target, step)
        apply_change(target, lambda release: transitions.promote(release, ANNA))
    wait_for("the removal of 1.0.0", lambda: [*kserve_harness.controller.templates] == [f"{MODEL}-v1-1-0-predictor"])
    assert kserve_harness.controller.restarts == []


def test_change_that_restarts_predictors_is_refused(kserve_harness: KServeHarness) -> None:
    disallow_annotations(kserve_harness.api, inference_service.ANNOTATION_KEYS[1:])
    with kserve_harness.make_target() as target:
        with pytest.raises(TargetError, match=r"would restart every predictor.*release\.thale/canary.*deploy platform"):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        assert kserve_harness.loaded_versions() == {"1.0.0"}
        disallow_annotations(kserve_harness.api)
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert kserve_harness.controller.restarts == []


def test_rollback_is_applied_although_predictors_restart(
    kserve_harness: KServeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """A rollback must not wait for an administrator. It also shows that the fake restarts predictors as KServe does."""
    with kserve_harness.make_target() as target:
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        disallow_annotations(kserve_harness.api, ())
        after = apply_change(target, lambda release: transitions.roll_back(release, ANNA))
        assert after.canary is None
    wait_for("a restart", lambda: STABLE_DEPLOYMENT in kserve_harness.controller.restarts)
    assert "KServe restarts all predictors" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("crash", f"CrashLoopBackOff.*{LOAD_FAILURE}.*--previous|Error.*{LOAD_FAILURE}.*--previous"),
        ("out of memory", "OOMKilled.*raise the memory limit"),
        ("image pull", "(ErrImagePull|ImagePullBackOff).*manifest unknown.*registry"),
        ("unschedulable", f"Unschedulable.*{re.escape(NO_NODE)}.*autoscaler"),
        ("no pod", "KServe created no pod.*describe inferenceservice"),
        ("mount", f"FailedMount.*{re.escape(NO_VOLUME)}.*create what the volume names"),
        ("refused", f"FailedCreate.*{re.escape(OVER_QUOTA)}.*quota"),
    ],
)
def test_version_that_cannot_load_fails_early(
    kserve_harness: KServeHarness, behaviour: Behaviour, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = {name: pod_state._Failure(0.2, failure.remedy) for name, failure in pod_state._FAILURES.items()}
    monkeypatch.setattr(pod_state, "_FAILURES", {**patience, "ErrImagePull": pod_state._Failure(0, "registry")})
    monkeypatch.setattr(predictor_loading, "_NO_POD_S", 0.2)
    kserve_harness.controller.behaviours["v1-1-0"] = behaviour
    with kserve_harness.make_target() as target:
        target.timeouts = TargetTimeouts(load_s=600, poll_s=0.02, drain_s=0)
        with pytest.raises(TargetError, match=rf"1\.1\.0 cannot be loaded: .*{reason}"):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {}


def test_failed_mount_is_reported_while_loading(kserve_harness: KServeHarness) -> None:
    """The status of such a pod is `ContainerCreating`, as of one that pulls an image."""
    lines: list[str] = []
    kserve_harness.controller.behaviours["v1-1-0"] = "mount"
    with kserve_harness.make_target() as target:
        target.progress = lines.append
        target.timeouts = TargetTimeouts(load_s=0.5, poll_s=0.02, drain_s=0)
        with pytest.raises(TargetError, match="is not ready after"):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert any(f"FailedMount ({NO_VOLUME})" in line for line in lines)


def test_mount_that_succeeded_late_is_no_failure(
    kserve_harness: KServeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new node registers its drivers late. The pull that follows may take minutes."""
    monkeypatch.setitem(pod_state._FAILURES, "FailedMount", pod_state._Failure(0, "mount"))
    lines: list[str] = []
    kserve_harness.controller.behaviours["v1-1-0"] = "late mount"
    with kserve_harness.make_target() as target:
        target.progress = lines.append
        target.timeouts = TargetTimeouts(load_s=0.5, poll_s=0.02, drain_s=0)
        with pytest.raises(TargetError, match=r"is not ready after 0\.5 s: 0 of 1 pods ready.*ContainerCreating"):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert not any("FailedMount" in line for line in lines)


@pytest.mark.parametrize("reason", ["FailedMount", "FailedCreate"])
def test_events_fail_a_version_within_two_minutes(reason: str) -> None:
    assert pod_state._FAILURES[reason].timeout_s <= 90


def test_archive_on_another_machine_fails_in_the_initializer(
    kserve_harness: KServeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KServe accepts `file://`, and its storage initializer finds no such path in the pod."""
    monkeypatch.setattr(
        kserve_harness.store, "uri", lambda model, version: f"file:///home/anna/{version}", raising=False
    )
    with (
        kserve_harness.make_target() as target,
        pytest.raises(TargetError, match=r"Init:.*Local path file:///home/anna/1\.1\.0 does not exist.*store's URI"),
    ):
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {}


def test_progress_has_one_line_per_change_of_state(kserve_harness: KServeHarness) -> None:
    lines: list[str] = []
    kserve_harness.controller.behaviours["v1-1-0"] = "unschedulable"

    def record(line: str) -> None:
        lines.append(line)
        if "Unschedulable" in line:
            kserve_harness.controller.behaviours["v1-1-0"] = "starting"
        elif "Starting" in line:
            kserve_harness.controller.behaviours["v1-1-0"] = "ready"

    with kserve_harness.make_target() as target:
        target.progress = record
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    states = [line.split(": ", 1)[1] for line in lines]
    assert all(before != after for before, after in itertools.pairwise(states))
    assert re.search(r"1\.1\.0 after \d+ s: 0 of 1 pods ready; .*: Unschedulable \(0/3 nodes", "\n".join(lines))
    assert any(line.endswith(": Starting") for line in lines)


@pytest.mark.parametrize("while_loading", [True, False])
def test_interrupted_change_removes_its_entry(kserve_harness: KServeHarness, *, while_loading: bool) -> None:
    def interrupt(*_: object) -> None:
        assert kserve_harness.loaded_versions() == {"1.0.0", "1.1.0"}
        raise KeyboardInterrupt

    with kserve_harness.make_target(interrupt) as target:
        if while_loading:
            target.progress = lambda line: interrupt() if "interrupted" not in line else None
        with pytest.raises(KeyboardInterrupt):
            apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert kserve_harness.loaded_versions() == {"1.0.0"}
    assert canary_percents(kserve_harness.api, NAMESPACE, MODEL) == {}


def test_unused_entry_is_listed_and_dropped(kserve_harness: KServeHarness) -> None:
    entry = {"trafficPercent": 0, "predictor": {"name": "v1-2-0", "model": {"storageUri": "https://a/b"}}}
    key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
    kserve_harness.api.objects.merge(key, {"spec": {"canary": [entry]}}, ("thale-release", "Apply"))
    with kserve_harness.make_target() as target:
        assert target.unused(MODEL) == ["1.2.0"]
        target.drop(MODEL, ["1.0.0"])
        assert target.unused(MODEL) == ["1.2.0"]
        target.drop(MODEL, ["1.2.0"])
        assert target.unused(MODEL) == []
    assert kserve_harness.loaded_versions() == {"1.0.0"}


def record_ready_pods(harness: KServeHarness) -> dict[int, int]:
    """Return the ready pods of 1.1.0 at its first write with each percentage, which later writes add."""
    ready_at_weight: dict[int, int] = {}
    apply = harness.api.objects.apply

    def record(key: Key, config: Any, name: str, *, force: bool) -> Any:
        spec = config["spec"]
        shares = {entry["predictor"]["name"]: entry["trafficPercent"] for entry in spec.get("canary", ())}
        percent = 100 if spec["predictor"]["name"] == "v1-1-0" else shares.get("v1-1-0", 0)
        ready_at_weight.setdefault(percent, harness.controller.ready_pods(MODEL, "v1-1-0"))
        return apply(key, config, name, force=force)

    harness.api.objects.apply = record  # type: ignore[method-assign]
    harness.controller.kubelet.start_delay = 40
    return ready_at_weight


@pytest.mark.slow
def test_canary_has_its_replicas_before_its_weight(kserve_harness: KServeHarness) -> None:
    """KServe runs a canary on fixed replicas, and reports it as ready with one of them."""
    key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
    kserve_harness.api.objects.merge(key, {"spec": {"predictor": {"minReplicas": 4}}}, ("kubectl", "Apply"))
    ready_at_weight = record_ready_pods(kserve_harness)
    with kserve_harness.make_target() as target:
        target.timeouts = TargetTimeouts(load_s=60, poll_s=0.02, drain_s=0.1)
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        apply_change(target, step)
        apply_change(target, step)
        assert live_spec(kserve_harness)["canary"][0]["predictor"]["minReplicas"] == 2
        apply_change(target, lambda release: transitions.promote(release, ANNA))
    assert ready_at_weight == {0: 0, 5: 1, 25: 1, 50: 2, 100: 4}


@pytest.mark.slow
def test_rollback_to_earlier_version_starts_all_replicas(kserve_harness: KServeHarness) -> None:
    ready_at_weight = record_ready_pods(kserve_harness)
    with kserve_harness.make_target() as target:
        previous = target.find(MODEL, "1.1.0")
        apply_change(target, lambda release: transitions.roll_back(release, ANNA, previous))
    assert ready_at_weight == {0: 0, 100: 2}


def test_weight_does_not_change_without_replicas(kserve_harness: KServeHarness) -> None:
    with kserve_harness.make_target() as target:
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
        apply_change(target, step)
        apply_change(target, step)
        kserve_harness.controller.behaviours["v1-1-0"] = "starting"
        target.timeouts = TargetTimeouts(load_s=5, drain_s=0, scale_s=0)
        with pytest.raises(TargetError, match=r"0 of 2 ready replicas|0 of 2 pods ready|ready replicas for its new"):
            apply_change(target, step)
        assert target.read(MODEL).release.weight_percent == 50
        kserve_harness.controller.behaviours["v1-1-0"] = "ready"
        wait_for("two replicas", lambda: kserve_harness.controller.ready_pods(MODEL, "v1-1-0") == 2)
        assert apply_change(target, step).weight_percent == 100


def test_new_version_is_refused_while_stable_scales_to_zero(kserve_harness: KServeHarness) -> None:
    key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
    kserve_harness.api.objects.merge(key, {"spec": {"predictor": {"minReplicas": 0}}}, ("kubectl", "Apply"))
    with kserve_harness.make_target() as target, pytest.raises(TargetError, match="components/scale-to-zero"):
        apply_change(target, with_canary(target.find(MODEL, "1.1.0")))
    assert kserve_harness.loaded_versions() == {"1.0.0"}
