"""Rollout controller whose target has no replicas for a higher weight."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.controller_harness import CANARY, POLICY, SLO, STABLE, ControllerHarness, count_responses
from tests.support.fake_facade import FakeFacade
from tests.support.state_file_target import StateFileTarget
from thale.errors import TargetError
from thale.release.controller.checkpoint import FileCheckpointStore
from thale.release.controller.controller import Intervals, ReleaseEnvironment, RolloutController
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.targets import VersionedRelease
from thale.schemas import Release


@dataclass(frozen=True)
class BlockedTarget(StateFileTarget):
    """A target without replicas for a higher weight while `blocked` exists. `attempts` has a byte for each attempt."""

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        if self.path.with_suffix(".blocked").exists() and after.history[-1].what != "roll back":
            with self.path.with_suffix(".attempts").open("ab") as attempts:
                attempts.write(b".")
            raise TargetError("1 of 2 ready replicas")
        return super().apply(before, after)


def make_blocked_controller(harness: ControllerHarness, clock: Callable[[], float]) -> RolloutController:
    target = BlockedTarget(harness.target.path)
    harness.target.path.with_suffix(".blocked").touch()
    metrics_source = MetricsScraper([facade.url for facade in harness.facades], timeout_s=30)
    checkpoint_store = FileCheckpointStore(harness.folder / "checkpoint.json")
    environment = ReleaseEnvironment(target, metrics_source, harness.lease, checkpoint_store)
    return RolloutController(environment, SLO, POLICY, "controller", Intervals(checkpoint_s=0), clock=clock)


def test_controller_retries_a_blocked_step_after_a_pause(harness: ControllerHarness, facade: FakeFacade) -> None:
    times = [100.0]
    controller = make_blocked_controller(harness, lambda: times[0])
    controller.poll(harness.runner)
    count_responses(facade)
    for _ in range(4):
        controller.poll(harness.runner)
        times[0] += 1
    assert harness.target.path.with_suffix(".attempts").read_bytes() == b"."
    harness.target.path.with_suffix(".blocked").unlink()
    times[0] += 5
    controller.poll(harness.runner)
    assert harness.release.weight_percent == 25


def test_controller_rolls_back_while_a_step_is_blocked(harness: ControllerHarness, facade: FakeFacade) -> None:
    controller = make_blocked_controller(harness, lambda: 100.0)
    controller.poll(harness.runner)
    count_responses(facade)
    controller.poll(harness.runner)
    facade.count_fallbacks(CANARY, STABLE, 80)
    controller.poll(harness.runner)
    assert (harness.release.canary, harness.release.history[-1].what) == (None, "roll back")
