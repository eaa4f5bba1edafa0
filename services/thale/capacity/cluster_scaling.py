"""Pods and nodes that come and go: what an autoscaler decided is not there yet.

The cluster's autoscaler is taken as documented: a pod without room orders nodes, and a node that nobody has needed for
`scale_down_unneeded` goes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thale.capacity.autoscaler import Autoscaler
from thale.capacity.environment_limits import Pool, Workload


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
    starts_s: float
    scaler: Autoscaler = field(init=False)
    ready: int = field(init=False)
    starting: list[float] = field(default_factory=list)
    unplaced: int = 0

    def __post_init__(self) -> None:
        self.scaler = Autoscaler(self.workload.scaler)
        self.ready = self.workload.scaler.least

    @property
    def placed(self) -> int:
        """How many have a node."""
        return self.ready + len(self.starting)

    @property
    def count(self) -> int:
        """How many there are, ready or not: what an autoscaler calls replicas."""
        return self.placed + self.unplaced

    def become(self, count: int) -> None:
        """Add pods without a node, or take the youngest away."""
        self.unplaced += count - self.count
        while self.unplaced < 0:
            self.unplaced += 1
            if self.starting:
                self.starting.pop()
            else:
                self.ready -= 1

    def place(self, now_s: float) -> None:
        """Give one pod a node, on which it starts."""
        self.unplaced -= 1
        self.starting.append(now_s + self.starts_s)

    def go_on(self, now_s: float) -> None:
        """Call ready what has had its time."""
        due = [at_s for at_s in self.starting if at_s <= now_s]
        self.starting = self.starting[len(due) :]
        self.ready += len(due)


@dataclass
class Nodes:
    """A pool of nodes with the cluster's autoscaler: as many as the pods ask for, fewer once that is long ago."""

    pool: Pool
    starts_s: float
    idle_s: float
    pods: Sequence[Pods]
    asked: Callable[[Sequence[int]], int]
    """How many nodes so many of the pods ask for."""
    ready: int = field(init=False)
    starting: list[float] = field(default_factory=list)
    _needed: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.ready = max(self.pool.least, self.asked([pods.placed for pods in self.pods]))

    @property
    def paid(self) -> int:
        """How many cost money: those that are starting as well."""
        return self.ready + len(self.starting)

    def go_on(self, now_s: float) -> None:
        """Bring up what is due, place pods while there is room, order what lacks, let go of what is idle."""
        due = [at_s for at_s in self.starting if at_s <= now_s]
        self.starting = self.starting[len(due) :]
        self.ready += len(due)
        for pods in self.pods:
            while pods.unplaced and self._has_room_for(pods):
                pods.place(now_s)
        needed = self.asked([pods.count for pods in self.pods])
        needed = min(max(needed, self.pool.least), self.pool.most)
        self.starting += [now_s + self.starts_s] * max(0, needed - self.paid)
        self._needed.append((now_s, needed))
        while self._needed[0][0] <= now_s - self.idle_s:
            self._needed.popleft()
        self.ready = min(self.ready, max(wanted for _, wanted in self._needed))

    def _has_room_for(self, new: Pods) -> bool:
        return self.asked([pods.placed + (pods is new) for pods in self.pods]) <= self.ready
