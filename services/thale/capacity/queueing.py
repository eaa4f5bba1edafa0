"""Queueing model of the request path: admission, both predictors in parallel, post-processing.

All facades share one queue, and so do all replicas of a predictor. A gateway with least-request load balancing comes
close to that. Stations serve in order of arrival (FIFO). A request leaves the system after its post-processing.
"""

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.capacity.environment_limits import AdmissionLimits
from thale.capacity.wait_estimate import WaitEstimate

REJECTED, TIMED_OUT = -1.0, -2.0
"""Markers instead of seconds: rejected by admission control (503), or no response before the deadline (504)."""
_SEGMENTATION, _LANDMARKS, _POSTPROCESS = range(3)


@dataclass
class Station:
    """A queue with servers that each process one request at a time."""

    seconds: list[float]
    """Service time of each request."""
    servers: int
    busy: int = 0
    busy_server_s: float = 0.0
    """Integral of `busy` over time, server seconds."""

    def __post_init__(self) -> None:
        self.queue: deque[int] = deque()


class RequestPath:
    """Discrete-event simulation of the request path (ADR 0069). `run` advances the time, `scale` sets the replicas."""

    def __init__(
        self,
        arrivals_s: NDArray[np.float64],
        segmentation_s: NDArray[np.float64],
        landmarks_s: NDArray[np.float64],
        postprocess_s: NDArray[np.float64],
        limits: AdmissionLimits,
    ) -> None:
        self._arrivals_s = arrivals_s.tolist()
        self._limits = limits
        self.seconds = np.full(len(self._arrivals_s), np.nan)
        """Latency of each request, `REJECTED`, or `TIMED_OUT`. NaN before the arrival and while in flight."""
        self.segmentation = Station(segmentation_s.tolist(), 0)
        self.landmarks = Station(landmarks_s.tolist(), 0)
        self._postprocess = Station(postprocess_s.tolist(), 0)
        self._stations = (self.segmentation, self.landmarks, self._postprocess)
        self._queue: deque[int] = deque()
        self._running = 0
        self._started_at_s: dict[int, float] = {}
        self._wait_estimate = WaitEstimate()
        self._cost_s: list[float] = (np.maximum(segmentation_s, landmarks_s) + postprocess_s).tolist()
        """Estimated cost of each request: its time on idle stations."""
        self._queued_cost_s = self._running_cost_s = 0.0
        self._pending_models: dict[int, int] = {}
        self._events: list[tuple[float, int, int]] = []
        self._next = 0
        self._now_s = self._arrivals_s[0] if self._arrivals_s else 0.0
        self._max_in_flight = self._max_admitted = 0
        self.slowdown = 1.0
        """Factor of the service times that start now. Above 1 if the nodes have fewer cores than the pods demand."""

    @property
    def in_flight(self) -> int:
        """Number of accepted requests without a response, running or queued."""
        return self._running + len(self._queue)

    def scale(self, facades: int, segmentation: int, landmarks: int) -> None:
        """Set the numbers of ready replicas. A removed replica finishes its current request and gets no new one."""
        self._max_in_flight = facades * self._limits.max_in_flight
        self._max_admitted = facades * (self._limits.max_in_flight + self._limits.max_queue_length)
        self._postprocess.servers = facades * self._limits.postprocess_workers
        self.segmentation.servers, self.landmarks.servers = segmentation, landmarks
        self._start_queued()
        for kind, station in enumerate(self._stations):
            self._serve(kind, station)

    def run(self, until_s: float) -> None:
        """Advance the time, and process all events before `until_s`."""
        while True:
            next_arrival_s = self._arrivals_s[self._next] if self._next < len(self._arrivals_s) else np.inf
            next_event_s = self._events[0][0] if self._events else np.inf
            if min(next_arrival_s, next_event_s) >= until_s:
                break
            if next_arrival_s <= next_event_s:
                self._advance_clock(next_arrival_s)
                self._admit(self._next)
                self._next += 1
            else:
                at_s, kind, request = heapq.heappop(self._events)
                self._advance_clock(at_s)
                self._finish_service(kind, request)
        self._advance_clock(until_s)

    def _advance_clock(self, at_s: float) -> None:
        elapsed_s = at_s - self._now_s
        self.segmentation.busy_server_s += self.segmentation.busy * elapsed_s
        self.landmarks.busy_server_s += self.landmarks.busy * elapsed_s
        self._now_s = at_s

    def _admit(self, request: int) -> None:
        self._expire_queue()
        if self.in_flight >= self._max_admitted or self._expected_wait_s() > self._limits.max_queue_wait_s:
            self.seconds[request] = REJECTED
        else:
            self._queue.append(request)
            self._queued_cost_s += self._cost_s[request]
            self._start_queued()

    def _expected_wait_s(self) -> float:
        if self._running < self._max_in_flight:
            return 0.0
        return self._wait_estimate.expected_wait_s(
            self._queued_cost_s, self._running_cost_s, self._max_in_flight, self._now_s
        )

    def _take_queued(self) -> int:
        """Remove the oldest request from the queue."""
        request = self._queue.popleft()
        self._queued_cost_s -= self._cost_s[request]
        return request

    def _expire_queue(self) -> None:
        """Remove queued requests whose deadline has passed. The queue is in order of arrival."""
        oldest_arrival_s = self._now_s - self._limits.request_timeout_s
        while self._queue and self._arrivals_s[self._queue[0]] <= oldest_arrival_s:
            self.seconds[self._take_queued()] = TIMED_OUT

    def _start_queued(self) -> None:
        self._expire_queue()
        while self._queue and self._running < self._max_in_flight:
            request = self._take_queued()
            self._running += 1
            self._running_cost_s += self._cost_s[request]
            self._started_at_s[request] = self._now_s
            self._pending_models[request] = 2
            for kind in (_SEGMENTATION, _LANDMARKS):
                self._stations[kind].queue.append(request)
                self._serve(kind, self._stations[kind])

    def _serve(self, kind: int, station: Station) -> None:
        while station.queue and station.busy < station.servers:
            request = station.queue.popleft()
            station.busy += 1
            heapq.heappush(self._events, (self._now_s + station.seconds[request] * self.slowdown, kind, request))

    def _finish_service(self, kind: int, request: int) -> None:
        station = self._stations[kind]
        station.busy -= 1
        self._serve(kind, station)
        if kind == _POSTPROCESS:
            self._complete(request)
            return
        self._pending_models[request] -= 1
        if self._pending_models[request] == 0:
            del self._pending_models[request]
            self._postprocess.queue.append(request)
            self._serve(_POSTPROCESS, self._postprocess)

    def _complete(self, request: int) -> None:
        elapsed_s = self._now_s - self._arrivals_s[request]
        self.seconds[request] = elapsed_s if elapsed_s <= self._limits.request_timeout_s else TIMED_OUT
        cost_s = self._cost_s[request]
        self._wait_estimate.observe(cost_s, self._now_s - self._started_at_s.pop(request), self._now_s)
        self._running -= 1
        self._running_cost_s -= cost_s
        self._start_queued()
