"""Tests of the fake Kubernetes API: the guarantees on which controllers depend."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch

from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api

RESOURCE = ("serving.kserve.io", "v1beta1", "plants", "inferenceservices")


@pytest.fixture
def api() -> Iterator[FakeKubernetesApi]:
    with run_fake_kubernetes_api() as running:
        yield running


def inference_service(model: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "seg"},
        "spec": {"predictor": {"name": model}, **spec},
    }


def apply_resource(api: FakeKubernetesApi, body: dict[str, Any], manager: str, force: bool = False) -> Any:
    objects = client.CustomObjectsApi(api.client())
    return objects.patch_namespaced_custom_object(
        *RESOURCE,
        "seg",
        body,
        field_manager=manager,
        force=force,
        _content_type="application/apply-patch+yaml",
    )


def test_replace_fails_for_second_of_two_concurrent_writers(api: FakeKubernetesApi) -> None:
    leases = client.CoordinationV1Api(api.client())
    body = client.V1Lease(metadata=client.V1ObjectMeta(name="leader"), spec=client.V1LeaseSpec(holder_identity="a"))
    leases.create_namespaced_lease("plants", body)
    with pytest.raises(client.ApiException, match="AlreadyExists"):
        leases.create_namespaced_lease("plants", body)
    first, second = (leases.read_namespaced_lease("leader", "plants") for _ in range(2))
    first.spec.holder_identity, second.spec.holder_identity = "b", "c"
    leases.replace_namespaced_lease("leader", "plants", first)
    with pytest.raises(client.ApiException, match="has been modified"):
        leases.replace_namespaced_lease("leader", "plants", second)
    assert leases.read_namespaced_lease("leader", "plants").spec.holder_identity == "b"
    with pytest.raises(client.ApiException, match="not found"):
        leases.read_namespaced_lease("other", "plants")


def test_apply_detects_conflicts_and_removes_own_fields(api: FakeKubernetesApi) -> None:
    objects = client.CustomObjectsApi(api.client())
    objects.create_namespaced_custom_object(
        *RESOURCE, inference_service("v1", tracing={"x": 1}), field_manager="kubectl"
    )
    with pytest.raises(client.ApiException, match=r"spec\.predictor\.name"):
        apply_resource(api, inference_service("v2"), "release")
    assert apply_resource(api, inference_service("v2", canary=[{"trafficPercent": 5}]), "release", force=True)[
        "spec"
    ] == {
        "predictor": {"name": "v2"},
        "tracing": {"x": 1},
        "canary": [{"trafficPercent": 5}],
    }
    after = apply_resource(api, inference_service("v2"), "release")
    assert "canary" not in after["spec"]
    assert after["metadata"]["generation"] == 3
    again = apply_resource(api, inference_service("v2"), "release")
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
    stale = inference_service("v3")
    stale["metadata"]["resourceVersion"] = "1"
    with pytest.raises(client.ApiException, match="has been modified"):
        apply_resource(api, stale, "release", force=True)
    with pytest.raises(client.ApiException, match=r"conflict with \\\"release\\\""):
        apply_resource(api, inference_service("v1"), "kubectl")


def test_status_subresource_is_separate_from_spec(api: FakeKubernetesApi) -> None:
    objects = client.CustomObjectsApi(api.client())
    created = objects.create_namespaced_custom_object(*RESOURCE, {**inference_service("v1"), "status": {"ready": "no"}})
    assert "status" not in created
    body = {**inference_service("v9"), "status": {"ready": "yes"}}
    after = objects.patch_namespaced_custom_object_status(
        *RESOURCE, "seg", body, _content_type="application/merge-patch+json"
    )
    assert (after["spec"]["predictor"]["name"], after["status"]) == ("v1", {"ready": "yes"})
    assert after["metadata"]["generation"] == 1


def test_watch_replays_and_returns_410_after_compaction(api: FakeKubernetesApi) -> None:
    objects = client.CustomObjectsApi(api.client())
    objects.create_namespaced_custom_object(*RESOURCE, inference_service("v1"))
    start = objects.list_namespaced_custom_object(*RESOURCE)["metadata"]["resourceVersion"]
    apply_resource(api, inference_service("v2"), "release", force=True)
    stream = watch.Watch()
    events = []
    for event in stream.stream(
        objects.list_namespaced_custom_object, *RESOURCE, resource_version=start, timeout_seconds=30
    ):
        events.append((event["type"], event["object"]["spec"]["predictor"]["name"]))
        if len(events) == 1:
            apply_resource(api, inference_service("v3"), "release", force=True)
        else:
            stream.stop()
    assert events == [("MODIFIED", "v2"), ("MODIFIED", "v3")]
    api.objects.compact()
    with pytest.raises(client.ApiException, match="too old resource version"):
        list(
            watch.Watch().stream(
                objects.list_namespaced_custom_object, *RESOURCE, resource_version=start, timeout_seconds=30
            )
        )


def test_each_injected_fault_affects_one_request(api: FakeKubernetesApi) -> None:
    objects = client.CustomObjectsApi(api.client())
    api.faults.extend([500, 503])
    for status in (500, 503):
        with pytest.raises(client.ApiException) as caught:
            objects.list_namespaced_custom_object(*RESOURCE)
        assert caught.value.status == status
    assert objects.list_namespaced_custom_object(*RESOURCE)["items"] == []
