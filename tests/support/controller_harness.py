"""A rollout controller with the real judge, real files, and fake facades that serve counters over HTTP."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.support.fake_facade import MODEL, FakeFacade
from tests.support.sample_releases import make_release, make_version
from tests.support.state_file_target import StateFileTarget
from thale.release.controller.checkpoint import FileCheckpointStore, load_checkpoint
from thale.release.controller.controller import Intervals, ReleaseEnvironment, RolloutController
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.copies.copier import ReleaseCopier
from thale.release.judge.policy import read_policy
from thale.release.lifecycle import transitions
from thale.release.targets.update import author_now, update_release
from thale.schemas import Release
from thale.schemas.release_status import ReleaseStatus, VersionCounts
from thale.slo import read_slo

SLO, POLICY = read_slo(), read_policy()
STABLE, CANARY = "1.0.0", "1.1.0"


@dataclass
class ControllerHarness:
    """A model with a canary, its facades, and a controller that holds the lease."""

    folder: Path
    facades: list[FakeFacade]
    runner: asyncio.Runner
    copier: ReleaseCopier | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.target = StateFileTarget(self.folder / "release-state.json")
        self.lease = FileLease(self.folder / "lease")
        self.target.put(
            transitions.start_canary(make_release(STABLE), make_version(CANARY), author_now("anna", "better"))
        )
        assert self.lease.acquire_or_renew()
        self.start_controller()

    def start_controller(self) -> None:
        """Replace the controller with a new one, and poll once."""
        metrics_source = MetricsScraper([facade.url for facade in self.facades], timeout_s=30)
        environment = ReleaseEnvironment(
            self.target,
            metrics_source,
            self.lease,
            FileCheckpointStore(self.folder / "checkpoint.json"),
            copier=self.copier,
        )
        self.controller = RolloutController(
            environment, SLO, POLICY, "controller", Intervals(checkpoint_s=0), now=lambda: self.now
        )
        self.poll()

    def poll(self) -> Release:
        """Poll once, and return the release."""
        self.controller.poll(self.runner)
        return self.release

    @property
    def release(self) -> Release:
        return self.target.read(MODEL).release

    @property
    def canary_counts(self) -> VersionCounts | None:
        """Counts of the canary in this step."""
        checkpoint_store = FileCheckpointStore(self.folder / "checkpoint.json")
        checkpoint = load_checkpoint(checkpoint_store)
        report = checkpoint.rollouts.get(MODEL) if checkpoint is not None else None
        return ReleaseStatus.from_release(self.release, report).canary_counts

    def apply_manually(self, transition: Callable[[Release], Release]) -> None:
        update_release(self.target, MODEL, transition)


def count_responses(facade: FakeFacade, canary: int = 800, stable: int = 8000) -> None:
    """Count enough good responses for a step."""
    facade.count_responses(CANARY, canary)
    facade.count_responses(STABLE, stable)
