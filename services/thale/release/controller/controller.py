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
from thale.release.controller.checkpoint import Note, Notes, Page, read_page
from thale.release.controller.decision import Move, decide, planned
from thale.release.controller.drift_monitor import Drifts
from thale.release.controller.gauges import Board, Standing
from thale.release.controller.leader_election import Lease, candidate
from thale.release.controller.metrics_scraper import Ledger, Reading
from thale.release.judge.analysis_state import Trial
from thale.release.judge.judge import judge
from thale.release.judge.version_metrics import Increment, window_of
from thale.release.lifecycle.history import step_began
from thale.release.targets import Actuator
from thale.release.targets.update import change, sign
from thale.schemas import Release, Verdict
from thale.slo import Slo

logger = logging.getLogger(__name__)

_REASONS_SIGNED = 3
_LEAST_PAUSE_S = 0.05


class Counters(Protocol):
    """Where the facades' counters come from: `signals.Facades`, or what finds the facades anew each time."""

    async def read(self) -> Reading:
        """Ask every facade. Raises nothing."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a watcher works: on a laptop, in a cluster."""

    actuator: Actuator
    counters: Counters
    lease: Lease
    notes: Notes


@dataclass(frozen=True)
class Pace:
    """How often a watcher does what, in seconds."""

    poll_s: float = 0.5
    save_s: float = 2.0
    """Notes are written so often at most, and whenever something was changed."""
    stuck_s: float = 3600.0
    """A step that is undecided for longer is reported, and left to people."""








@dataclass
class _Watched:
    """A model between two looks. Its own ledger, because nothing is lost of a model whose release cannot be read."""

    ledger: Ledger
    note: Note | None = None
    stuck: bool = False


class Watcher:
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
        place: Place,
        slo: Slo,
        who: str,
        pace: Pace | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._place, self._slo, self._who, self._pace = place, slo, who, pace or Pace()
        self._clock, self._today = clock, today
        self._board = Board()
        self._drifts = Drifts(slo.judge.series_plates)
        self._watched: dict[str, _Watched] = {}
        self._leads = False
        self._idle = False
        self._polled_at = clock()
        self._saved_at: float | None = None
        self._troubles: dict[str, str] = {}

    def run(self, ending: threading.Event, *, until_idle: bool = False) -> None:
        """Stand for leader and watch until `ending` is set, or until no rollout is left where that is wanted."""
        with asyncio.Runner() as runner, candidate(self._place.lease):
            while not ending.is_set() and not (until_idle and self._idle):
                begun = self._clock()
                self.poll(runner)
                ending.wait(max(_LEAST_PAUSE_S, self._pace.poll_s - (self._clock() - begun)))
            if self._leads and self._place.lease.held():
                self._save({})
        self._clear()

    def alive(self, within_s: float) -> bool:
        """Whether the last look was so recently."""
        return self._clock() - self._polled_at < within_s

    def poll(self, runner: asyncio.Runner) -> None:
        """Look once at everything, and act on it where this is the leader."""
        leads = self._place.lease.held()
        if leads and not self._leads:
            self._take_over()
        elif not leads:
            self._watched.clear()
            self._clear()
        self._leads = leads
        if leads:
            self._look(runner.run(self._place.counters.read()))
        self._polled_at = self._clock()
        self._board.polled(leads=leads, at=self._today())

    def _take_over(self) -> None:
        """Go on with what the leader before has noted down."""
        page = read_page(self._place.notes)
        since = self._today().timestamp()
        rollouts = page.rollouts if page is not None else {}
        self._watched = {model: _Watched(Ledger(since), note) for model, note in rollouts.items()}
        logger.info("watching", extra={"goes_on_with": sorted(rollouts)})

    def _look(self, reading: Reading) -> None:
        self._board.facades_away(len(reading.missing))
        self._trouble("facades", "; ".join(f"{url}: {why}" for url, why in sorted(reading.missing.items())))
        try:
            models = self._place.actuator.models()
        except ThaleError as error:
            self._trouble("releases", str(error))
            return
        self._trouble("releases", "")
        for model in self._watched.keys() - {*models}:
            del self._watched[model]
            self._board.remove(model)
            self._drifts.remove(model)
        moved = False
        for model in models:
            try:
                moved |= self._look_at(model, reading)
            except ThaleError as error:
                self._trouble(model, str(error))
            else:
                self._trouble(model, "")
        on_trial = any(watched.note is not None for watched in self._watched.values())
        self._idle = not on_trial and self._troubles.keys().isdisjoint(models)
        if moved or self._saved_at is None or self._clock() >= self._saved_at + self._pace.save_s:
            self._save(dict(reading.missing))

    def _look_at(self, model: str, reading: Reading) -> bool:
        """Judge a model's canary, if it has one, and act on the verdict. Returns whether anything was changed."""
        release = self._place.actuator.read(model).release
        watched = self._watched.setdefault(model, _Watched(Ledger(self._today().timestamp())))
        watched.ledger, increment = watched.ledger.advance(reading)
        self._drifts.heard(release, increment)
        watched.note = self._judged(release, watched.note, increment)
        if watched.note is None:
            watched.stuck = False
            self._board.show(model, Standing(release))
            return False
        verdict = watched.note.verdict
        self._board.judged(verdict)
        self._show(release, verdict, watched)
        everything_heard = bool(reading.scrapes) and not reading.missing
        return self._make(decide(release, verdict, everything_heard=everything_heard), release, verdict)

    def _judged(self, release: Release, before: Note | None, increment: Increment) -> Note | None:
        """Return the note of a rollout with what was heard since the note before; None without a canary."""
        if release.canary is None:
            return None
        trial = before.trial if before is not None else Trial.begin(release)
        trial = trial.heard(release, window_of(increment, release), self._slo)
        return Note(trial=trial, verdict=judge(release, trial, self._slo))

    def _show(self, release: Release, verdict: Verdict, watched: _Watched) -> None:
        """Tell how far a rollout is, and once if it is stuck."""
        began = step_began(release)
        age_s = max(0.0, (self._today() - began).total_seconds()) if began is not None else 0.0
        stuck = age_s > self._pace.stuck_s and verdict.decision in ("inconclusive", "hold")
        if stuck and not watched.stuck:
            fields = {"model": verdict.model, "version": verdict.canary, "step_s": age_s, "reasons": verdict.reasons}
            logger.warning("rollout is stuck", extra=fields)
        watched.stuck = stuck
        self._board.show(verdict.model, Standing(release, age_s, stuck))

    def _make(self, move: Move, judged: Release, verdict: Verdict) -> bool:
        """Make a move. Returns whether anything was changed.

        Raises:
            ReleaseError: If the release was changed meanwhile, or cannot be changed now.
        """
        if move == "wait":
            return False
        signature = sign(self._who, "; ".join(verdict.reasons[:_REASONS_SIGNED]))
        change(self._place.actuator, verdict.model, planned(move, judged, signature, self._place.lease.held))
        self._board.moved(verdict, move)
        return True

    def _save(self, away: dict[str, str]) -> None:
        rollouts = {model: watched.note for model, watched in self._watched.items() if watched.note is not None}
        page = Page(who=self._who, at=self._today().isoformat(timespec="seconds"), rollouts=rollouts, away=away)
        self._place.notes.write(page.model_dump_json())
        self._saved_at = self._clock()

    def _clear(self) -> None:
        """Tell nothing of the models: another watcher does."""
        self._board.clear()
        self._drifts.clear()

    def _trouble(self, subject: str, words: str) -> None:
        """Log what is waited for, once for as long as it is the same; empty words end it."""
        before = self._troubles.get(subject, "")
        if words and words != before:
            self._troubles[subject] = words
            logger.warning("waiting", extra={"subject": subject, "error": words})
        elif before and not words:
            del self._troubles[subject]
            logger.info("going on", extra={"subject": subject})
