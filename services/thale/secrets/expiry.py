"""Metrics of secret expiry for alerts (ADR 0056).

`thale_secret_expiry_timestamp_seconds{secret}` or `thale_secret_without_expiry{secret}`. An API key that has expired
or is revoked is not exported, because it needs no replacement.
"""

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from thale.errors import SecretError
from thale.secrets import Secrets
from thale.telemetry.controller_metrics import SECRET_EXPIRY, SECRET_WITHOUT_EXPIRY
from thale.telemetry.labels import SECRET

logger = logging.getLogger(__name__)

_JOIN_TIMEOUT_S = 1.0
_API_KEY = re.compile(r"api-key-[0-9a-f]{8}")
"""Name of the secret of an API key. It expires with the key, or when the key is revoked."""


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
    exported = _ExportedSecrets()
    last_error = ""
    while not stop_event.is_set():
        try:
            expiries = secrets.expiries()
        except SecretError as error:
            if str(error) != last_error:
                logger.warning("secrets unavailable", extra={"error": str(error)})
            last_error = str(error)
            stop_event.wait(intervals.retry_s)
            continue
        last_error = ""
        if not stop_event.is_set():
            exported.update(expiries)
        stop_event.wait(intervals.interval_s)
    exported.update({})


class _ExportedSecrets:
    """The exported series. Each metric has up to the maximum number of label values: those that expire first."""

    def __init__(self) -> None:
        self._expiring: set[str] = set()
        self._permanent: set[str] = set()

    def update(self, expiries: Mapping[str, datetime | None]) -> None:
        """Export these secrets, and remove the series of all others."""
        now = datetime.now(UTC)
        expiring = [
            (name, expires)
            for name, expires in expiries.items()
            if expires is not None and not (_API_KEY.fullmatch(name) and expires <= now)
        ]
        next_to_expire = dict(sorted(expiring, key=lambda expiry: expiry[1])[: SECRET.max_values])
        permanent = set(sorted(name for name, expires in expiries.items() if expires is None)[: SECRET.max_values])
        for removed in self._expiring - next_to_expire.keys():
            SECRET_EXPIRY.remove(removed)
        for removed in self._permanent - permanent:
            SECRET_WITHOUT_EXPIRY.remove(removed)
        for name, expires in next_to_expire.items():
            SECRET_EXPIRY.labels(name).set(expires.timestamp())
        for name in permanent:
            SECRET_WITHOUT_EXPIRY.labels(name).set(1)
        self._expiring, self._permanent = {*next_to_expire}, permanent
