"""Bounded load for fault tests: a fixed number of clients that send plates in a closed loop and check every response.

A fault test compares each measurement with the measurement of the same plate without the fault. The recovery time is
the time from the injection of the fault to the first success after the last failure.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from tests.support import tiny_plates

NO_RESPONSE = 0
"""Status of a request without a response: the connection was refused or lost."""
RECOVERIES: list[str] = []
"""Recovery time and responses of each fault. The summary of the test run prints them."""
_QUERY = f"/v1/phenotype?mm_per_px={tiny_plates.MM_PER_PX}"
_PAUSE_AFTER_FAILURE_S = 0.2


@dataclass(frozen=True)
class Exchange:
    """One request with its outcome. Times are on the monotonic clock."""

    started_s: float
    ended_s: float
    status: int
    plate: int
    measurement: str = ""
    """Canonical text of the measured plants, for a response with status 200."""
    problem: str = ""
    """Code of the problem document."""


@dataclass
class BoundedLoad:
    """Clients that send plates until the context of `run` ends."""

    url: str
    plates: Sequence[bytes]
    clients: int = 2
    timeout_s: float = 90.0
    headers: Mapping[str, str] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def measure_baseline(self) -> dict[int, str]:
        """Return the measurement of each plate, without a fault."""
        exchanges = [self._send(index) for index in range(len(self.plates))]
        assert [exchange.status for exchange in exchanges] == [200] * len(self.plates), exchanges
        return {exchange.plate: exchange.measurement for exchange in exchanges}

    @contextmanager
    def run(self) -> Iterator["BoundedLoad"]:
        """Send plates until the context ends. Every request that was sent is finished and recorded."""
        threads = [threading.Thread(target=self._send_until_stopped, args=(index,)) for index in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait_for_successes(self, count: int, timeout_s: float = 240.0) -> None:
        """Wait until this many more responses in a row, of all clients, have status 200."""
        first, deadline = len(self.exchanges), time.monotonic() + timeout_s
        while True:
            recent = self.exchanges[first:][-count:]
            if len(recent) == count and all(exchange.status == 200 for exchange in recent):
                return
            assert time.monotonic() < deadline, f"no recovery within {timeout_s:g} s: {self.summary(0.0)}"
            time.sleep(0.05)

    def failures(self, since_s: float = 0.0) -> list[Exchange]:
        """Return the exchanges without a measurement that ended at `since_s` or later."""
        return [exchange for exchange in self.exchanges if exchange.ended_s >= since_s and exchange.status != 200]

    def recovery_s(self, injected_at_s: float) -> float:
        """Return the seconds from the injection to the first success after the last failure.

        Without a failure, it is the duration of the longest request since the injection.
        """
        affected = [exchange for exchange in self.exchanges if exchange.ended_s >= injected_at_s]
        failures = [exchange.ended_s for exchange in affected if exchange.status != 200]
        if not failures:
            return max(exchange.ended_s - max(exchange.started_s, injected_at_s) for exchange in affected)
        successes = [e.ended_s for e in affected if e.status == 200 and e.ended_s > max(failures)]
        return min(successes) - injected_at_s

    def wrong_measurements(self, baseline: Mapping[int, str]) -> list[Exchange]:
        """Return the exchanges with status 200 whose measurement differs from the one without a fault."""
        return [e for e in self.exchanges if e.status == 200 and e.measurement != baseline[e.plate]]

    def summary(self, injected_at_s: float) -> str:
        """Return the number of exchanges by status and problem since a time."""
        counts = Counter(
            f"{exchange.status} {exchange.problem}".strip()
            for exchange in self.exchanges
            if exchange.ended_s >= injected_at_s
        )
        return ", ".join(f"{count} x {outcome}" for outcome, count in sorted(counts.items()))

    def report(self, fault: str, injected_at_s: float) -> None:
        """Record the recovery time of a fault and the responses since its injection, for the end of the test run."""
        RECOVERIES.append(f"{fault}: {self.recovery_s(injected_at_s):.1f} s ({self.summary(injected_at_s)})")

    def _send_until_stopped(self, client: int) -> None:
        number = client
        while not self._stop.is_set():
            exchange = self._send(number % len(self.plates))
            self.exchanges.append(exchange)
            number += 1
            if exchange.status != 200:
                self._stop.wait(_PAUSE_AFTER_FAILURE_S)

    def _send(self, plate: int) -> Exchange:
        address = urlsplit(self.url)
        connection = HTTPConnection(str(address.hostname), address.port or 80, timeout=self.timeout_s)
        started = time.monotonic()
        try:
            connection.request("POST", _QUERY, self.plates[plate], {"Content-Type": "image/png", **self.headers})
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, HTTPException, ValueError):
            return Exchange(started, time.monotonic(), NO_RESPONSE, plate)
        finally:
            connection.close()
        ended = time.monotonic()
        if response.status != 200:
            return Exchange(started, ended, response.status, plate, problem=str(body["type"]).rsplit("/", 1)[-1])
        return Exchange(started, ended, 200, plate, measurement=_canonical_measurement(body))


def _canonical_measurement(phenotype: Mapping[str, Any]) -> str:
    """Return the part of a phenotype that depends only on the image, the parameters and the models."""
    models = [(model["name"], model["version"]) for model in phenotype["provenance"]["models"]]
    parts = [phenotype["image"], *(phenotype[name] for name in ("scale", "plants", "traits", "flags")), models]
    return json.dumps(parts, sort_keys=True)
