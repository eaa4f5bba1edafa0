"""The lease in a cluster, by the official client and over HTTP; only the clock is ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from tests.support.fake_kubernetes_api import KubeApi, running_kube_api
from tests.support.fake_kubernetes_objects import Key
from thale.kserve.lease import KubernetesLease, Terms, new_identity

TERMS = Terms(duration_s=15, renew_deadline_s=10, retry_s=2)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with running_kube_api() as running:
        yield running


def lease(api: KubeApi, identity: str, clock: Clock) -> KubernetesLease:
    return KubernetesLease(api.client(), "plants", "watcher", identity, terms=TERMS, clock=clock)


def spec(api: KubeApi) -> dict[str, Any]:
    found = api.objects.get(Key("leases", "plants", "watcher"))["spec"]
    assert isinstance(found, dict)
    return found


def test_the_first_takes_the_lease_and_the_second_waits_until_it_has_run_out(api: KubeApi) -> None:
    clock = Clock()
    first, second = lease(api, "first", clock), lease(api, "second", clock)
    assert (first.keep(), second.keep()) == (True, False)
    clock.now += 14
    assert not second.keep()
    clock.now += 2
    assert (second.keep(), second.held()) == (True, True)
    assert (spec(api)["holderIdentity"], spec(api)["leaseTransitions"]) == ("second", 1)
    assert not first.keep()


def test_a_lease_that_is_renewed_stays(api: KubeApi) -> None:
    clock = Clock()
    first, second = lease(api, "first", clock), lease(api, "second", clock)
    for _ in range(20):
        assert (first.keep(), second.keep()) == (True, False)
        clock.now += 2
    assert spec(api)["leaseTransitions"] == 0
    assert spec(api)["renewTime"] > spec(api)["acquireTime"]


def test_the_holder_stops_before_anybody_else_may_start(api: KubeApi) -> None:
    clock = Clock()
    first, second = lease(api, "first", clock), lease(api, "second", clock)
    first.keep()
    second.keep()
    api.away.set()
    clock.now += 9
    assert first.keep()
    clock.now += 2
    assert (first.keep(), first.held()) == (False, False)
    api.away.clear()
    assert not second.keep()
    assert first.keep()


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(days=1)])
def test_a_holder_whose_time_of_day_is_wrong_does_no_harm(api: KubeApi, skew: timedelta) -> None:
    leases = client.CoordinationV1Api(api.client())
    body = client.V1LeaseSpec(
        holder_identity="other", lease_duration_seconds=15, renew_time=datetime.now(UTC) + skew, lease_transitions=4
    )
    leases.create_namespaced_lease("plants", client.V1Lease(metadata=client.V1ObjectMeta(name="watcher"), spec=body))
    clock = Clock()
    mine = lease(api, "mine", clock)
    assert not mine.keep()
    clock.now += 14
    assert not mine.keep()
    clock.now += 1
    assert mine.keep()
    assert spec(api)["leaseTransitions"] == 5


def test_of_two_who_write_at_once_one_is_refused(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    first, second = lease(api, "first", clock), lease(api, "second", clock)
    first.keep()
    first.let_go()
    read = first._read

    def read_and_be_overtaken() -> Any:
        found = read()
        assert second.keep()
        return found

    monkeypatch.setattr(first, "_read", read_and_be_overtaken)
    assert (first.keep(), first.held(), second.held()) == (False, False, True)


def test_a_lease_that_was_let_go_is_free_at_once_and_another_s_is_left_alone(api: KubeApi) -> None:
    clock = Clock()
    first, second = lease(api, "first", clock), lease(api, "second", clock)
    first.keep()
    second.let_go()
    assert spec(api)["holderIdentity"] == "first"
    first.let_go()
    assert not first.held()
    assert second.keep()


@pytest.mark.parametrize("fault", [0, 500, 503, 429, 401])
def test_an_api_that_fails_costs_no_more_than_patience(api: KubeApi, fault: int) -> None:
    clock = Clock()
    mine = lease(api, "mine", clock)
    api.faults.extend([fault] * 4)
    assert not mine.keep()
    api.faults.clear()
    assert mine.keep()
    api.faults.extend([fault] * 4)
    clock.now += 2
    assert mine.keep()


def test_a_lease_without_a_holder_or_without_anything_is_free(api: KubeApi) -> None:
    client.CoordinationV1Api(api.client()).create_namespaced_lease(
        "plants", client.V1Lease(metadata=client.V1ObjectMeta(name="watcher"))
    )
    assert lease(api, "mine", Clock()).keep()


def test_times_are_written_with_six_digits(api: KubeApi) -> None:
    lease(api, "mine", Clock()).keep()
    for name in ("acquireTime", "renewTime"):
        assert len(spec(api)[name].split(".")[1].removesuffix("+00:00")) == 6


def test_no_two_processes_have_one_identity() -> None:
    assert new_identity() != new_identity()
