"""Liveness of the services: a service that does not respond is killed, and its supervisor restarts it.

The probes are those of the Kubernetes manifests, so that a service that hangs is restarted after the same time on both
platforms. A process that is stopped or blocked does not exit, so a supervisor that waits for its exit does not restart
it.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import urllib3

from thale.local.supervised_service import Service
from thale.models.model_server_pool import open_pool


@dataclass(frozen=True)
class LivenessProbe:
    """HTTP request to which a live service responds. The fields are those of a probe of Kubernetes."""

    path: str
    period_s: float
    timeout_s: float
    failure_threshold: int
    startup_s: float
    """Time to the first response, within which failures do not count."""
    accepts_errors: bool = False
    """True if an error status counts as live: TorchServe reports failed workers with one, and restarts them itself."""


FACADE_PROBE = LivenessProbe("/health/live", period_s=10.0, timeout_s=5.0, failure_threshold=6, startup_s=120.0)
"""The livenessProbe and startupProbe of kubernetes/base/facade.yaml."""
TORCHSERVE_PROBE = LivenessProbe(
    "/ping", period_s=10.0, timeout_s=10.0, failure_threshold=6, startup_s=300.0, accepts_errors=True
)
"""The livenessProbe and startupProbe of kubernetes/base/model-server.yaml."""


class LivenessMonitor:
    """Probes one service, and kills it after `failure_threshold` consecutive failures. Its supervisor restarts it."""

    def __init__(self, service: Service, address: str, probe: LivenessProbe, notify: Callable[[str], None]) -> None:
        self._service = service
        self._pool = open_pool(address)
        self._probe = probe
        self._notify = notify
        self._process_id: int | None = None
        self._started_s = 0.0
        self._last_response_s: float | None = None
        self._failures = 0

    def run(self, stopping: threading.Event) -> None:
        """Probe the service once per period until the event is set."""
        while not stopping.wait(self._probe.period_s):
            self._check()
        self._pool.close()

    def _check(self) -> None:
        if self._service.process_id != self._process_id:
            self._process_id, self._started_s = self._service.process_id, time.monotonic()
            self._last_response_s, self._failures = None, 0
        if self._process_id is None:
            return
        if self._is_live():
            self._last_response_s, self._failures = time.monotonic(), 0
            return
        self._failures += 1
        silent_s = time.monotonic() - (self._last_response_s or self._started_s)
        is_starting = self._last_response_s is None
        if silent_s >= self._probe.startup_s if is_starting else self._failures >= self._probe.failure_threshold:
            self._notify(f"{self._service.name} has not responded for {silent_s:.0f} s: it is killed and restarted")
            self._service.kill_unresponsive(self._process_id)

    def _is_live(self) -> bool:
        """Return True if the service responds without an error status, or with one that the probe accepts."""
        try:
            response = self._pool.request("GET", self._probe.path, timeout=self._probe.timeout_s, redirect=False)
        except urllib3.exceptions.HTTPError:
            return False
        return response.status < HTTPStatus.BAD_REQUEST or self._probe.accepts_errors
