"""Rollout controller: the leader scrapes the facades, judges the canaries and acts, by default every 0.5 s.

    facade counters ─▶ CounterTracker ─▶ AnalysisState ─▶ judge ─▶ decide ─▶ release transition

The controller waits for an unavailable facade, API or release. Counters that increased in the meantime are read after
recovery. The leader saves checkpoints, and the next leader resumes in the middle of a step. Without a checkpoint, the
next leader collects the evidence of the rollout again.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from thale.errors import TargetError, ThaleError
from thale.release.controller.checkpoint import Checkpoint, CheckpointStore, RolloutCheckpoint, load_checkpoint
from thale.release.controller.decision import Action, decide, guarded_transition
from thale.release.controller.drift_monitor import DriftMonitor
from thale.release.controller.gauges import RolloutGauges, RolloutProgress
from thale.release.controller.leader_election import Lease, run_leader_election
from thale.release.controller.metrics_scraper import CounterTracker, ScrapeResult
from thale.release.copies.copier import ReleaseCopier
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.judge import judge
from thale.release.judge.policy import JudgePolicy
from thale.release.judge.version_metrics import CounterIncrease, comparison_window
from thale.release.targets import ReleaseTarget, VersionedRelease
from thale.release.targets.update import author_now, update_release
from thale.schemas import Release, Verdict
from thale.schemas.release_history import step_started_at
from thale.slo import Slo

logger = logging.getLogger(__name__)

_MAX_REASONS = 3
_MIN_PAUSE_S = 0.05


class MetricsSource(Protocol):
    """Source of facade counters: a `MetricsScraper`, or one that discovers the facades on each poll."""

    async def read(self) -> ScrapeResult:
        """Scrape all facades. Never raises."""
        ...


class ReleaseReader(Protocol):
    """Source of releases for polls: a `ReleaseTarget`, or a copy in memory that a watch updates."""

    def models(self) -> Sequence[str]:
        """Return the names of the released models.

        Raises:
            ThaleError: If the releases cannot be read.
        """
        ...

    def read(self, model: str) -> VersionedRelease:
        """Return the release of a model.

        Raises:
            ThaleError: If the model has no release, or the release cannot be read.
        """
        ...


@dataclass(frozen=True)
class ReleaseEnvironment:
    """Target, metrics source, lease and checkpoint store of a controller."""

    target: ReleaseTarget
    metrics_source: MetricsSource
    lease: Lease
    checkpoint_store: CheckpointStore
    watch: Callable[[], AbstractContextManager[ReleaseReader]] | None = None
    """Watches the releases within a context, so that polls send no requests. None: polls read the target."""
    copier: ReleaseCopier | None = None
    """Copies each change of a release to a store outside of the cluster. None: no copies."""


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Intervals of the controller, in seconds."""

    poll_s: float = 0.5
    checkpoint_s: float = 2.0
    """Interval of checkpoints during a rollout. A change of a release saves one immediately."""
    idle_checkpoint_s: float = 15.0
    """Interval of checkpoints without a rollout. They only show that a controller is running."""
    retry_s: float = 5.0
    """Interval between two attempts at a step or promotion that the target cannot apply yet. A rollback never waits."""
    stuck_s: float = 3600.0
    """Age at which a step without a decision is reported as stuck. An operator decides then."""


@dataclass
class _ModelState:
    """State of a model between polls. Each model has its own counters, so that a failed read loses none."""

    counters: CounterTracker
    checkpoint: RolloutCheckpoint | None = None
    stuck: bool = False
    superseded: Release | None = None
    """The release before this controller's last change. A watch returns it until it receives the change."""
    failure: TargetError | None = None
    """The error of the last step or promotion, until it is tried again."""
    retry_at: float = 0.0


class RolloutController:
    """Judges and moves the rollouts of all models of a release environment.

    Args:
        environment: Releases, metrics, lease and checkpoint store.
        slo: Latency objectives of the judge.
        policy: Policy of the judge.
        author: Author of the changes in the release history.
        intervals: Intervals of polls and checkpoints.
        clock: Monotonic clock, in seconds.
        now: Wall clock, in UTC.
    """

    def __init__(
        self,
        environment: ReleaseEnvironment,
        slo: Slo,
        policy: JudgePolicy,
        author: str,
        intervals: Intervals | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._environment, self._author, self._intervals = environment, author, intervals or Intervals()
        self._reader: ReleaseReader = environment.target
        self._slo, self._policy = slo, policy
        self._clock, self._now = clock, now
        self._gauges = RolloutGauges()
        self._drift_monitor = DriftMonitor(policy.plate_cluster_size)
        self._models: dict[str, _ModelState] = {}
        self._is_leader = False
        self._is_idle = False
        self._last_poll_at = clock()
        self._last_checkpoint_at: float | None = None
        self._problems: dict[str, str] = {}

    def run(self, stop: threading.Event, *, until_idle: bool = False) -> None:
        """Take part in leader election and poll until `stop` is set or, with `until_idle`, until no rollout is left."""
        watch = self._environment.watch or (lambda: nullcontext(self._environment.target))
        copier = self._environment.copier
        with (
            asyncio.Runner() as runner,
            watch() as self._reader,
            copier.running() if copier is not None else nullcontext(),
            run_leader_election(self._environment.lease),
        ):
            while not stop.is_set() and not (until_idle and self._is_idle):
                started_at = self._clock()
                self.poll(runner)
                stop.wait(max(_MIN_PAUSE_S, self._intervals.poll_s - (self._clock() - started_at)))
            if self._is_leader and self._environment.lease.is_leader():
                self._save_checkpoint({})
        self._clear_gauges()

    def is_alive(self, within_s: float) -> bool:
        """Return whether the last poll was within this time."""
        return self._clock() - self._last_poll_at < within_s

    def poll(self, runner: asyncio.Runner) -> None:
        """Poll all models once, and act on them if this process is the leader."""
        is_leader = self._environment.lease.is_leader()
        if is_leader and not self._is_leader:
            self._resume()
        elif not is_leader:
            self._models.clear()
            self._clear_gauges()
            if self._environment.copier is not None:
                self._environment.copier.clear()
        self._is_leader = is_leader
        if is_leader:
            self._poll_models(runner.run(self._environment.metrics_source.read()))
        self._last_poll_at = self._clock()
        self._gauges.record_poll(is_leader=is_leader, at=self._now())

    def _resume(self) -> None:
        """Resume from the checkpoint of the previous leader."""
        checkpoint = load_checkpoint(self._environment.checkpoint_store)
        resumed_at = self._now().timestamp()
        rollouts = checkpoint.rollouts if checkpoint is not None else {}
        self._models = {model: _ModelState(CounterTracker(resumed_at), rollout) for model, rollout in rollouts.items()}
        logger.info("controller started", extra={"resumed_rollouts": sorted(rollouts)})

    def _poll_models(self, result: ScrapeResult) -> None:
        self._gauges.record_unreachable_facades(len(result.unreachable))
        self._report_problem("facades", "; ".join(f"{url}: {why}" for url, why in sorted(result.unreachable.items())))
        try:
            models = self._reader.models()
        except ThaleError as error:
            self._report_problem("releases", str(error))
            return
        self._report_problem("releases", "")
        for model in self._models.keys() - {*models}:
            del self._models[model]
            self._gauges.remove(model)
            self._drift_monitor.remove(model)
        changed = False
        for model in models:
            try:
                changed |= self._poll_model(model, result)
            except ThaleError as error:
                self._report_problem(model, str(error))
            else:
                self._report_problem(model, "")
        self._copy_releases(models)
        has_canary = any(state.checkpoint is not None for state in self._models.values())
        self._is_idle = not has_canary and self._problems.keys().isdisjoint(models)
        interval_s = self._intervals.checkpoint_s if has_canary else self._intervals.idle_checkpoint_s
        if changed or self._last_checkpoint_at is None or self._clock() >= self._last_checkpoint_at + interval_s:
            self._save_checkpoint(dict(result.unreachable))

    def _copy_releases(self, models: Sequence[str]) -> None:
        """Submit the releases that can be read to the copier. A model with an error keeps its last copy."""
        if self._environment.copier is None:
            return
        releases = {}
        for model in models:
            with suppress(ThaleError):  # _poll_model has reported it
                releases[model] = self._reader.read(model).release
        self._environment.copier.submit(releases)

    def _poll_model(self, model: str, result: ScrapeResult) -> bool:
        """Judge a model's canary, if it has one, and act on the verdict. Returns whether the release changed."""
        release = self._reader.read(model).release
        state = self._models.setdefault(model, _ModelState(CounterTracker(self._now().timestamp())))
        if release == state.superseded:
            return False
        state.counters, increase = state.counters.update(result)
        self._drift_monitor.update(release, increase)
        state.checkpoint = self._analyse(release, state.checkpoint, increase)
        if state.checkpoint is None:
            state.stuck = False
            self._gauges.update(model, RolloutProgress(release))
            return False
        verdict = state.checkpoint.verdict
        self._gauges.record_verdict(verdict)
        self._update_gauges(release, verdict, state)
        all_facades_scraped = bool(result.scrapes) and not result.unreachable
        action = decide(release, verdict, all_facades_scraped=all_facades_scraped)
        return self._apply_action(action, release, verdict, state)

    def _analyse(
        self, release: Release, previous: RolloutCheckpoint | None, increase: CounterIncrease
    ) -> RolloutCheckpoint | None:
        """Return the checkpoint of a rollout after a counter increase; None without a canary."""
        if release.canary is None:
            return None
        analysis = previous.analysis if previous is not None else AnalysisState.start(release)
        analysis = analysis.update(release, comparison_window(increase, release), self._slo, self._policy)
        return RolloutCheckpoint.from_analysis(analysis, judge(release, analysis, self._slo, self._policy))

    def _update_gauges(self, release: Release, verdict: Verdict, state: _ModelState) -> None:
        """Export the rollout progress, and log a stuck rollout once."""
        started_at = step_started_at(release)
        step_age_s = max(0.0, (self._now() - started_at).total_seconds()) if started_at is not None else 0.0
        stuck = step_age_s > self._intervals.stuck_s and verdict.decision in ("inconclusive", "hold")
        if stuck and not state.stuck:
            fields = {
                "model": verdict.model,
                "version": verdict.canary,
                "step_s": step_age_s,
                "reasons": verdict.reasons,
            }
            logger.warning("rollout is stuck", extra=fields)
        state.stuck = stuck
        self._gauges.update(verdict.model, RolloutProgress(release, step_age_s, stuck))

    def _apply_action(self, action: Action, judged_release: Release, verdict: Verdict, state: _ModelState) -> bool:
        """Apply an action. Returns whether the release changed.

        Raises:
            ReleaseError: If the release changed concurrently, or the target cannot apply the transition.
        """
        if action == "wait":
            state.failure = None
            return False
        if action != "roll back" and state.failure is not None and self._clock() < state.retry_at:
            raise state.failure
        author = author_now(self._author, "; ".join(verdict.reasons[:_MAX_REASONS]))
        transition = guarded_transition(action, judged_release, author, self._environment.lease.is_leader)
        try:
            update_release(self._environment.target, verdict.model, transition)
        except TargetError as error:
            state.failure, state.retry_at = error, self._clock() + self._intervals.retry_s
            raise
        state.failure, state.superseded = None, judged_release
        self._gauges.record_action(verdict, action)
        return True

    def _save_checkpoint(self, unreachable_facades: dict[str, str]) -> None:
        rollouts = {model: state.checkpoint for model, state in self._models.items() if state.checkpoint is not None}
        checkpoint = Checkpoint(
            leader=self._author,
            saved_at=self._now().isoformat(timespec="seconds"),
            rollouts=rollouts,
            unreachable_facades=unreachable_facades,
        )
        self._environment.checkpoint_store.write(checkpoint.model_dump_json())
        self._last_checkpoint_at = self._clock()

    def _clear_gauges(self) -> None:
        """Remove the series of all models, because another controller exports them."""
        self._gauges.clear()
        self._drift_monitor.clear()

    def _report_problem(self, subject: str, message: str) -> None:
        """Log an unavailable dependency once per error, and its recovery when the message is empty."""
        previous = self._problems.get(subject, "")
        if message and message != previous:
            self._problems[subject] = message
            logger.warning("dependency unavailable", extra={"dependency": subject, "error": message})
        elif previous and not message:
            del self._problems[subject]
            logger.info("dependency recovered", extra={"dependency": subject})
