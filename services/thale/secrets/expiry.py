"""Tells when secrets expire, so that somebody renews them in time: `thale_secret_expiry_timestamp_seconds{secret}`."""

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

_GRACE_S = 1.0


@dataclass(frozen=True)
class Rhythm:
    """How often the source is asked, in seconds."""

    every_s: float = 3600.0
    again_s: float = 300.0
    """After it could not be read."""


@contextmanager
def expiries_told(secrets: Secrets | None, rhythm: Rhythm | None = None) -> Iterator[None]:
    """Tell when secrets expire for as long as the context lasts; without a source nothing is told.

    A thread asks, so a vault that is away makes nobody wait; what it said last goes on being told.
    """
    if secrets is None:
        yield
        return
    ending = threading.Event()
    teller = threading.Thread(
        target=_tell, args=(secrets, rhythm or Rhythm(), ending), name="secrets' expiry", daemon=True
    )
    teller.start()
    try:
        yield
    finally:
        ending.set()
        teller.join(_GRACE_S)


def _tell(secrets: Secrets, rhythm: Rhythm, ending: threading.Event) -> None:
    told: set[str] = set()
    trouble = ""
    while not ending.is_set():
        try:
            soonest = _soonest(secrets.expiries())
        except SecretError as error:
            if str(error) != trouble:
                logger.warning("secrets cannot be read", extra={"error": str(error)})
            trouble = str(error)
            ending.wait(rhythm.again_s)
            continue
        trouble = ""
        if not ending.is_set():
            _show(soonest, told)
        ending.wait(rhythm.every_s)
    _show({}, told)


def _soonest(expiries: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return the secrets that expire first, as many as the metric may have."""
    return dict(sorted(expiries.items(), key=lambda expiry: expiry[1])[: SECRET.most])


def _show(expiries: Mapping[str, datetime], told: set[str]) -> None:
    for gone in told - expiries.keys():
        SECRET_EXPIRY.remove(gone)
    for name, expires in expiries.items():
        SECRET_EXPIRY.labels(name).set(expires.timestamp())
    told.clear()
    told.update(expiries)
