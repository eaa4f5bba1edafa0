"""Metrics of secret expiry for alerts: `thale_secret_expiry_timestamp_seconds{secret}` (ADR 0056)."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from thale.errors import SecretError
from thale.secrets import Secrets
from thale.telemetry.controller_metrics import SECRET_EXPIRY
from thale.telemetry.labels import SECRET

logger = logging.getLogger(__name__)

_JOIN_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class PollIntervals:
    """Poll intervals of the source, in seconds."""

    interval_s: float = 3600.0
    retry_s: float = 300.0
    """Interval after a failed read."""


@contextmanager
def export_expiry_metrics(secrets: Secrets | None, intervals: PollIntervals | None = None) -> Iterator[None]:
    """Export the expiry of secrets within the context. Without a source, nothing is exported.

    A thread polls the source, so an unreachable vault blocks no caller. The last known expiry stays exported.
    """
    if secrets is None:
        yield
        return
    stop_event = threading.Event()
    thread = threading.Thread(
        target=_export_until_stopped,
        args=(secrets, intervals or PollIntervals(), stop_event),
        name="secret-expiry-exporter",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stop_event.set()
        thread.join(_JOIN_TIMEOUT_S)


def _export_until_stopped(secrets: Secrets, intervals: PollIntervals, stop_event: threading.Event) -> None:
    exported: set[str] = set()
    last_error = ""
    while not stop_event.is_set():
        try:
            next_to_expire = _next_to_expire(secrets.expiries())
        except SecretError as error:
            if str(error) != last_error:
                logger.warning("secrets unavailable", extra={"error": str(error)})
            last_error = str(error)
            stop_event.wait(intervals.retry_s)
            continue
        last_error = ""
        if not stop_event.is_set():
            _set_metrics(next_to_expire, exported)
        stop_event.wait(intervals.interval_s)
    _set_metrics({}, exported)


def _next_to_expire(expiries: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return the secrets that expire first, up to the maximum number of label values."""
    return dict(sorted(expiries.items(), key=lambda expiry: expiry[1])[: SECRET.max_values])


def _set_metrics(expiries: Mapping[str, datetime], exported: set[str]) -> None:
    for removed in exported - expiries.keys():
        SECRET_EXPIRY.remove(removed)
    for name, expires in expiries.items():
        SECRET_EXPIRY.labels(name).set(expires.timestamp())
    exported.clear()
    exported.update(expiries)
