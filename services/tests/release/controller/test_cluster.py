"""Tests of the release environment in a cluster: watched releases, and the number of requests to the API."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fake_facade import run_fake_facade
from tests.support.fake_kubernetes_objects import Key
from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.kserve_harness import NAMESPACE, KServeHarness, apply_change, run_kserve, with_canary
from tests.support.local_platform import wait_for
from thale.errors import UnknownModelError
from thale.kserve import client, inference_service
from thale.kserve.checkpoint import ConfigMapCheckpointStore
from thale.kserve.lease import KubernetesLease
from thale.release.controller.cluster import watch_releases
from thale.release.controller.controller import ReleaseEnvironment, RolloutController
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.judge.policy import read_policy
from thale.slo import read_slo

MAX_REQUESTS_PER_MINUTE = 40
"""Of one controller without a rollout, as leader or candidate. Polling needed 430 with two models."""
OBSERVED_S = 15.0


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[KServeHarness]:
    store = InMemoryVersionStore(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        store.register(version)
    with run_kserve(store) as running:
        yield running


@contextmanager
def run_controller_of(harness: KServeHarness, identity: str, facade_url: str) -> Iterator[KubernetesLease]:
    """Run a controller with its default intervals until the context ends, and yield its lease."""
    api = client.with_retries(harness.api.client().configuration)
    target = harness.make_target()
    lease = KubernetesLease(api, NAMESPACE, "watch", identity)
    environment = ReleaseEnvironment(
        target,
        MetricsScraper([facade_url]),
        lease,
        ConfigMapCheckpointStore(api, NAMESPACE, "watch"),
        lambda: watch_releases(api, NAMESPACE, target),
    )
    controller = RolloutController(environment, read_slo(), read_policy(), identity)
    stop = threading.Event()
    thread = threading.Thread(target=controller.run, args=(stop,))
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_quiet_controllers_send_few_requests(harness: KServeHarness) -> None:
    """A controller polls twice a second, but reads releases from a watch."""
    with run_fake_facade() as facade, run_controller_of(harness, "leader", facade.url) as lease:
        wait_for("the leader", lease.is_leader)
        wait_for("its checkpoint", lambda: harness.api.objects.list("configmaps", NAMESPACE))
        counts = []
        for has_candidate in (False, True):
            with run_controller_of(harness, "candidate", facade.url) if has_candidate else run_fake_facade():
                time.sleep(1)
                harness.api.requests.clear()
                time.sleep(OBSERVED_S)
                counts.append(len(harness.api.requests) * 60 / OBSERVED_S)
        assert counts[0] <= MAX_REQUESTS_PER_MINUTE
        assert counts[1] - counts[0] <= MAX_REQUESTS_PER_MINUTE
        assert not [path for method, path in harness.api.requests if inference_service.PLURAL in path]


def test_watched_release_changes_without_a_request(harness: KServeHarness) -> None:
    api = client.with_retries(harness.api.client().configuration)
    with harness.make_target() as target, watch_releases(api, NAMESPACE, target) as releases:
        assert (releases.models(), releases.read(MODEL)) == ([MODEL], target.read(MODEL))
        with pytest.raises(UnknownModelError, match=MODEL):
            releases.read("other")
        wait_for("the watch", lambda: len([path for _, path in harness.api.requests]) >= 2)
        apply_change(harness.make_target(), with_canary(target.find(MODEL, "1.1.0")))
        harness.api.requests.clear()
        wait_for("the watched change", lambda: releases.read(MODEL).release.canary == "1.1.0")
        assert [path for _, path in harness.api.requests if path.endswith(inference_service.PLURAL)] == []
        harness.api.objects.delete(Key(inference_service.PLURAL, NAMESPACE, MODEL))
        wait_for("the watched deletion", lambda: releases.models() == [])
