"""Progress and early failure of a version that is being loaded in a cluster, from its pods and events."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from thale.errors import TargetError
from thale.kserve.pod_state import PodState, describe_pod, explain, has_no_reason
from thale.kserve.predictor_pods import list_last_warnings, list_predictor_pods, refused_pods

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Receives one line for each change of state."""

_NO_POD_S = 180.0
"""KServe creates a Deployment within seconds. An admission plugin or a quota may refuse its pods."""


def log_progress(line: str) -> None:
    """Log a line of progress."""
    logger.info("version loading", extra={"state": line})


@dataclass
class PredictorLoading:
    """Observation of one version's pods while it loads."""

    api: ApiClient
    namespace: str
    model: str
    version: str
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    ready_replicas: int | None = None
    """Number of ready pods at the last observation. None if the pods cannot be read."""
    _started_at: float = field(init=False)
    _last_summary: str = ""
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    """Start of each pod's present state, by pod and reason."""
    _warned: set[str] = field(default_factory=set)
    """Resources that cannot be read."""

    def __post_init__(self) -> None:
        self._started_at = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Time since the start in seconds."""
        return self.clock() - self._started_at

    @property
    def last_state(self) -> str:
        """The last reported state."""
        return self._last_summary or "no pod yet"

    def observe(self) -> None:
        """Read the pods, report a change of state, and fail if a pod cannot become ready.

        Raises:
            TargetError: If a pod has failed, with its last message and the remedy.
        """
        try:
            pods = list_predictor_pods(self.api, self.namespace, self.model, self.version)
        except (ApiException, HTTPError) as error:
            self.ready_replicas = None
            self._warn_once("pods", error)
            return
        states = [describe_pod(pod) for pod in pods]
        self.ready_replicas = sum(state.ready for state in states)
        states = self._explain(states)
        self._report(_summarize(states))
        self._raise_if_failed(states)

    def _explain(self, states: list[PodState]) -> list[PodState]:
        """Add the reasons that only events have: a volume that cannot be mounted, and pods that are refused."""
        try:
            if not states:
                warnings = list_last_warnings(self.api, self.namespace, "ReplicaSet")
                return refused_pods(self.model, self.version, warnings)
            if any(has_no_reason(state) for state in states):
                warnings = list_last_warnings(self.api, self.namespace, "Pod")
                return [explain(state, warnings) for state in states]
        except (ApiException, HTTPError) as error:
            self._warn_once("events", error)
        return states

    def _report(self, summary: str) -> None:
        if summary != self._last_summary:
            self._last_summary = summary
            self.progress(f"{self.model} {self.version} after {self.elapsed_s:.0f} s: {summary}")

    def _raise_if_failed(self, states: Sequence[PodState]) -> None:
        now = self.clock()
        present = {(state.name, state.reason) for state in states} or {("", "no pod")}
        self._since = {key: self._since.get(key, now) for key in present}
        for state in states:
            age_s = now - self._since[state.name, state.reason]
            if state.has_failed or (state.timeout_s is not None and age_s >= state.timeout_s):
                raise TargetError(f"{self.model} {self.version} cannot be loaded: {state}; {state.remedy}")
        if not states and now - self._since["", "no pod"] >= _NO_POD_S:
            raise TargetError(
                f"{self.model} {self.version} cannot be loaded: KServe created no pod within {_NO_POD_S:.0f} s; run "
                f"kubectl describe inferenceservice {self.model} and kubectl get events in {self.namespace}"
            )

    def _warn_once(self, resource: str, error: Exception) -> None:
        if resource not in self._warned:
            self._warned.add(resource)
            reason = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
            self.progress(
                f"the {resource} of {self.model} {self.version} cannot be read ({reason}): grant list on {resource}"
            )


def _summarize(states: Sequence[PodState]) -> str:
    """Return one line: the first pod that is not ready, or the number of ready pods."""
    if not states:
        return "no pod yet"
    waiting = sorted((state for state in states if not state.ready), key=lambda state: (not state.remedy, state.name))
    ready = f"{len(states) - len(waiting)} of {len(states)} pods ready"
    return f"{ready}; {waiting[0]}" if waiting else ready
