"""Circuit breakers of the stable and canary versions."""

import logging
import time
from collections.abc import Callable

from thale.facade.settings import FacadeSettings
from thale.facade.upstream.circuit_breaker import BreakerConfig, CircuitBreaker
from thale.facade.upstream.routing import Role, Route
from thale.schemas import ReleaseState
from thale.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

_BreakerKey = tuple[str, str | None, Role]
"""Model, version, and role of the version."""


class BreakerRegistry:
    """A circuit breaker for each stable version and each canary.

    A pinned version has none, because its client needs the version's own response or error.
    """

    def __init__(self, settings: FacadeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._configs: dict[Role, BreakerConfig] = {
            "stable": BreakerConfig(settings.breaker_failures, settings.breaker_window, settings.stable_breaker_open_s),
            "canary": BreakerConfig(
                settings.canary_breaker_failures, settings.canary_breaker_window, settings.canary_breaker_open_s
            ),
        }
        self._clock = clock
        self._breakers: dict[_BreakerKey, CircuitBreaker] = {}
        self._active_keys: set[_BreakerKey] = set()

    def allows(self, route: Route) -> bool:
        """Return True if a request may be sent to the version now."""
        return route.role not in self._configs or self._get_breaker(route).allows()

    def record(self, route: Route, *, is_failure: bool) -> None:
        """Record the outcome of a request to the version."""
        if route.role not in self._configs:
            return
        breaker = self._get_breaker(route)
        was_open = breaker.is_open
        if is_failure:
            breaker.record_failure()
        else:
            breaker.record_success()
        if breaker.is_open != was_open and (route.name, route.version, route.role) in self._active_keys:
            labels = {"model": route.name, "version": route.version}
            metrics.MODEL_BREAKER_OPEN.labels(**labels).set(breaker.is_open)
            event_name = "circuit breaker opened" if breaker.is_open else "circuit breaker closed"
            logger.warning(event_name, extra=labels)
            tracing.add_event(event_name, route.span_attributes())

    def sync(self, release_state: ReleaseState) -> None:
        """Remove the circuit breakers of versions that have lost or changed their role.

        A version that gets a role starts with a new circuit breaker, even if it had the role before. Requests in flight
        at its rollback may have recorded failures afterwards.
        """
        previous_keys, self._active_keys = self._active_keys, set()
        for name, release in release_state.models.items():
            self._active_keys |= {(name, release.stable, "stable"), (name, release.canary, "canary")}
        for name, version, role in self._breakers.keys() - (previous_keys & self._active_keys):
            del self._breakers[name, version, role]
            metrics.MODEL_BREAKER_OPEN.labels(name, version).set(0)

    def _get_breaker(self, route: Route) -> CircuitBreaker:
        key = (route.name, route.version, route.role)
        if key not in self._breakers:
            self._breakers[key] = CircuitBreaker(self._configs[route.role], self._clock)
        return self._breakers[key]
