"""The lease in a cluster, by the official client and over HTTP; only the clock is ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from tests.support.fake_kubernetes_objects import Key
from thale.kserve.lease import KubernetesLease, LeaseTiming, new_identity

TERMS = LeaseTiming(duration_s=15, renew_deadline_s=10, retry_s=2)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[FakeKubernetesApi]:
    with run_fake_kubernetes_api() as running:
        yield running


def make_lease(api: FakeKubernetesApi, identity: str, clock: Clock) -> KubernetesLease:
    return KubernetesLease(api.client(), "plants", "watcher", identity, timing=TERMS, clock=clock)


def read_spec(api: FakeKubernetesApi) -> dict[str, Any]:
    found = api.objects.get(Key("leases", "plants", "watcher"))["spec"]
    assert isinstance(found, dict)
    return found


def test_the_first_takes_the_lease_and_the_second_waits_until_it_has_run_out(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    assert (first.acquire_or_renew(), second.acquire_or_renew()) == (True, False)
    clock.now += 14
    assert not second.acquire_or_renew()
    clock.now += 2
    assert (second.acquire_or_renew(), second.is_leader()) == (True, True)
    assert (read_spec(api)["holderIdentity"], read_spec(api)["leaseTransitions"]) == ("second", 1)
    assert not first.acquire_or_renew()


def test_a_lease_that_is_renewed_stays(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    for _ in range(20):
        assert (first.acquire_or_renew(), second.acquire_or_renew()) == (True, False)
        clock.now += 2
    assert read_spec(api)["leaseTransitions"] == 0
    assert read_spec(api)["renewTime"] > read_spec(api)["acquireTime"]


def test_the_holder_stops_before_anybody_else_may_start(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    second.acquire_or_renew()
    api.unreachable.set()
    clock.now += 9
    assert first.acquire_or_renew()
    clock.now += 2
    assert (first.acquire_or_renew(), first.is_leader()) == (False, False)
    api.unreachable.clear()
    assert not second.acquire_or_renew()
    assert first.acquire_or_renew()


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(days=1)])
def test_a_holder_whose_time_of_day_is_wrong_does_no_harm(api: FakeKubernetesApi, skew: timedelta) -> None:
    leases = client.CoordinationV1Api(api.client())
    body = client.V1LeaseSpec(
        holder_identity="other", lease_duration_seconds=15, renew_time=datetime.now(UTC) + skew, lease_transitions=4
    )
    leases.create_namespaced_lease("plants", client.V1Lease(metadata=client.V1ObjectMeta(name="watcher"), spec=body))
    clock = Clock()
    mine = make_lease(api, "mine", clock)
    assert not mine.acquire_or_renew()
    clock.now += 14
    assert not mine.acquire_or_renew()
    clock.now += 1
    assert mine.acquire_or_renew()
    assert read_spec(api)["leaseTransitions"] == 5


def test_of_two_who_write_at_once_one_is_refused(api: FakeKubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    first.release()
    read = first._read

    def read_and_be_overtaken() -> Any:
        found = read()
        assert second.acquire_or_renew()
        return found

    monkeypatch.setattr(first, "_read", read_and_be_overtaken)
    assert (first.acquire_or_renew(), first.is_leader(), second.is_leader()) == (False, False, True)


def test_a_lease_that_was_let_go_is_free_at_once_and_another_s_is_left_alone(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    second.release()
    assert read_spec(api)["holderIdentity"] == "first"
    first.release()
    assert not first.is_leader()
    assert second.acquire_or_renew()


@pytest.mark.parametrize("fault", [0, 500, 503, 429, 401])
def test_an_api_that_fails_costs_no_more_than_patience(api: FakeKubernetesApi, fault: int) -> None:
    clock = Clock()
    mine = make_lease(api, "mine", clock)
    api.faults.extend([fault] * 4)
    assert not mine.acquire_or_renew()
    api.faults.clear()
    assert mine.acquire_or_renew()
    api.faults.extend([fault] * 4)
    clock.now += 2
    assert mine.acquire_or_renew()


def test_a_lease_without_a_holder_or_without_anything_is_free(api: FakeKubernetesApi) -> None:
    client.CoordinationV1Api(api.client()).create_namespaced_lease(
        "plants", client.V1Lease(metadata=client.V1ObjectMeta(name="watcher"))
    )
    assert make_lease(api, "mine", Clock()).acquire_or_renew()


def test_times_are_written_with_six_digits(api: FakeKubernetesApi) -> None:
    make_lease(api, "mine", Clock()).acquire_or_renew()
    for name in ("acquireTime", "renewTime"):
        assert len(read_spec(api)[name].split(".")[1].removesuffix("+00:00")) == 6


def test_no_two_processes_have_one_identity() -> None:
    assert new_identity() != new_identity()
