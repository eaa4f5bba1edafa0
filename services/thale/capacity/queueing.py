"""The request path as queues, request by request: places in the facade, both predictors at once, measuring.

One queue for all facades, and one for all replicas of a predictor: what a gateway that sends each request where fewest
are in flight comes close to. Stations serve in the order of arrival; a request leaves when its plants are measured.
"""

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.capacity.environment_limits import Places

REFUSED, LATE = -1.0, -2.0
"""In the place of seconds: no place was free (503), or no answer before the deadline (504)."""
_NEWEST = 0.2
_SEGMENTED, _MARKED, _MEASURED = range(3)


@dataclass
class Station:
    """Servers that each serve one request at a time."""

    seconds: list[float]
    """Of each request."""
    servers: int
    busy: int = 0
    area: float = 0.0
    """Integral of `busy` over time, server seconds."""

    def __post_init__(self) -> None:
        self.queue: deque[int] = deque()


class RequestPath:
    """Everything between the gateway and the answer. Time goes on by `run`; whoever scales tells it by `scale`."""

    def __init__(
        self,
        arrives_s: NDArray[np.float64],
        segmentation_s: NDArray[np.float64],
        landmarks_s: NDArray[np.float64],
        measuring_s: NDArray[np.float64],
        places: Places,
    ) -> None:
        self._arrives = arrives_s.tolist()
        self._places = places
        self.seconds = np.full(len(self._arrives), np.nan)
        """From arrival to answer; `REFUSED`, `LATE`, or NaN where the request has not come or is still under way."""
        self.segmentation = Station(segmentation_s.tolist(), 0)
        self.landmarks = Station(landmarks_s.tolist(), 0)
        self._measuring = Station(measuring_s.tolist(), 0)
        self._stations = (self.segmentation, self.landmarks, self._measuring)
        self._waiting: deque[int] = deque()
        self._at_work = 0
        self._began: dict[int, float] = {}
        self._work_s = 0.0
        """Smoothed time that a request holds its place at work, as in `thale.facade.admission`."""
        self._halves: dict[int, int] = {}
        self._events: list[tuple[float, int, int]] = []
        self._next = 0
        self._now = self._arrives[0] if self._arrives else 0.0
        self._working = self._room = 0
        self.slowness = 1.0
        """By how much services that begin now take longer, because the nodes' cores are fewer than the pods' limits."""

    @property
    def in_flight(self) -> int:
        """Requests that are in, at work or waiting."""
        return self._at_work + len(self._waiting)

    def scale(self, facades: int, segmentation: int, landmarks: int) -> None:
        """Set how many replicas are ready. Who works finishes; nobody is sent to a replica that goes."""
        self._working = facades * self._places.working
        self._room = facades * (self._places.working + self._places.waiting)
        self._measuring.servers = facades * self._places.measuring
        self.segmentation.servers, self.landmarks.servers = segmentation, landmarks
        self._let_in()
        for kind, station in enumerate(self._stations):
            self._serve(kind, station)

    def run(self, until_s: float) -> None:
        """Let time go on."""
        while True:
            arrives = self._arrives[self._next] if self._next < len(self._arrives) else np.inf
            ends = self._events[0][0] if self._events else np.inf
            if min(arrives, ends) >= until_s:
                break
            if arrives <= ends:
                self._pass(arrives)
                self._admit(self._next)
                self._next += 1
            else:
                at_s, kind, request = heapq.heappop(self._events)
                self._pass(at_s)
                self._finish(kind, request)
        self._pass(until_s)

    def _pass(self, at_s: float) -> None:
        passed = at_s - self._now
        self.segmentation.area += self.segmentation.busy * passed
        self.landmarks.area += self.landmarks.busy * passed
        self._now = at_s

    def _admit(self, request: int) -> None:
        self._give_up()
        if self.in_flight >= self._room or self._expected_wait_s() > self._places.wait_s:
            self.seconds[request] = REFUSED
        else:
            self._waiting.append(request)
            self._let_in()

    def _expected_wait_s(self) -> float:
        return max(0, self.in_flight + 1 - self._working) * self._work_s / max(1, self._working)

    def _give_up(self) -> None:
        """Tell those who have waited until their deadline; they stand in the order of arrival."""
        latest = self._now - self._places.deadline_s
        while self._waiting and self._arrives[self._waiting[0]] <= latest:
            self.seconds[self._waiting.popleft()] = LATE

    def _let_in(self) -> None:
        self._give_up()
        while self._waiting and self._at_work < self._working:
            request = self._waiting.popleft()
            self._at_work += 1
            self._began[request] = self._now
            self._halves[request] = 2
            for kind in (_SEGMENTED, _MARKED):
                self._stations[kind].queue.append(request)
                self._serve(kind, self._stations[kind])

    def _serve(self, kind: int, station: Station) -> None:
        while station.queue and station.busy < station.servers:
            request = station.queue.popleft()
            station.busy += 1
            heapq.heappush(self._events, (self._now + station.seconds[request] * self.slowness, kind, request))

    def _finish(self, kind: int, request: int) -> None:
        station = self._stations[kind]
        station.busy -= 1
        self._serve(kind, station)
        if kind == _MEASURED:
            self._answer(request)
            return
        self._halves[request] -= 1
        if self._halves[request] == 0:
            del self._halves[request]
            self._measuring.queue.append(request)
            self._serve(_MEASURED, self._measuring)

    def _answer(self, request: int) -> None:
        spent = self._now - self._arrives[request]
        self.seconds[request] = spent if spent <= self._places.deadline_s else LATE
        held_s = self._now - self._began.pop(request)
        self._work_s += (held_s - self._work_s) * (_NEWEST if self._work_s else 1.0)
        self._at_work -= 1
        self._let_in()
