"""Pods and nodes of a simulated cluster, with the delays between a scaling decision and ready capacity.

The cluster autoscaler works as documented: it adds a node for an unschedulable pod, and removes a node that was not
required for `scale_down_unneeded`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thale.capacity.autoscaler import Autoscaler
from thale.capacity.environment_limits import NodePool, Workload


@dataclass(frozen=True)
class Delays:
    """Start times of new capacity. The defaults are assumptions, not measured in a cluster."""

    facade_s: float = 15.0
    """Time from the scheduling of a facade pod to ready: start of Python and readiness probe; the image is present."""
    predictor_s: float = 40.0
    """The same for a predictor: download of the model, imports of two workers, and compilation of the graph."""
    node_s: float = 180.0
    """Time from the request for a node to ready, with the images pulled."""
    gpu_node_s: float = 540.0
    """The same for a GPU node, with driver and device plugin: 8 to 10 minutes."""


@dataclass
class Pods:
    """The pods of one workload: ready, starting, or unscheduled."""

    workload: Workload
    start_delay_s: float
    autoscaler: Autoscaler = field(init=False)
    ready: int = field(init=False)
    starting: list[float] = field(default_factory=list)
    unscheduled: int = 0

    def __post_init__(self) -> None:
        self.autoscaler = Autoscaler(self.workload.hpa)
        self.ready = self.workload.hpa.min_replicas

    @property
    def scheduled(self) -> int:
        """Number of pods with a node."""
        return self.ready + len(self.starting)

    @property
    def count(self) -> int:
        """Number of pods, ready or not: the replicas of the autoscaler."""
        return self.scheduled + self.unscheduled

    def scale_to(self, count: int) -> None:
        """Add unscheduled pods, or remove the newest ones."""
        self.unscheduled += count - self.count
        while self.unscheduled < 0:
            self.unscheduled += 1
            if self.starting:
                self.starting.pop()
            else:
                self.ready -= 1

    def schedule(self, now_s: float) -> None:
        """Assign a node to one pod, which then starts."""
        self.unscheduled -= 1
        self.starting.append(now_s + self.start_delay_s)

    def advance(self, now_s: float) -> None:
        """Mark the pods whose start delay has passed as ready."""
        due = [at_s for at_s in self.starting if at_s <= now_s]
        self.starting = self.starting[len(due) :]
        self.ready += len(due)


@dataclass
class Nodes:
    """A node pool with the cluster autoscaler: it adds nodes at once, and removes them after the idle timeout."""

    pool: NodePool
    start_delay_s: float
    idle_timeout_s: float
    pods: Sequence[Pods]
    required_nodes: Callable[[Sequence[int]], int]
    """Number of nodes for given numbers of the pods."""
    ready: int = field(init=False)
    starting: list[float] = field(default_factory=list)
    _required: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.ready = max(self.pool.min_nodes, self.required_nodes([pods.scheduled for pods in self.pods]))

    @property
    def billed(self) -> int:
        """Number of nodes that are billed, including starting ones."""
        return self.ready + len(self.starting)

    def advance(self, now_s: float) -> None:
        """Update the ready nodes, schedule pods on free capacity, request missing nodes, and remove idle ones."""
        due = [at_s for at_s in self.starting if at_s <= now_s]
        self.starting = self.starting[len(due) :]
        self.ready += len(due)
        for pods in self.pods:
            while pods.unscheduled and self._fits(pods):
                pods.schedule(now_s)
        required = self.required_nodes([pods.count for pods in self.pods])
        required = min(max(required, self.pool.min_nodes), self.pool.max_nodes)
        self.starting += [now_s + self.start_delay_s] * max(0, required - self.billed)
        self._required.append((now_s, required))
        while self._required[0][0] <= now_s - self.idle_timeout_s:
            self._required.popleft()
        self.ready = min(self.ready, max(count for _, count in self._required))

    def _fits(self, candidate: Pods) -> bool:
        return self.required_nodes([pods.scheduled + (pods is candidate) for pods in self.pods]) <= self.ready
