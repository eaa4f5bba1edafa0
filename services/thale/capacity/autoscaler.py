"""HorizontalPodAutoscaler by Kubernetes' algorithm, with the scaling behaviour of the manifests.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (algorithm details, configurable scaling
behaviour). KEDA creates one for each ScaledObject, with the query's value as its metric.
"""

import math
from collections.abc import Iterable

from thale.capacity.environment_limits import HpaSpec, ScalingPolicy

SYNC_PERIOD_S = 15.0
"""Interval between two decisions (--horizontal-pod-autoscaler-sync-period)."""
TOLERANCE = 0.1
"""Relative deviation from the target that causes no change (--horizontal-pod-autoscaler-tolerance)."""


class Autoscaler:
    """Autoscaler of one workload, with its recent recommendations and scale events."""

    def __init__(self, spec: HpaSpec) -> None:
        self._spec = spec
        self._max_period_s = max(policy.period_s for policy in (*spec.scale_up.policies, *spec.scale_down.policies))
        self._recommendations: list[tuple[float, int]] = []
        self._scale_events: list[tuple[float, int]] = []

    def decide(self, now_s: float, replicas: int, total: float) -> int:
        """Return the desired number of replicas.

        Args:
            now_s: Current time in seconds; must not decrease between calls.
            replicas: Current number of replicas, ready or not.
            total: Sum of the metric over all replicas: images in flight, or CPU usage in units of the CPU request.
        """
        recommendation = min(max(self._recommend(replicas, total), self._spec.min_replicas), self._spec.max_replicas)
        desired_replicas = self._apply_policies(now_s, replicas, self._stabilize(now_s, replicas, recommendation))
        self._scale_events = [change for change in self._scale_events if change[0] > now_s - self._max_period_s]
        if desired_replicas != replicas:
            self._scale_events.append((now_s, desired_replicas - replicas))
        return desired_replicas

    def _recommend(self, replicas: int, total: float) -> int:
        ratio = total / (self._spec.target * replicas) if replicas else math.inf
        return replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(total / self._spec.target)

    def _stabilize(self, now_s: float, replicas: int, recommendation: int) -> int:
        """Limit a scale-up to the smallest recommendation of its window, and a scale-down to the largest of its own."""
        self._recommendations.append((now_s, recommendation))
        max_window_s = max(self._spec.scale_up.stabilization_s, self._spec.scale_down.stabilization_s)
        self._recommendations = [
            (at_s, recommended)
            for at_s, recommended in self._recommendations
            if at_s > now_s - max_window_s or at_s == now_s
        ]
        up = min(self._recommendations_since(now_s - self._spec.scale_up.stabilization_s), default=recommendation)
        down = max(self._recommendations_since(now_s - self._spec.scale_down.stabilization_s), default=recommendation)
        return min(max(replicas, min(up, recommendation)), max(down, recommendation))

    def _recommendations_since(self, since_s: float) -> list[int]:
        return [recommended for at_s, recommended in self._recommendations if at_s > since_s]

    def _apply_policies(self, now_s: float, replicas: int, recommendation: int) -> int:
        if recommendation > replicas:
            max_replicas = max(self._max_after(policy, now_s, replicas) for policy in self._spec.scale_up.policies)
            return min(recommendation, max(max_replicas, replicas))
        if recommendation < replicas:
            min_replicas = min(self._min_after(policy, now_s, replicas) for policy in self._spec.scale_down.policies)
            return max(recommendation, min(min_replicas, replicas))
        return replicas

    def _max_after(self, policy: ScalingPolicy, now_s: float, replicas: int) -> int:
        initial_replicas = replicas - sum(
            change for change in self._changes_since(now_s - policy.period_s) if change > 0
        )
        return math.ceil(
            initial_replicas + (policy.value if policy.type == "Pods" else initial_replicas * policy.value / 100)
        )

    def _min_after(self, policy: ScalingPolicy, now_s: float, replicas: int) -> int:
        initial_replicas = replicas - sum(
            change for change in self._changes_since(now_s - policy.period_s) if change < 0
        )
        return math.floor(
            initial_replicas - (policy.value if policy.type == "Pods" else initial_replicas * policy.value / 100)
        )

    def _changes_since(self, since_s: float) -> Iterable[int]:
        return (change for at_s, change in self._scale_events if at_s > since_s)
