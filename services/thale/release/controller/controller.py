"""Rollouts with nobody watching: listen to the facades, judge, act; twice a second, by one leader.

    facades' counters ─▶ Ledger ─▶ Trial ─▶ judge ─▶ decide ─▶ a change of the release

What cannot be read (a facade, the API, a release) is waited for, and what it counted meanwhile is heard when it is
back. What a leader knows is noted down, so that the next one goes on in the middle of a step; where the notes are
lost, the evidence of the rollout is gathered anew.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from thale.errors import ThaleError
from thale.release.controller.checkpoint import Checkpoint, CheckpointStore, RolloutCheckpoint, load_checkpoint
from thale.release.controller.decision import Action, decide, guarded_transition
from thale.release.controller.drift_monitor import DriftMonitor
from thale.release.controller.gauges import RolloutGauges, RolloutProgress
from thale.release.controller.leader_election import Lease, run_leader_election
from thale.release.controller.metrics_scraper import CounterTracker, ScrapeResult
from thale.release.judge.analysis_state import AnalysisState
from thale.release.judge.judge import judge
from thale.release.judge.policy import JudgePolicy
from thale.release.judge.version_metrics import CounterIncrease, comparison_window
from thale.release.lifecycle.history import step_started_at
from thale.release.targets import ReleaseTarget
from thale.release.targets.update import author_now, update_release
from thale.schemas import Release, Verdict
from thale.slo import Slo

logger = logging.getLogger(__name__)

_MAX_REASONS = 3
_MIN_PAUSE_S = 0.05


class MetricsSource(Protocol):
    """Where the facades' counters come from: `signals.Facades`, or what finds the facades anew each time."""

    async def read(self) -> ScrapeResult:
        """Ask every facade. Raises nothing."""
        ...


@dataclass(frozen=True)
class ReleaseEnvironment:
    """Where a watcher works: on a laptop, in a cluster."""

    target: ReleaseTarget
    metrics_source: MetricsSource
    lease: Lease
    checkpoint_store: CheckpointStore


@dataclass(frozen=True)
class Intervals:
    """How often a watcher does what, in seconds."""

    poll_s: float = 0.5
    checkpoint_s: float = 2.0
    """Notes are written so often at most, and whenever something was changed."""
    stuck_s: float = 3600.0
    """A step that is undecided for longer is reported, and left to people."""


@dataclass
class _ModelState:
    """A model between two looks. Its own ledger, because nothing is lost of a model whose release cannot be read."""

    counters: CounterTracker
    checkpoint: RolloutCheckpoint | None = None
    stuck: bool = False


class RolloutController:
    """Watches all models of a place.

    Args:
        place: Whom it reads, asks and moves.
        slo: The judge's limits.
        who: Signs the changes.
        pace: How often it does what.
        clock: Seconds that only grow.
        today: The time of day.
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
        """Stand for leader and watch until `ending` is set, or until no rollout is left where that is wanted."""
        with asyncio.Runner() as runner, run_leader_election(self._environment.lease):
            while not stop.is_set() and not (until_idle and self._is_idle):
                started_at = self._clock()
                self.poll(runner)
                stop.wait(max(_MIN_PAUSE_S, self._intervals.poll_s - (self._clock() - started_at)))
            if self._is_leader and self._environment.lease.is_leader():
                self._save_checkpoint({})
        self._clear_gauges()

    def is_alive(self, within_s: float) -> bool:
        """Whether the last look was so recently."""
        return self._clock() - self._last_poll_at < within_s

    def poll(self, runner: asyncio.Runner) -> None:
        """Look once at everything, and act on it where this is the leader."""
        is_leader = self._environment.lease.is_leader()
        if is_leader and not self._is_leader:
            self._resume()
        elif not is_leader:
            self._models.clear()
            self._clear_gauges()
        self._is_leader = is_leader
        if is_leader:
            self._poll_models(runner.run(self._environment.metrics_source.read()))
        self._last_poll_at = self._clock()
        self._gauges.record_poll(is_leader=is_leader, at=self._now())

    def _resume(self) -> None:
        """Go on with what the leader before has noted down."""
        checkpoint = load_checkpoint(self._environment.checkpoint_store)
        resumed_at = self._now().timestamp()
        rollouts = checkpoint.rollouts if checkpoint is not None else {}
        self._models = {model: _ModelState(CounterTracker(resumed_at), rollout) for model, rollout in rollouts.items()}
        logger.info("controller started", extra={"resumed_rollouts": sorted(rollouts)})

    def _poll_models(self, result: ScrapeResult) -> None:
        self._gauges.record_unreachable_facades(len(result.unreachable))
        self._report_problem("facades", "; ".join(f"{url}: {why}" for url, why in sorted(result.unreachable.items())))
        try:
            models = self._environment.target.models()
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
        has_canary = any(state.checkpoint is not None for state in self._models.values())
        self._is_idle = not has_canary and self._problems.keys().isdisjoint(models)
        if (
            changed
            or self._last_checkpoint_at is None
            or self._clock() >= self._last_checkpoint_at + self._intervals.checkpoint_s
        ):
            self._save_checkpoint(dict(result.unreachable))

    def _poll_model(self, model: str, result: ScrapeResult) -> bool:
        """Judge a model's canary, if it has one, and act on the verdict. Returns whether anything was changed."""
        release = self._environment.target.read(model).release
        state = self._models.setdefault(model, _ModelState(CounterTracker(self._now().timestamp())))
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
        return self._apply_action(decide(release, verdict, all_facades_scraped=all_facades_scraped), release, verdict)

    def _analyse(
        self, release: Release, previous: RolloutCheckpoint | None, increase: CounterIncrease
    ) -> RolloutCheckpoint | None:
        """Return the note of a rollout with what was heard since the note before; None without a canary."""
        if release.canary is None:
            return None
        analysis = previous.analysis if previous is not None else AnalysisState.start(release)
        analysis = analysis.update(release, comparison_window(increase, release), self._slo, self._policy)
        return RolloutCheckpoint(analysis=analysis, verdict=judge(release, analysis, self._slo, self._policy))

    def _update_gauges(self, release: Release, verdict: Verdict, state: _ModelState) -> None:
        """Tell how far a rollout is, and once if it is stuck."""
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

    def _apply_action(self, action: Action, judged_release: Release, verdict: Verdict) -> bool:
        """Make a move. Returns whether anything was changed.

        Raises:
            ReleaseError: If the release was changed meanwhile, or cannot be changed now.
        """
        if action == "wait":
            return False
        author = author_now(self._author, "; ".join(verdict.reasons[:_MAX_REASONS]))
        update_release(
            self._environment.target,
            verdict.model,
            guarded_transition(action, judged_release, author, self._environment.lease.is_leader),
        )
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
        """Tell nothing of the models: another watcher does."""
        self._gauges.clear()
        self._drift_monitor.clear()

    def _report_problem(self, subject: str, message: str) -> None:
        """Log what is waited for, once for as long as it is the same; empty words end it."""
        previous = self._problems.get(subject, "")
        if message and message != previous:
            self._problems[subject] = message
            logger.warning("dependency unavailable", extra={"dependency": subject, "error": message})
        elif previous and not message:
            del self._problems[subject]
            logger.info("dependency recovered", extra={"dependency": subject})
