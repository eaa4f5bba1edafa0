"""Admission control: limits the images in flight by number and by expected wait, and the bodies that arrive.

A limit on the number alone fails under sustained overload. With 32 queued requests of two seconds each, every request
waits for about as long as its deadline. Accepted requests then time out after a part of the work is done. Admission
control therefore also rejects a request whose expected wait is too long (ADR 0017).

Only images whose body has arrived count as work. Bodies that arrive have limits of their own (ADR 0083).
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from thale.capacity.wait_estimate import WaitEstimate
from thale.errors import DeadlineExceededError, OverloadedError
from thale.facade.admission.cost import Cost
from thale.facade.admission.processing_slots import ProcessingSlots
from thale.facade.admission.uploads import UploadLimiter
from thale.facade.deadline import Deadline
from thale.facade.request.stage_timing import stage
from thale.facade.settings import FacadeSettings
from thale.telemetry import metrics

_MIN_RETRY_AFTER_S = 2


class AdmittedImage:
    """An image that is queued for a processing slot, holds one, or is complete."""

    def __init__(self, cost: Cost, slots: int) -> None:
        self.cost = cost
        self.slots = slots

    def report_plates(self, plates: int) -> None:
        """Multiply the cost by the number of plates, which the models process one after the other."""
        self.cost = Cost(self.cost.seconds * max(1, plates))

    @property
    def slot_s(self) -> float:
        """Estimated work: seconds times slots."""
        return self.cost.seconds * self.slots


class AdmissionController:
    """Limits how many images run and wait, by count and by expected wait."""

    def __init__(self, settings: FacadeSettings) -> None:
        self.uploads = UploadLimiter(settings)
        self._max_in_flight = settings.max_in_flight
        self._max_admitted = settings.max_in_flight + settings.max_queue_length
        self._max_queue_wait_s = settings.max_queue_wait_s
        self._slots = ProcessingSlots(settings.max_in_flight)
        self._queued: set[AdmittedImage] = set()
        self._running: set[AdmittedImage] = set()
        self._wait_estimate = WaitEstimate()
        metrics.ADMISSION_LIMITS.labels("running").set(settings.max_in_flight)
        metrics.ADMISSION_LIMITS.labels("queued").set(settings.max_queue_length)

    def check_capacity(self, images: int = 1) -> None:
        """Reject a request for which the queue has no place. Called before its body is read, and again by `admit`.

        An idle facade accepts a batch that is longer than the queue.

        Raises:
            OverloadedError: If the queue is full or the expected wait is too long.
        """
        admitted = len(self._queued) + len(self._running)
        expected_wait_s = self.expected_wait_s()
        is_full = admitted > 0 and admitted + images > self._max_admitted
        if is_full or expected_wait_s > self._max_queue_wait_s:
            raise OverloadedError(admitted, max(_MIN_RETRY_AFTER_S, math.ceil(expected_wait_s / 2)))

    @contextmanager
    def admit(self, costs: Sequence[Cost]) -> Iterator[list[AdmittedImage]]:
        """Queue all images of a request, whose bodies have arrived, for the duration of the context.

        Raises:
            OverloadedError: If the queue is full or the expected wait is too long.
        """
        self.check_capacity(len(costs))
        images = [AdmittedImage(cost, cost.slots(self._max_in_flight)) for cost in costs]
        self._queued.update(images)
        self._record_in_flight()
        try:
            yield images
        finally:
            self._queued.difference_update(images)
            self._record_in_flight()

    @asynccontextmanager
    async def slot(self, cost: Cost, deadline: Deadline) -> AsyncIterator[AdmittedImage]:
        """Queue one image whose body has arrived, and hold its processing slots for the duration of the context.

        The caller reports the number of plates to the yielded image when it is known.

        Raises:
            OverloadedError: If the queue is full or the expected wait is too long.
            DeadlineExceededError: If the slots are not free before the deadline.
        """
        with self.admit([cost]) as [image]:
            async with self.hold_slots(image, deadline):
                yield image

    @asynccontextmanager
    async def hold_slots(self, image: AdmittedImage, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for the processing slots of an image, and hold them for the duration of the context.

        Raises:
            DeadlineExceededError: If the slots are not free before the deadline.
        """
        try:
            with metrics.WAITING.track_inprogress(), stage("waiting"):
                async with asyncio.timeout(deadline.remaining()):
                    await self._slots.acquire(image.slots)
        except TimeoutError as error:
            raise deadline.error() from error
        self._queued.discard(image)
        self._running.add(image)
        started = time.monotonic()
        try:
            yield
        except DeadlineExceededError:
            self._observe(image, started)
            raise
        else:
            self._observe(image, started)
        finally:
            self._running.discard(image)
            self._slots.release(image.slots)
            self._record_in_flight()

    def expected_wait_s(self) -> float:
        """Return the expected queueing time of a new image."""
        if not self._queued and self._slots.busy < self._max_in_flight:
            return 0.0
        queued_s, running_s = (sum(image.slot_s for image in images) for images in (self._queued, self._running))
        return self._wait_estimate.expected_wait_s(queued_s, running_s, self._max_in_flight, time.monotonic())

    def has_spare_capacity(self) -> bool:
        """Return True if client requests use at most half of the processing slots."""
        return 2 * self._slots.busy <= self._max_in_flight

    def _observe(self, image: AdmittedImage, started: float) -> None:
        now = time.monotonic()
        self._wait_estimate.observe(image.cost.seconds, now - started, now)

    def _record_in_flight(self) -> None:
        metrics.IN_FLIGHT.set(len(self._queued) + len(self._running))
