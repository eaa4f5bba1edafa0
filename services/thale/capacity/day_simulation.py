"""Simulation of a day of traffic through the request path, with the autoscalers of pods and nodes, and its cost.

The simulation is deterministic for a seed. A load with too many requests is divided into equal slices, and one slice is
simulated on the same fraction of the capacity. The wait in a slice is longer than in the whole, so the result is
conservative.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.capacity.arrivals import DAY_S, Arrivals, relative_load, sample_arrivals
from thale.capacity.autoscaler import SYNC_PERIOD_S
from thale.capacity.benchmark import Benchmark
from thale.capacity.cluster_scaling import Delays, Nodes, Pods
from thale.capacity.environment_limits import BaselineUsage, EnvironmentLimits, NodePool, Workload
from thale.capacity.nodes import required_nodes
from thale.capacity.plan import Plan, cpu_seconds_per_workload, service_seconds
from thale.capacity.queueing import REJECTED, TIMED_OUT, RequestPath
from thale.errors import ParameterError

WARMUP_S = 1800.0
WINDOW_S = 900.0
TICK_S = 5.0
_MAX_REQUESTS = 400_000


@dataclass(frozen=True)
class DayWindow:
    """Results of a quarter of an hour."""

    at_s: float
    sent: int
    rejected: int
    timed_out: int
    p50_s: float
    p99_s: float
    facades: float
    segmentation: float
    landmarks: float
    nodes: float
    gpu_nodes: float


@dataclass(frozen=True)
class DaySimulation:
    """Results of a day. Counts and replicas are of the whole load, not of one slice."""

    windows: Sequence[DayWindow]
    sent: int
    rejected_fraction: float
    timed_out_fraction: float
    p99_s: Mapping[str, float]
    """p99 latency of successful requests, by size class."""
    cost: float
    slices: int
    """Number of equal slices of the load, of which one was simulated."""

    @property
    def cost_per_1000(self) -> float:
        """Cost of 1,000 successful requests."""
        completed = self.sent * (1 - self.rejected_fraction - self.timed_out_fraction)
        return self.cost / completed * 1000 if completed else math.nan


def simulate_day(
    plan: Plan,
    benchmark: Benchmark,
    environment_limits: EnvironmentLimits,
    delays: Delays,
    seed: int,
    limits: str = "planned",
) -> DaySimulation:
    """Simulate a day whose busiest hour has the plan's load.

    Args:
        plan: The plan; its demand is the load of the busiest hour.
        benchmark: Cost of an image.
        environment_limits: Limits of the environment.
        delays: Start times of new capacity.
        seed: Seed of the random generator; the same seed gives the same day.
        limits: `configured` uses the environment's maximum numbers of replicas and nodes; `planned` raises them to
            those of the plan.

    Raises:
        ParameterError: If `limits` has another value.
    """
    if limits not in ("planned", "configured"):
        raise ParameterError(f"limits must be planned or configured, not {limits!r}")
    mean_relative_load = float(relative_load(np.arange(0, DAY_S, 60.0)).mean())
    slices = max(1, math.ceil(plan.demand.rps * mean_relative_load * DAY_S / _MAX_REQUESTS))
    environment_limits = _scale_down(
        _raise_limits(environment_limits, plan) if limits == "planned" else environment_limits, slices
    )
    rng = np.random.default_rng(seed)
    arrivals = sample_arrivals(rng, plan.demand.rps / slices, plan.demand.mix, -WARMUP_S)
    simulation = _DaySimulator(plan, benchmark, environment_limits, delays, arrivals)
    simulation.run()
    return simulation.result(slices)


class _DaySimulator:
    """Simulator of one day of one environment."""

    def __init__(
        self, plan: Plan, benchmark: Benchmark, limits: EnvironmentLimits, delays: Delays, arrivals: Arrivals
    ) -> None:
        self._plan, self._limits, self._arrivals = plan, limits, arrivals
        self._facade = Pods(limits.facade, delays.facade_s)
        self._segmentation = Pods(limits.segmentation, delays.predictor_s)
        self._landmarks = Pods(limits.landmarks, delays.predictor_s)
        self._pods = (self._facade, self._segmentation, self._landmarks)
        self._general, self._gpu = self._pools(delays)
        self._path = _build_request_path(plan, benchmark, limits, arrivals)
        self._samples: list[tuple[float, float, float]] = []
        """Images in flight, and the accumulated busy seconds of both predictors, at every tick."""
        self._counts: list[tuple[float, ...]] = []
        """Replicas and nodes at every tick of the day."""

    def run(self) -> None:
        """Simulate from the start of the warm-up to midnight."""
        for tick in range(round((DAY_S + WARMUP_S) / TICK_S)):
            now_s = tick * TICK_S - WARMUP_S
            self._path.run(now_s)
            self._samples.append(
                (self._path.in_flight, self._path.segmentation.busy_server_s, self._path.landmarks.busy_server_s)
            )
            if tick % round(SYNC_PERIOD_S / TICK_S) == 0:
                self._autoscale(now_s)
            for scalable in (*self._pods, self._general, self._gpu):
                scalable.advance(now_s)
            self._path.scale(self._facade.ready, self._segmentation.ready, self._landmarks.ready)
            self._path.slowdown = self._slowdown()
            if now_s >= 0:
                self._counts.append((*(pods.ready for pods in self._pods), self._general.billed, self._gpu.billed))
        self._path.run(DAY_S + self._limits.admission.request_timeout_s)

    def result(self, slices: int) -> DaySimulation:
        """Return the results of the day, scaled up to the whole load."""
        at_s, seconds = self._arrivals.at_s, self._path.seconds
        of_day = (at_s >= 0) & (at_s < DAY_S)
        at_s, seconds, size = at_s[of_day], seconds[of_day], self._arrivals.size_class[of_day]
        counts_TC = np.array(self._counts)
        windows = [_summarize_window(k, at_s, seconds, counts_TC, slices) for k in range(round(DAY_S / WINDOW_S))]
        completed = seconds >= 0
        names = list(self._plan.demand.mix)
        gpu_price = self._plan.gpu.price_per_hour if self._plan.gpu else 0.0
        cost_per_hour = counts_TC[:, 3] * self._plan.general.price_per_hour + counts_TC[:, 4] * gpu_price
        return DaySimulation(
            windows=windows,
            sent=len(seconds) * slices,
            rejected_fraction=float(np.mean(seconds == REJECTED)) if len(seconds) else 0.0,
            timed_out_fraction=float(np.mean(seconds == TIMED_OUT)) if len(seconds) else 0.0,
            p99_s={name: _quantile(seconds[completed & (size == k)], 0.99) for k, name in enumerate(names)},
            cost=float(cost_per_hour.sum() * TICK_S / 3600 * slices),
            slices=slices,
        )

    def _pools(self, delays: Delays) -> tuple[Nodes, Nodes]:
        """Return the general pool and the GPU pool. Without GPUs, no pod requires the second."""
        plan, limits = self._plan, self._limits
        predictors = [self._segmentation, self._landmarks]
        on_general = [self._facade] if plan.gpu else [self._facade, *predictors]

        @functools.cache
        def count_nodes(counts: Sequence[int]) -> int:
            workloads = [pods.workload for pods in on_general]
            return required_nodes(list(zip(workloads, counts, strict=True)), limits.baseline, plan.general)

        general = Nodes(
            limits.general_pool,
            delays.node_s,
            limits.node_idle_timeout_s,
            on_general,
            lambda counts: count_nodes(tuple(counts)),
        )
        gpu = Nodes(limits.gpu_pool, delays.gpu_node_s, limits.node_idle_timeout_s, predictors if plan.gpu else [], sum)
        return general, gpu

    def _autoscale(self, now_s: float) -> None:
        """Run every autoscaler on the last scraped metrics."""
        scrape_lag_ticks, sync_ticks = round(self._limits.scrape_interval_s / TICK_S), round(SYNC_PERIOD_S / TICK_S)
        latest, before = (
            self._samples[max(0, len(self._samples) - 1 - scrape_lag_ticks)],
            self._samples[max(0, len(self._samples) - 1 - scrape_lag_ticks - sync_ticks)],
        )
        busy_servers = [(latest[column] - before[column]) / SYNC_PERIOD_S for column in (1, 2)]
        for pods, total in (
            (self._facade, latest[0]),
            (self._segmentation, busy_servers[0] * self._cores_used(self._segmentation)),
            (self._landmarks, busy_servers[1] * self._cores_used(self._landmarks)),
        ):
            pods.scale_to(pods.autoscaler.decide(now_s, pods.count, total))

    def _cores_used(self, pods: Pods) -> float:
        """Return the CPU usage of a busy replica, in units of its CPU request."""
        demand, workload = self._plan.demand, pods.workload
        cores = 1.0 if demand.gpu_speedup else max(1.0, workload.cpu_limit * demand.efficiency)
        return cores / workload.cpu_request / self._path.slowdown

    def _slowdown(self) -> float:
        """Return the ratio of the cores that busy pods demand to the cores of the nodes, at least 1."""
        if self._plan.gpu:
            return 1.0
        demanded_cores = sum(
            station.busy * pods.workload.cpu_limit
            for pods, station in (
                (self._segmentation, self._path.segmentation),
                (self._landmarks, self._path.landmarks),
            )
        )
        return max(1.0, demanded_cores / (self._general.ready * self._plan.general.cpu))


def _build_request_path(plan: Plan, benchmark: Benchmark, limits: EnvironmentLimits, arrivals: Arrivals) -> RequestPath:
    """Return the queues, with the service time of every request at each station by its size class."""
    demand = plan.demand
    cpu_seconds_by_class = [cpu_seconds_per_workload({size: 1.0}, benchmark) for size in demand.mix]

    def service_times(workload_name: str, workload: Workload) -> NDArray[np.float64]:
        return np.array(
            [service_seconds(cpu_seconds[workload_name], workload, demand) for cpu_seconds in cpu_seconds_by_class]
        )[arrivals.size_class]

    return RequestPath(
        arrivals.at_s,
        service_times("segmentation", limits.segmentation),
        service_times("landmarks", limits.landmarks),
        np.array([cpu_seconds["facade"] for cpu_seconds in cpu_seconds_by_class])[arrivals.size_class],
        limits.admission,
    )


def _raise_limits(limits: EnvironmentLimits, plan: Plan) -> EnvironmentLimits:
    """Return the limits, raised to the replicas and nodes of the plan."""

    def raise_workload(name: str) -> Workload:
        workload: Workload = getattr(limits, name)
        max_replicas = max(workload.hpa.max_replicas, plan.replicas[name].count)
        return workload.model_copy(update={"hpa": workload.hpa.model_copy(update={"max_replicas": max_replicas})})

    def raise_pool(pool: NodePool, nodes: int) -> NodePool:
        return pool.model_copy(update={"max_nodes": max(pool.max_nodes, nodes)})

    return limits.model_copy(
        update={name: raise_workload(name) for name in plan.replicas}
        | {
            "general_pool": raise_pool(limits.general_pool, plan.general_nodes),
            "gpu_pool": raise_pool(limits.gpu_pool, plan.gpu_nodes),
        }
    )


def _scale_down(limits: EnvironmentLimits, slices: int) -> EnvironmentLimits:
    """Return the limits of one slice, with at least one replica or node of each kind that is required."""

    def scale_workload(workload: Workload) -> Workload:
        min_replicas = math.ceil(workload.hpa.min_replicas / slices)
        hpa = workload.hpa.model_copy(
            update={
                "min_replicas": min_replicas,
                "max_replicas": max(min_replicas, round(workload.hpa.max_replicas / slices)),
            }
        )
        return workload.model_copy(update={"hpa": hpa})

    def scale_pool(pool: NodePool) -> NodePool:
        return pool.model_copy(
            update={
                "min_nodes": math.ceil(pool.min_nodes / slices),
                "max_nodes": max(1, math.ceil(pool.max_nodes / slices)),
            }
        )

    baseline = BaselineUsage(cpu=limits.baseline.cpu / slices, memory_mib=limits.baseline.memory_mib / slices)
    return limits.model_copy(
        update={name: scale_workload(getattr(limits, name)) for name in ("facade", "segmentation", "landmarks")}
        | {
            "general_pool": scale_pool(limits.general_pool),
            "gpu_pool": scale_pool(limits.gpu_pool),
            "baseline": baseline,
        }
    )


def _summarize_window(
    number: int, at_s: NDArray[np.float64], seconds: NDArray[np.float64], counts_TC: NDArray[np.float64], slices: int
) -> DayWindow:
    first, last = np.searchsorted(at_s, [number * WINDOW_S, (number + 1) * WINDOW_S])
    in_window = seconds[first:last]
    ticks = round(WINDOW_S / TICK_S)
    facades, segmentation, landmarks, nodes, gpu_nodes = (
        counts_TC[number * ticks : (number + 1) * ticks].mean(0) * slices
    )
    return DayWindow(
        at_s=number * WINDOW_S,
        sent=len(in_window) * slices,
        rejected=int((in_window == REJECTED).sum()) * slices,
        timed_out=int((in_window == TIMED_OUT).sum()) * slices,
        p50_s=_quantile(in_window[in_window >= 0], 0.5),
        p99_s=_quantile(in_window[in_window >= 0], 0.99),
        facades=float(facades),
        segmentation=float(segmentation),
        landmarks=float(landmarks),
        nodes=float(nodes),
        gpu_nodes=float(gpu_nodes),
    )


def _quantile(seconds: NDArray[np.float64], q: float) -> float:
    return float(np.quantile(seconds, q)) if len(seconds) else math.nan
