"""A HorizontalPodAutoscaler as Kubernetes computes it, with the behaviour that the manifests say.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (algorithm details, configurable scaling
behaviour); KEDA makes one of these out of a ScaledObject, and hands it the query's value.
"""

import math
from collections.abc import Iterable

from thale.capacity.environment_limits import Rule, Scaler

SYNC_S = 15.0
"""How often it looks (--horizontal-pod-autoscaler-sync-period)."""
TOLERANCE = 0.1
"""Deviations from the target up to this share are left alone (--horizontal-pod-autoscaler-tolerance)."""


class Autoscaler:
    """Decides for one workload; remembers what it wanted and what it changed."""

    def __init__(self, scaler: Scaler) -> None:
        self._scaler = scaler
        self._longest_period_s = max(rule.period_s for rule in (*scaler.up.rules, *scaler.down.rules))
        self._wishes: list[tuple[float, int]] = []
        self._changes: list[tuple[float, int]] = []

    def decide(self, now_s: float, replicas: int, total: float) -> int:
        """Return how many replicas there shall be.

        Args:
            now_s: Seconds, never less than at the call before.
            replicas: How many there are, started or not.
            total: The metric over all replicas: images in flight, or processor time used in units of one's request.
        """
        wish = min(max(self._wish(replicas, total), self._scaler.least), self._scaler.most)
        decided = self._within_rules(now_s, replicas, self._stabilized(now_s, replicas, wish))
        self._changes = [change for change in self._changes if change[0] > now_s - self._longest_period_s]
        if decided != replicas:
            self._changes.append((now_s, decided - replicas))
        return decided

    def _wish(self, replicas: int, total: float) -> int:
        ratio = total / (self._scaler.target * replicas) if replicas else math.inf
        return replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(total / self._scaler.target)

    def _stabilized(self, now_s: float, replicas: int, wish: int) -> int:
        """Go up no further than the least wish of one window, and down no further than the greatest of the other."""
        self._wishes.append((now_s, wish))
        longest_s = max(self._scaler.up.stabilization_s, self._scaler.down.stabilization_s)
        self._wishes = [(at_s, wanted) for at_s, wanted in self._wishes if at_s > now_s - longest_s or at_s == now_s]
        up = min(self._wished_since(now_s - self._scaler.up.stabilization_s), default=wish)
        down = max(self._wished_since(now_s - self._scaler.down.stabilization_s), default=wish)
        return min(max(replicas, min(up, wish)), max(down, wish))

    def _wished_since(self, since_s: float) -> list[int]:
        return [wanted for at_s, wanted in self._wishes if at_s > since_s]

    def _within_rules(self, now_s: float, replicas: int, wish: int) -> int:
        if wish > replicas:
            most = max(self._most_after(rule, now_s, replicas) for rule in self._scaler.up.rules)
            return min(wish, max(most, replicas))
        if wish < replicas:
            least = min(self._least_after(rule, now_s, replicas) for rule in self._scaler.down.rules)
            return max(wish, min(least, replicas))
        return replicas

    def _most_after(self, rule: Rule, now_s: float, replicas: int) -> int:
        began_with = replicas - sum(change for change in self._changed(now_s - rule.period_s) if change > 0)
        return math.ceil(began_with + (rule.value if rule.type == "Pods" else began_with * rule.value / 100))

    def _least_after(self, rule: Rule, now_s: float, replicas: int) -> int:
        began_with = replicas - sum(change for change in self._changed(now_s - rule.period_s) if change < 0)
        return math.floor(began_with - (rule.value if rule.type == "Pods" else began_with * rule.value / 100))

    def _changed(self, since_s: float) -> Iterable[int]:
        return (change for at_s, change in self._changes if at_s > since_s)
