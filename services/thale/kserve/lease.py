"""Leader election by a Lease of coordination.k8s.io/v1, with the rules of client-go.

https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go

- A lease of another candidate is free once it has not changed for its duration on the local clock. Clock skew is
  therefore harmless.
- Every write carries the resourceVersion of its read, so that one of two concurrent writes fails.
- A leader that cannot renew in time stops acting before another candidate can start.
- A renewal is one request: the leader writes the lease with the resourceVersion of its last write.

ADR 0025 gives the reasons against the Python client's `kubernetes.leaderelection`. It uses the wall clock, has no check
of the present leadership, does not release the lease, and ends when a connection is dropped.
"""

import logging
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from kubernetes.client import ApiClient, CoordinationV1Api, V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

logger = logging.getLogger(__name__)


def new_identity() -> str:
    """Return a unique name for this process: the host name and a random UUID."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True)
class LeaseTiming:
    """Durations of a lease in seconds, by default those of client-go except `renew_s`."""

    duration_s: int = 15
    """Time after the last observed renewal before another candidate acquires the lease."""
    renew_deadline_s: float = 10.0
    """Time after the start of its last renewal during which the leader may act."""
    retry_s: float = 2.0
    """Time between two attempts of a candidate, or of a leader whose renewal failed."""
    renew_s: float = 5.0
    """Time between two renewals. client-go uses `retry_s`, which is 30 requests per minute."""


@dataclass(frozen=True)
class _ObservedLease:
    """The state of a lease, and the time on the local clock at which this state was first observed."""

    holder: str
    renewed_at: datetime | None
    duration_s: float
    observed_at: float

    def is_free(self, now: float) -> bool:
        return not self.holder or now >= self.observed_at + self.duration_s


class KubernetesLease:
    """A Lease object in a namespace."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = CoordinationV1Api(api)
        self._namespace, self._name, self._identity = namespace, name, identity
        self._timing = timing or LeaseTiming()
        self._clock = clock
        self._observed: _ObservedLease | None = None
        self._leader_until = -1.0
        self._held: V1Lease | None = None
        """The lease as of this leader's last write."""
        self._renewal_failed = False
        self._logged_failure = ""
        """The failure that was logged last. A failure that lasts is logged once."""

    @property
    def retry_s(self) -> float:
        """Time until the next call of `acquire_or_renew`."""
        is_renewed = self.is_leader() and not self._renewal_failed
        return self._timing.renew_s if is_renewed else self._timing.retry_s

    def acquire_or_renew(self) -> bool:
        """Acquire or renew the lease. If the API does not respond, a leader stays leader until its renew deadline."""
        started_at = self._clock()
        try:
            if self._try_acquire_or_renew(started_at):
                self._leader_until = started_at + self._timing.renew_deadline_s
            else:
                self._leader_until = -1.0
                self._held = None
            self._renewal_failed = False
            self._logged_failure = ""
        except (ApiException, HTTPError) as error:
            self._renewal_failed = True
            failure = _describe_failure(error)
            if failure != self._logged_failure:
                logger.warning("lease renewal failed", extra={"lease": self._name, "error": _describe_error(error)})
            self._logged_failure = failure
        return self.is_leader()

    def is_leader(self) -> bool:
        """Return whether this process is the leader: its renew deadline has not passed."""
        return self._clock() < self._leader_until

    def release(self) -> None:
        """Clear the holder of the lease, if this process holds it."""
        self._leader_until = -1.0
        try:
            lease, spec = self._read() or (None, V1LeaseSpec())
            if lease is not None and spec.holder_identity == self._identity:
                spec.holder_identity = ""
                spec.lease_duration_seconds = 1
                spec.renew_time = _now()
                self._replace(lease)
        except (ApiException, HTTPError) as error:
            logger.warning("lease release failed", extra={"lease": self._name, "error": _describe_error(error)})
        self._held = None

    def _try_acquire_or_renew(self, now: float) -> bool:
        """Return whether this process holds the lease now. False if another candidate holds it or was faster."""
        if self._try_renew_held():
            return True
        found = self._read()
        try:
            if found is None:
                self._create()
                return True
            lease, spec = found
            if spec.holder_identity == self._identity:
                spec.renew_time = _now()
            elif self._observe(spec, now).is_free(now):
                self._acquire(spec)
            else:
                return False
            self._replace(lease)
        except ApiException as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            return False
        return True

    def _try_renew_held(self) -> bool:
        """Renew without a read. Returns False if the lease is not held, or was changed since the last write."""
        if self._held is None or self._held.spec is None:
            return False
        self._held.spec.renew_time = _now()
        try:
            self._replace(self._held)
        except ApiException as error:
            if error.status not in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                raise
            self._held = None
            return False
        return True

    def _observe(self, spec: V1LeaseSpec, now: float) -> _ObservedLease:
        """Return the present state of another candidate's lease, with the time of its first observation."""
        holder, duration_s = spec.holder_identity or "", float(spec.lease_duration_seconds or 0)
        if self._observed is None or (self._observed.holder, self._observed.renewed_at) != (holder, spec.renew_time):
            self._observed = _ObservedLease(holder, spec.renew_time, duration_s, now)
        return self._observed

    def _acquire(self, spec: V1LeaseSpec) -> None:
        spec.holder_identity = self._identity
        spec.lease_duration_seconds = self._timing.duration_s
        spec.acquire_time = spec.renew_time = _now()
        spec.lease_transitions = (spec.lease_transitions or 0) + 1

    def _read(self) -> tuple[V1Lease, V1LeaseSpec] | None:
        try:
            lease = self._leases.read_namespaced_lease(
                self._name, self._namespace, _request_timeout=self._request_timeout_s
            )
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None
        lease.spec = lease.spec or V1LeaseSpec()
        return lease, lease.spec

    def _create(self) -> None:
        spec = V1LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=self._timing.duration_s,
            acquire_time=_now(),
            renew_time=_now(),
            lease_transitions=0,
        )
        lease = V1Lease(metadata=V1ObjectMeta(name=self._name), spec=spec)
        self._held = self._leases.create_namespaced_lease(
            self._namespace, lease, _request_timeout=self._request_timeout_s
        )

    def _replace(self, lease: V1Lease) -> None:
        """Write the lease with the resourceVersion of its read. A newer version is a conflict."""
        self._held = self._leases.replace_namespaced_lease(
            self._name, self._namespace, lease, _request_timeout=self._request_timeout_s
        )

    @property
    def _request_timeout_s(self) -> float:
        return self._timing.renew_deadline_s / 2


def _now() -> datetime:
    """Return the wall-clock time, for display only.

    Kubernetes requires six fractional digits. The Python client omits them if all are zero.
    """
    now = datetime.now(UTC)
    return now.replace(microsecond=max(1, now.microsecond))


def _describe_error(error: ApiException | HTTPError) -> str:
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)


def _describe_failure(error: ApiException | HTTPError) -> str:
    """Return what stays the same while a failure lasts. The text of a connection error has the address of an object."""
    return str(error.status) if isinstance(error, ApiException) else type(error).__name__
