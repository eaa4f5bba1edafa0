"""Personas as locust users: an interactive researcher, a batch, a burst of users, hostile clients.

Regular users honour Retry-After on overload, like `thale analyze` and thale's client.
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
from loadtests.authorization import authorization_headers
from loadtests.image_set import PlateImage, load_images
from loadtests.samples import HOSTILE, NO_RESPONSE, RequestSample

_DEFAULT_RETRY_AFTER_S = 2.0
_TIMEOUT_S = 90.0
_USER_NUMBERS = itertools.count()
SAMPLES: list[RequestSample] = []
"""Requests of this process. `locustfile` writes them at the end."""


class RegularUser(FastHttpUser):
    """User who sends valid images. Subclasses define the mix, the think time and the requested format."""

    abstract = True
    network_timeout = _TIMEOUT_S
    connection_timeout = 10.0
    size_mix: dict[str, float]
    """Weight of each size class."""

    def on_start(self) -> None:
        """Load the images and seed the random generator of this user, the same in every test."""
        self.images = load_images()
        self.rng = random.Random(next(_USER_NUMBERS))  # noqa: S311

    def send_image(self, accept: str = "application/json") -> RequestSample:
        """Send one image, and retry once after Retry-After on overload."""
        (size,) = self.rng.choices(list(self.size_mix), list(self.size_mix.values()))
        image = self.rng.choice(self.images[size])
        sample, retry_after_s = self._post_image(image, accept)
        if retry_after_s is not None:
            gevent.sleep(retry_after_s)
            sample, _ = self._post_image(image, accept)
        return sample

    def _post_image(self, image: PlateImage, accept: str) -> tuple[RequestSample, float | None]:
        headers = {"Content-Type": "image/jpeg", "Accept": accept, **authorization_headers()}
        started_at = time.time()
        with self.client.post(
            f"/v1/phenotype{image.query}",
            data=image.file.read_bytes(),  # type: ignore[arg-type]  # bytes are accepted, the annotation is incomplete
            headers=headers,
            name=image.size,
            catch_response=True,
        ) as response:
            status = response.status_code or NO_RESPONSE
            retry_after = (response.headers or {}).get("Retry-After")
            response.success()  # the SLO checks classify failures, not locust
        error = f"{status} without Retry-After" if status in (429, 503) and not retry_after else ""
        sample = RequestSample(started_at, self.scenario(), accept, image.size, status, time.time() - started_at, error)
        SAMPLES.append(sample)
        is_overloaded = status in (429, 503)
        return sample, (float(retry_after or _DEFAULT_RETRY_AFTER_S) if is_overloaded else None)

    @classmethod
    def scenario(cls) -> str:
        """Return the name of the persona, for the samples."""
        return cls.__name__


class Researcher(RegularUser):
    """Interactive user: one image at a time with think time, sometimes the overlay or the list of models."""

    wait_time = between(2, 6)
    size_mix = {"1mp": 0.4, "4mp": 0.4, "16mp": 0.2}

    @task(8)
    def request_phenotype(self) -> None:
        """Request the phenotype."""
        self.send_image()

    @task(2)
    def request_overlay(self) -> None:
        """Request the overlay."""
        self.send_image("image/png")

    @task(1)
    def list_models(self) -> None:
        """Request the list of models."""
        started_at = time.time()
        headers = authorization_headers()
        with self.client.get("/v1/models", name="models", headers=headers, catch_response=True) as response:
            status = response.status_code or NO_RESPONSE
            response.success()
        SAMPLES.append(RequestSample(started_at, self.scenario(), "models", "", status, time.time() - started_at))


class BatchUser(RegularUser):
    """Batch user: photographs one after the other, without think time."""

    wait_time = constant(0)
    size_mix = {"4mp": 0.2, "16mp": 0.8}

    @task
    def request_table(self) -> None:
        """Request the table."""
        self.send_image("text/csv")


class BurstUser(RegularUser):
    """Burst user: all users send a series of images after a third of the test."""

    size_mix = {"1mp": 0.3, "4mp": 0.6, "16mp": 0.1}
    images_per_burst = 3
    """Images per user."""

    def wait_time(self) -> float:
        """Return the seconds until the burst, and after it the seconds until the end of the test."""
        options, stats = self.environment.parsed_options, self.environment.stats
        elapsed_s = time.time() - stats.start_time
        return float(max(0.0, options.run_time / 3 - elapsed_s) or max(1.0, options.run_time - elapsed_s))

    @task
    def send_burst(self) -> None:
        """Send the images, once the time of the burst is reached."""
        if time.time() - self.environment.stats.start_time < self.environment.parsed_options.run_time / 3:
            return
        for _ in range(self.images_per_burst):
            self.send_image()


class HostileUser(FastHttpUser):
    """Hostile user: sends all kinds of bad requests in turn."""

    wait_time = between(0.2, 1.5)

    def on_start(self) -> None:
        """Prepare the requests. Each user begins with a different kind."""
        self.hostile_requests: Sequence[hostile.HostileRequest] = hostile.hostile_requests(load_images()["4mp"][0])
        self.next_index = 3 * next(_USER_NUMBERS)

    @task
    def send_hostile_request(self) -> None:
        """Send one bad request, and record whether the rejection is as expected."""
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
