"""Tests of the Kubernetes lease, with the official client over HTTP and a fake clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from tests.support.fake_kubernetes_api import FakeKubernetesApi, run_fake_kubernetes_api
from tests.support.fake_kubernetes_objects import Key
from thale.kserve.lease import KubernetesLease, LeaseTiming, new_identity

TIMING = LeaseTiming(duration_s=15, renew_deadline_s=10, retry_s=2)


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
    return KubernetesLease(api.client(), "plants", "controller", identity, timing=TIMING, clock=clock)


def read_spec(api: FakeKubernetesApi) -> dict[str, Any]:
    spec = api.objects.get(Key("leases", "plants", "controller"))["spec"]
    assert isinstance(spec, dict)
    return spec


def test_lease_is_acquired_after_it_expires(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    assert (first.acquire_or_renew(), second.acquire_or_renew()) == (True, False)
    clock.now += 14
    assert not second.acquire_or_renew()
    clock.now += 2
    assert (second.acquire_or_renew(), second.is_leader()) == (True, True)
    assert (read_spec(api)["holderIdentity"], read_spec(api)["leaseTransitions"]) == ("second", 1)
    assert not first.acquire_or_renew()


def test_lease_stays_with_leader_that_renews(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    for _ in range(20):
        assert (first.acquire_or_renew(), second.acquire_or_renew()) == (True, False)
        clock.now += 2
    assert read_spec(api)["leaseTransitions"] == 0
    assert read_spec(api)["renewTime"] > read_spec(api)["acquireTime"]


def test_leader_stops_before_lease_expires(api: FakeKubernetesApi) -> None:
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
def test_lease_ignores_clock_skew_of_holder(api: FakeKubernetesApi, skew: timedelta) -> None:
    leases = client.CoordinationV1Api(api.client())
    body = client.V1LeaseSpec(
        holder_identity="other", lease_duration_seconds=15, renew_time=datetime.now(UTC) + skew, lease_transitions=4
    )
    leases.create_namespaced_lease("plants", client.V1Lease(metadata=client.V1ObjectMeta(name="controller"), spec=body))
    clock = Clock()
    lease = make_lease(api, "lease", clock)
    assert not lease.acquire_or_renew()
    clock.now += 14
    assert not lease.acquire_or_renew()
    clock.now += 1
    assert lease.acquire_or_renew()
    assert read_spec(api)["leaseTransitions"] == 5


def test_lease_write_fails_for_one_of_two_candidates(api: FakeKubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    first.release()
    read = first._read

    def read_before_second_acquires() -> Any:
        result = read()
        assert second.acquire_or_renew()
        return result

    monkeypatch.setattr(first, "_read", read_before_second_acquires)
    assert (first.acquire_or_renew(), first.is_leader(), second.is_leader()) == (False, False, True)


def test_lease_release_frees_only_own_lease(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    second.release()
    assert read_spec(api)["holderIdentity"] == "first"
    first.release()
    assert not first.is_leader()
    assert second.acquire_or_renew()


@pytest.mark.parametrize("fault", [0, 500, 503, 429, 401])
def test_leader_survives_api_failures_within_deadline(api: FakeKubernetesApi, fault: int) -> None:
    clock = Clock()
    lease = make_lease(api, "lease", clock)
    api.faults.extend([fault] * 4)
    assert not lease.acquire_or_renew()
    api.faults.clear()
    assert lease.acquire_or_renew()
    api.faults.extend([fault] * 4)
    clock.now += 2
    assert lease.acquire_or_renew()


def test_lasting_failure_of_the_lease_is_logged_once(api: FakeKubernetesApi, caplog: pytest.LogCaptureFixture) -> None:
    lease = make_lease(api, "lease", Clock())
    api.faults.extend([403] * 3)
    for _ in range(3):
        lease.acquire_or_renew()
    assert [record.message for record in caplog.records].count("lease renewal failed") == 1
    api.faults.clear()
    assert lease.acquire_or_renew()
    api.faults.append(403)
    lease.acquire_or_renew()
    assert [record.message for record in caplog.records].count("lease renewal failed") == 2


def test_lease_without_spec_is_free(api: FakeKubernetesApi) -> None:
    client.CoordinationV1Api(api.client()).create_namespaced_lease(
        "plants", client.V1Lease(metadata=client.V1ObjectMeta(name="controller"))
    )
    assert make_lease(api, "lease", Clock()).acquire_or_renew()


def test_lease_times_have_six_fractional_digits(api: FakeKubernetesApi) -> None:
    make_lease(api, "lease", Clock()).acquire_or_renew()
    for name in ("acquireTime", "renewTime"):
        assert len(read_spec(api)[name].split(".")[1].removesuffix("+00:00")) == 6


def test_new_identity_is_unique() -> None:
    assert new_identity() != new_identity()


def test_lease_renewal_is_one_request(api: FakeKubernetesApi) -> None:
    clock = Clock()
    lease = make_lease(api, "lease", clock)
    assert lease.acquire_or_renew()
    api.requests.clear()
    for _ in range(3):
        clock.now += lease.retry_s
        assert lease.acquire_or_renew()
    assert [method for method, _ in api.requests] == ["PUT"] * 3


def test_lease_is_lost_to_a_candidate_that_replaced_it(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    second.acquire_or_renew()
    clock.now += 16
    assert second.acquire_or_renew()
    assert (first.acquire_or_renew(), first.is_leader()) == (False, False)


def test_lease_interval_is_longer_after_a_renewal(api: FakeKubernetesApi) -> None:
    clock = Clock()
    first, second = make_lease(api, "first", clock), make_lease(api, "second", clock)
    first.acquire_or_renew()
    second.acquire_or_renew()
    assert (first.retry_s, second.retry_s) == (TIMING.renew_s, TIMING.retry_s)
    api.unreachable.set()
    clock.now += TIMING.renew_s
    assert first.acquire_or_renew()
    assert first.retry_s == TIMING.retry_s
