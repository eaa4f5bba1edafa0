"""A day of traffic through the request path, with the autoscalers of pods and nodes, and what it costs.

Seeded and deterministic. A load of more requests than a computer plays in seconds is played as a slice: a whole part
of the load on the same part of the fleet. A slice of a fleet waits longer than the whole: that is the safe side.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.capacity.arrivals import DAY_S, Arrivals, draw_arrivals, part_of_peak
from thale.capacity.autoscaler import SYNC_S
from thale.capacity.benchmark import Measured
from thale.capacity.cluster_scaling import Delays, Nodes, Pods
from thale.capacity.environment_limits import Fleet, Pool, Standing, Workload
from thale.capacity.nodes import nodes_for
from thale.capacity.plan import Plan, service_seconds, work_of
from thale.capacity.queueing import LATE, REFUSED, RequestPath
from thale.errors import ParameterError

WARM_UP_S = 1800.0
WINDOW_S = 900.0
TICK_S = 5.0
_MOST_REQUESTS = 400_000


@dataclass(frozen=True)
class Window:
    """A quarter of an hour."""

    at_s: float
    sent: int
    refused: int
    late: int
    p50_s: float
    p99_s: float
    facades: float
    segmentation: float
    landmarks: float
    nodes: float
    gpu_nodes: float


@dataclass(frozen=True)
class Day:
    """What a day brought; counts and replicas of the whole fleet, whatever part of it was played."""

    windows: Sequence[Window]
    sent: int
    refused_share: float
    late_share: float
    p99_s: Mapping[str, float]
    """By class of image size, of what was answered."""
    cost: float
    slice: int
    """One in so many requests was played."""

    @property
    def cost_1000(self) -> float:
        """Price of 1,000 answers."""
        answered = self.sent * (1 - self.refused_share - self.late_share)
        return self.cost / answered * 1000 if answered else math.nan


def play(made: Plan, measured: Measured, fleet: Fleet, delays: Delays, seed: int, limits: str = "planned") -> Day:
    """Play a day whose busiest hour has the plan's load.

    Args:
        made: The plan; its demand is the busiest hour's.
        measured: What a picture costs.
        fleet: What the environment may run.
        delays: How long new capacity takes.
        seed: Of chance; the same seed gives the same day.
        limits: `configured` leaves the greatest numbers of replicas and nodes as they are; `planned` raises them to
            what the plan takes.

    Raises:
        ParameterError: If the limits are neither.
    """
    if limits not in ("planned", "configured"):
        raise ParameterError(f"limits are planned or configured, not {limits!r}")
    mean = float(part_of_peak(np.arange(0, DAY_S, 60.0)).mean())
    slices = max(1, math.ceil(made.demand.rps * mean * DAY_S / _MOST_REQUESTS))
    fleet = _part(_raised(fleet, made) if limits == "planned" else fleet, slices)
    rng = np.random.default_rng(seed)
    arrivals = draw_arrivals(rng, made.demand.rps / slices, made.demand.mix, -WARM_UP_S)
    simulation = _Simulation(made, measured, fleet, delays, arrivals)
    simulation.run()
    return simulation.day(slices)


class _Simulation:
    """One day of one fleet."""

    def __init__(self, made: Plan, measured: Measured, fleet: Fleet, delays: Delays, arrivals: Arrivals) -> None:
        self._made, self._fleet, self._arrivals = made, fleet, arrivals
        self._facade = Pods(fleet.facade, delays.facade_s)
        self._segmentation = Pods(fleet.segmentation, delays.predictor_s)
        self._landmarks = Pods(fleet.landmarks, delays.predictor_s)
        self._pods = (self._facade, self._segmentation, self._landmarks)
        self._general, self._gpu = self._pools(delays)
        self._path = _path(made, measured, fleet, arrivals)
        self._seen: list[tuple[float, float, float]] = []
        """At every tick: images in flight, and server seconds of both predictors until then."""
        self._counts: list[tuple[float, ...]] = []
        """At every tick of the day: replicas and nodes."""

    def run(self) -> None:
        """Play from the warm-up's begin to midnight."""
        for tick in range(round((DAY_S + WARM_UP_S) / TICK_S)):
            now_s = tick * TICK_S - WARM_UP_S
            self._path.run(now_s)
            self._seen.append((self._path.in_flight, self._path.segmentation.area, self._path.landmarks.area))
            if tick % round(SYNC_S / TICK_S) == 0:
                self._decide(now_s)
            for moving in (*self._pods, self._general, self._gpu):
                moving.go_on(now_s)
            self._path.scale(self._facade.ready, self._segmentation.ready, self._landmarks.ready)
            self._path.slowness = self._slowness()
            if now_s >= 0:
                self._counts.append((*(pods.ready for pods in self._pods), self._general.paid, self._gpu.paid))
        self._path.run(DAY_S + self._fleet.places.deadline_s)

    def day(self, slices: int) -> Day:
        """Return what the day brought, scaled up to the whole fleet."""
        at_s, seconds = self._arrivals.at_s, self._path.seconds
        of_day = (at_s >= 0) & (at_s < DAY_S)
        at_s, seconds, size = at_s[of_day], seconds[of_day], self._arrivals.size[of_day]
        counts_TC = np.array(self._counts)
        windows = [_window(k, at_s, seconds, counts_TC, slices) for k in range(round(DAY_S / WINDOW_S))]
        answered = seconds >= 0
        names = list(self._made.demand.mix)
        gpu_price = self._made.gpu.price_hour if self._made.gpu else 0.0
        paid = counts_TC[:, 3] * self._made.general.price_hour + counts_TC[:, 4] * gpu_price
        return Day(
            windows=windows,
            sent=len(seconds) * slices,
            refused_share=float(np.mean(seconds == REFUSED)) if len(seconds) else 0.0,
            late_share=float(np.mean(seconds == LATE)) if len(seconds) else 0.0,
            p99_s={name: _quantile(seconds[answered & (size == k)], 0.99) for k, name in enumerate(names)},
            cost=float(paid.sum() * TICK_S / 3600 * slices),
            slice=slices,
        )

    def _pools(self, delays: Delays) -> tuple[Nodes, Nodes]:
        """Return the general pool and the GPU pool; without GPUs nobody asks for the second."""
        made, fleet = self._made, self._fleet
        predictors = [self._segmentation, self._landmarks]
        on_general = [self._facade] if made.gpu else [self._facade, *predictors]

        @functools.cache
        def nodes(counts: Sequence[int]) -> int:
            workloads = [pods.workload for pods in on_general]
            return nodes_for(list(zip(workloads, counts, strict=True)), fleet.standing, made.general)

        general = Nodes(
            fleet.general_pool, delays.node_s, fleet.node_idle_s, on_general, lambda counts: nodes(tuple(counts))
        )
        gpu = Nodes(fleet.gpu_pool, delays.gpu_node_s, fleet.node_idle_s, predictors if made.gpu else [], sum)
        return general, gpu

    def _decide(self, now_s: float) -> None:
        """Let every autoscaler look at what was scraped last."""
        age, period = round(self._fleet.scrape_s / TICK_S), round(SYNC_S / TICK_S)
        now, before = (
            self._seen[max(0, len(self._seen) - 1 - age)],
            self._seen[max(0, len(self._seen) - 1 - age - period)],
        )
        used = [(now[part] - before[part]) / SYNC_S for part in (1, 2)]
        for pods, total in (
            (self._facade, now[0]),
            (self._segmentation, used[0] * self._cores_used(self._segmentation)),
            (self._landmarks, used[1] * self._cores_used(self._landmarks)),
        ):
            pods.become(pods.scaler.decide(now_s, pods.count, total))

    def _cores_used(self, pods: Pods) -> float:
        """Return the processor that a busy replica uses, in units of its request."""
        demand, workload = self._made.demand, pods.workload
        cores = 1.0 if demand.gpu_times else max(1.0, workload.cpu_limit * demand.efficiency)
        return cores / workload.cpu_request / self._path.slowness

    def _slowness(self) -> float:
        """Return by how much the busy pods together want more cores than the nodes have."""
        if self._made.gpu:
            return 1.0
        wanted = sum(
            station.busy * pods.workload.cpu_limit
            for pods, station in (
                (self._segmentation, self._path.segmentation),
                (self._landmarks, self._path.landmarks),
            )
        )
        return max(1.0, wanted / (self._general.ready * self._made.general.cpu))


def _path(made: Plan, measured: Measured, fleet: Fleet, arrivals: Arrivals) -> RequestPath:
    """Return the queues with every request's time at each station, by its class."""
    demand = made.demand
    works = [work_of({size: 1.0}, measured) for size in demand.mix]

    def seconds(part: str, workload: Workload) -> NDArray[np.float64]:
        return np.array([service_seconds(work[part], workload, demand) for work in works])[arrivals.size]

    return RequestPath(
        arrivals.at_s,
        seconds("segmentation", fleet.segmentation),
        seconds("landmarks", fleet.landmarks),
        np.array([work["facade"] for work in works])[arrivals.size],
        fleet.places,
    )


def _raised(fleet: Fleet, made: Plan) -> Fleet:
    """Return the fleet with room for what the plan takes."""

    def grown(name: str) -> Workload:
        workload: Workload = getattr(fleet, name)
        most = max(workload.scaler.most, made.parts[name].count)
        return workload.model_copy(update={"scaler": workload.scaler.model_copy(update={"most": most})})

    def wider(pool: Pool, nodes: int) -> Pool:
        return pool.model_copy(update={"most": max(pool.most, nodes)})

    return fleet.model_copy(
        update={name: grown(name) for name in made.parts}
        | {
            "general_pool": wider(fleet.general_pool, made.general_nodes),
            "gpu_pool": wider(fleet.gpu_pool, made.gpu_nodes),
        }
    )


def _part(fleet: Fleet, slices: int) -> Fleet:
    """Return one in so many of everything, at least one of what there must be."""

    def shrunk(workload: Workload) -> Workload:
        least = math.ceil(workload.scaler.least / slices)
        scaler = workload.scaler.model_copy(
            update={"least": least, "most": max(least, round(workload.scaler.most / slices))}
        )
        return workload.model_copy(update={"scaler": scaler})

    def fewer(pool: Pool) -> Pool:
        return pool.model_copy(
            update={"least": math.ceil(pool.least / slices), "most": max(1, math.ceil(pool.most / slices))}
        )

    standing = Standing(cpu=fleet.standing.cpu / slices, memory_mib=fleet.standing.memory_mib / slices)
    return fleet.model_copy(
        update={name: shrunk(getattr(fleet, name)) for name in ("facade", "segmentation", "landmarks")}
        | {"general_pool": fewer(fleet.general_pool), "gpu_pool": fewer(fleet.gpu_pool), "standing": standing}
    )


def _window(
    number: int, at_s: NDArray[np.float64], seconds: NDArray[np.float64], counts_TC: NDArray[np.float64], slices: int
) -> Window:
    first, last = np.searchsorted(at_s, [number * WINDOW_S, (number + 1) * WINDOW_S])
    here = seconds[first:last]
    ticks = round(WINDOW_S / TICK_S)
    facades, segmentation, landmarks, nodes, gpu_nodes = (
        counts_TC[number * ticks : (number + 1) * ticks].mean(0) * slices
    )
    return Window(
        at_s=number * WINDOW_S,
        sent=len(here) * slices,
        refused=int((here == REFUSED).sum()) * slices,
        late=int((here == LATE).sum()) * slices,
        p50_s=_quantile(here[here >= 0], 0.5),
        p99_s=_quantile(here[here >= 0], 0.99),
        facades=float(facades),
        segmentation=float(segmentation),
        landmarks=float(landmarks),
        nodes=float(nodes),
        gpu_nodes=float(gpu_nodes),
    )


def _quantile(seconds: NDArray[np.float64], share: float) -> float:
    return float(np.quantile(seconds, share)) if len(seconds) else math.nan
