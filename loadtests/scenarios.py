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
from loadtests.image_set import PlateImage, load_images
from loadtests.samples import HOSTILE, NO_RESPONSE, RequestSample

_DEFAULT_RETRY_AFTER_S = 2.0
_TIMEOUT_S = 90.0
_USER_NUMBERS = itertools.count()
SAMPLES: list[RequestSample] = []
"""What this process has sent; `locustfile` writes it at the end."""


class RegularUser(FastHttpUser):
    """Sends good pictures. What kinds, how often and for what is up to each scenario."""

    abstract = True
    network_timeout = _TIMEOUT_S
    connection_timeout = 10.0
    size_mix: dict[str, float]
    """How often a picture is of a class of image size."""

    def on_start(self) -> None:
        """Fetch the pictures and a series of choices of one's own, the same in every test."""
        self.pictures = load_images()
        self.rng = random.Random(next(_USER_NUMBERS))  # noqa: S311

    def send_image(self, accept: str = "application/json") -> RequestSample:
        """Send one picture, and once more after Retry-After where there was no room."""
        (size,) = self.rng.choices(list(self.size_mix), list(self.size_mix.values()))
        picture = self.rng.choice(self.pictures[size])
        sample, retry_after_s = self._post_image(picture, accept)
        if retry_after_s is not None:
            gevent.sleep(retry_after_s)
            sample, _ = self._post_image(picture, accept)
        return sample

    def _post_image(self, picture: PlateImage, accept: str) -> tuple[RequestSample, float | None]:
        headers = {"Content-Type": "image/jpeg", "Accept": accept}
        started_at = time.time()
        with self.client.post(
            f"/v1/phenotype{picture.query}",
            data=picture.file.read_bytes(),  # type: ignore[arg-type]  # bytes pass, its annotation forgot them
            headers=headers,
            name=picture.size,
            catch_response=True,
        ) as response:
            status = response.status_code or NO_RESPONSE
            retry_after = (response.headers or {}).get("Retry-After")
            response.success()  # what failed is judged by the limits, not by locust
        error = f"{status} without Retry-After" if status in (429, 503) and not retry_after else ""
        sample = RequestSample(
            started_at, self.scenario(), accept, picture.size, status, time.time() - started_at, error
        )
        SAMPLES.append(sample)
        is_overloaded = status in (429, 503)
        return sample, (float(retry_after or _DEFAULT_RETRY_AFTER_S) if is_overloaded else None)

    @classmethod
    def scenario(cls) -> str:
        """Return the scenario's name."""
        return cls.__name__


class Researcher(RegularUser):
    """At a desk: one picture at a time, a look at the result, now and then the overlay or the list of models."""

    wait_time = between(2, 6)
    size_mix = {"1mp": 0.4, "4mp": 0.4, "16mp": 0.2}

    @task(8)
    def request_phenotype(self) -> None:
        """Ask for the phenotype."""
        self.send_image()

    @task(2)
    def request_overlay(self) -> None:
        """Ask for the picture with what was found."""
        self.send_image("image/png")

    @task(1)
    def list_models(self) -> None:
        """Ask what is served."""
        started_at = time.time()
        with self.client.get("/v1/models", name="models", catch_response=True) as response:
            status = response.status_code or NO_RESPONSE
            response.success()
        SAMPLES.append(RequestSample(started_at, self.scenario(), "models", "", status, time.time() - started_at))


class BatchUser(RegularUser):
    """A night's photographs, one after the other without a pause."""

    wait_time = constant(0)
    size_mix = {"4mp": 0.2, "16mp": 0.8}

    @task
    def request_table(self) -> None:
        """Ask for the table."""
        self.send_image("text/csv")


class BurstUser(RegularUser):
    """Everybody comes back after a third of the test and sends the morning's pictures in a row."""

    size_mix = {"1mp": 0.3, "4mp": 0.6, "16mp": 0.1}
    images_per_burst = 3
    """Pictures each."""

    def wait_time(self) -> float:
        """Return the seconds until lunch is over, and afterwards until the day is."""
        options, stats = self.environment.parsed_options, self.environment.stats
        elapsed_s = time.time() - stats.start_time
        return float(max(0.0, options.run_time / 3 - elapsed_s) or max(1.0, options.run_time - elapsed_s))

    @task
    def send_burst(self) -> None:
        """Send everything, if lunch is over."""
        if time.time() - self.environment.stats.start_time < self.environment.parsed_options.run_time / 3:
            return
        for _ in range(self.images_per_burst):
            self.send_image()


class HostileUser(FastHttpUser):
    """Sends what no camera makes, one kind after the other."""

    wait_time = between(0.2, 1.5)

    def on_start(self) -> None:
        """Prepare the attacks; each user begins with another one."""
        self.hostile_requests: Sequence[hostile.HostileRequest] = hostile.hostile_requests(load_images()["4mp"][0])
        self.next_index = 3 * next(_USER_NUMBERS)

    @task
    def send_hostile_request(self) -> None:
        """Send one bad request, and note whether it was refused as it must be."""
        request = self.hostile_requests[self.next_index % len(self.hostile_requests)]
        self.next_index += 1
        address = urlsplit(str(self.host))
        started_at = time.time()
        try:
            outcome = hostile.send_request(request, str(address.hostname), address.port or 80)
            status, problem = outcome.status, hostile.unexpected_outcome(request, outcome) or ""
        except (OSError, http.client.HTTPException) as error:
            status, problem = NO_RESPONSE, "" if request.may_close_connection else repr(error)
        duration_s = time.time() - started_at
        SAMPLES.append(RequestSample(started_at, "HostileUser", request.name, HOSTILE, status, duration_s, problem))
        self.environment.events.request.fire(
            request_type="HOSTILE",
            name=request.name,
            response_time=1000 * duration_s,
            response_length=0,
            exception=None,
            context={},
        )
