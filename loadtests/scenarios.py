"""Who uses thale, as locust users: a researcher at a desk, a night's batch, a burst after lunch, hostile clients.

Everybody waits as long as the server says when it has no room (Retry-After), as `thale analyze` and thale's client do.
"""

import http.client
import itertools
import random
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, between, constant, task

from loadtests import hostile
from loadtests.image_set import Picture, pictures
from loadtests.samples import HOSTILE, NO_ANSWER, Sample

_DEFAULT_RETRY_S = 2.0
_PATIENCE_S = 90.0
_NUMBERS = itertools.count()
SAMPLES: list[Sample] = []
"""What this process has sent; `locustfile` writes it at the end."""


class Honest(FastHttpUser):
    """Sends good pictures. What kinds, how often and for what is up to each scenario."""

    abstract = True
    network_timeout = _PATIENCE_S
    connection_timeout = 10.0
    shares: dict[str, float]
    """How often a picture is of a class of image size."""

    def on_start(self) -> None:
        """Fetch the pictures and a series of choices of one's own, the same in every test."""
        self.pictures = pictures()
        self.rng = random.Random(next(_NUMBERS))  # noqa: S311

    def measure(self, accept: str = "application/json") -> Sample:
        """Send one picture, and once more after Retry-After where there was no room."""
        (size,) = self.rng.choices(list(self.shares), list(self.shares.values()))
        picture = self.rng.choice(self.pictures[size])
        sample, retry_after_s = self._send(picture, accept)
        if retry_after_s is not None:
            gevent.sleep(retry_after_s)
            sample, _ = self._send(picture, accept)
        return sample

    def _send(self, picture: Picture, accept: str) -> tuple[Sample, float | None]:
        headers = {"Content-Type": "image/jpeg", "Accept": accept}
        began = time.time()
        with self.client.post(
            f"/v1/phenotype{picture.query}",
            data=picture.file.read_bytes(),  # type: ignore[arg-type]  # bytes pass, its annotation forgot them
            headers=headers,
            name=picture.size,
            catch_response=True,
        ) as response:
            status = response.status_code or NO_ANSWER
            told = (response.headers or {}).get("Retry-After")
            response.success()  # what failed is judged by the limits, not by locust
        fault = f"{status} without Retry-After" if status in (429, 503) and not told else ""
        sample = Sample(began, self.scenario(), accept, picture.size, status, time.time() - began, fault)
        SAMPLES.append(sample)
        refused = status in (429, 503)
        return sample, (float(told or _DEFAULT_RETRY_S) if refused else None)

    @classmethod
    def scenario(cls) -> str:
        """Return the scenario's name."""
        return cls.__name__


class Researcher(Honest):
    """At a desk: one picture at a time, a look at the result, now and then the overlay or the list of models."""

    wait_time = between(2, 6)
    shares = {"1mp": 0.4, "4mp": 0.4, "16mp": 0.2}

    @task(8)
    def looks_at_numbers(self) -> None:
        """Ask for the phenotype."""
        self.measure()

    @task(2)
    def looks_at_overlay(self) -> None:
        """Ask for the picture with what was found."""
        self.measure("image/png")

    @task(1)
    def looks_at_models(self) -> None:
        """Ask what is served."""
        began = time.time()
        with self.client.get("/v1/models", name="models", catch_response=True) as response:
            status = response.status_code or NO_ANSWER
            response.success()
        SAMPLES.append(Sample(began, self.scenario(), "models", "", status, time.time() - began))


class NightBatch(Honest):
    """A night's photographs, one after the other without a pause."""

    wait_time = constant(0)
    shares = {"4mp": 0.2, "16mp": 0.8}

    @task
    def measures(self) -> None:
        """Ask for the table."""
        self.measure("text/csv")


class AfterLunch(Honest):
    """Everybody comes back after a third of the test and sends the morning's pictures in a row."""

    shares = {"1mp": 0.3, "4mp": 0.6, "16mp": 0.1}
    morning = 3
    """Pictures each."""

    def wait_time(self) -> float:
        """Return the seconds until lunch is over, and afterwards until the day is."""
        options, stats = self.environment.parsed_options, self.environment.stats
        passed_s = time.time() - stats.start_time
        return float(max(0.0, options.run_time / 3 - passed_s) or max(1.0, options.run_time - passed_s))

    @task
    def comes_back(self) -> None:
        """Send everything, if lunch is over."""
        if time.time() - self.environment.stats.start_time < self.environment.parsed_options.run_time / 3:
            return
        for _ in range(self.morning):
            self.measure()


class Hostile(FastHttpUser):
    """Sends what no camera makes, one kind after the other."""

    wait_time = between(0.2, 1.5)

    def on_start(self) -> None:
        """Prepare the attacks; each user begins with another one."""
        self.attacks: Sequence[hostile.Attack] = hostile.attacks(pictures()["4mp"][0])
        self.turn = 3 * next(_NUMBERS)

    @task
    def attacks_once(self) -> None:
        """Send one bad request, and note whether it was refused as it must be."""
        attack = self.attacks[self.turn % len(self.attacks)]
        self.turn += 1
        address = urlsplit(str(self.host))
        began = time.time()
        try:
            refusal = hostile.send(attack, str(address.hostname), address.port or 80)
            status, fault = refusal.status, hostile.fault(attack, refusal) or ""
        except (OSError, http.client.HTTPException) as error:
            status, fault = NO_ANSWER, "" if attack.may_hang_up else repr(error)
        seconds = time.time() - began
        SAMPLES.append(Sample(began, "Hostile", attack.name, HOSTILE, status, seconds, fault))
        self.environment.events.request.fire(
            request_type="HOSTILE",
            name=attack.name,
            response_time=1000 * seconds,
            response_length=0,
            exception=None,
            context={},
        )
