"""The breakers of the versions that users depend on: the stable ones and the canaries."""

import logging
import time
from collections.abc import Callable

from thale.facade.settings import Settings
from thale.facade.upstream.circuit_breaker import Breaker, Limits
from thale.facade.upstream.routing import Choice, Role
from thale.schemas import ReleaseRecord
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_Key = tuple[str, str | None, Role]
"""Model, version and the role that the version has."""


class Breakers:
    """A breaker for each stable version and each canary. Pinned versions have none: who pins wants to know."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        rests: dict[Role, float] = {"stable": settings.stable_rest_s, "canary": settings.canary_rest_s}
        self._limits = {
            role: Limits(settings.breaker_failures, settings.breaker_window, rest_s) for role, rest_s in rests.items()
        }
        self._clock = clock
        self._breakers: dict[_Key, Breaker] = {}
        self._current: set[_Key] = set()

    def admits(self, choice: Choice) -> bool:
        """Whether the version may be asked now."""
        return choice.role not in self._limits or self._of(choice).admits()

    def note(self, choice: Choice, *, failed: bool) -> None:
        """Note how the version did."""
        if choice.role not in self._limits:
            return
        breaker = self._of(choice)
        was_open = breaker.is_open
        if failed:
            breaker.failed()
        else:
            breaker.succeeded()
        if breaker.is_open != was_open and (choice.name, choice.version, choice.role) in self._current:
            labels = {"model": choice.name, "version": choice.version}
            metrics.MODEL_BREAKER_OPEN.labels(**labels).set(breaker.is_open)
            what = "breaker opened" if breaker.is_open else "breaker closed"
            logger.warning(what, extra=labels)
            tracing.event(what, choice.told())

    def follow(self, record: ReleaseRecord) -> None:
        """Forget versions that have not kept their role.

        A version that gets its role, or gets it back, begins anew: requests that were on their way when it was taken
        back may have noted its failures since.
        """
        before, self._current = self._current, set()
        for name, release in record.models.items():
            self._current |= {(name, release.stable, "stable"), (name, release.canary, "canary")}
        for name, version, role in self._breakers.keys() - (before & self._current):
            del self._breakers[name, version, role]
            metrics.MODEL_BREAKER_OPEN.labels(name, version).set(0)

    def _of(self, choice: Choice) -> Breaker:
        key = (choice.name, choice.version, choice.role)
        if key not in self._breakers:
            self._breakers[key] = Breaker(self._limits[choice.role], self._clock)
        return self._breakers[key]
