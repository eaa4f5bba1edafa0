"""Pods and nodes that come and go: what an autoscaler decided is not there yet.

The cluster's autoscaler is taken as documented: a pod without room orders nodes, and a node that nobody has needed for
`scale_down_unneeded` goes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thale.capacity.autoscaler import Autoscaler
from thale.capacity.environment_limits import NodePool, Workload


@dataclass(frozen=True)
class Delays:
    """How long new capacity takes. Assumed, not measured in a cluster; every one can be said."""

    facade_s: float = 15.0
    """From a pod's place on a node to ready: image there, Python started, probe passed."""
    predictor_s: float = 40.0
    """Likewise, with the model fetched from storage, two workers' imports and the graph compiled."""
    node_s: float = 180.0
    """From the order of a node to its being ready, images pulled."""
    gpu_node_s: float = 540.0
    """Likewise with a GPU: driver and device plugin; 8 to 10 minutes."""


@dataclass
class Pods:
    """The pods of one workload: ready, starting, or without a node yet."""

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
        """How many have a node."""
        return self.ready + len(self.starting)

    @property
    def count(self) -> int:
        """How many there are, ready or not: what an autoscaler calls replicas."""
        return self.scheduled + self.unscheduled

    def scale_to(self, count: int) -> None:
        """Add pods without a node, or take the youngest away."""
        self.unscheduled += count - self.count
        while self.unscheduled < 0:
            self.unscheduled += 1
            if self.starting:
                self.starting.pop()
            else:
                self.ready -= 1

    def schedule(self, now_s: float) -> None:
        """Give one pod a node, on which it starts."""
        self.unscheduled -= 1
        self.starting.append(now_s + self.start_delay_s)

    def advance(self, now_s: float) -> None:
        """Call ready what has had its time."""
        due = [at_s for at_s in self.starting if at_s <= now_s]
        self.starting = self.starting[len(due) :]
        self.ready += len(due)


@dataclass
class Nodes:
    """A pool of nodes with the cluster's autoscaler: as many as the pods ask for, fewer once that is long ago."""

    pool: NodePool
    start_delay_s: float
    idle_timeout_s: float
    pods: Sequence[Pods]
    required_nodes: Callable[[Sequence[int]], int]
    """How many nodes so many of the pods ask for."""
    ready: int = field(init=False)
    starting: list[float] = field(default_factory=list)
    _required: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.ready = max(self.pool.min_nodes, self.required_nodes([pods.scheduled for pods in self.pods]))

    @property
    def billed(self) -> int:
        """How many cost money: those that are starting as well."""
        return self.ready + len(self.starting)

    def advance(self, now_s: float) -> None:
        """Bring up what is due, place pods while there is room, order what lacks, let go of what is idle."""
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
