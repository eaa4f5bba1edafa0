"""The lease in a cluster: a Lease of coordination.k8s.io/v1, kept by the rules of client-go's leader election.

https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go: a lease that somebody else
holds is free once it has not changed for its duration by *our* clock, so clocks that disagree do no harm; every write
names the version that was read, so of two that write one is refused; whoever cannot renew in time stops acting before
others may start. The Python client's own `kubernetes.leaderelection` is not used: it reckons with the wall clock,
cannot say whether it leads just now, does not let go, and a dropped connection ends it.
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
    """Return a name that no other process has: the pod's, and a number drawn at random."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True)
class LeaseTiming:
    """How long a lease lasts, in seconds; client-go's defaults."""

    duration_s: int = 15
    """Others wait so long after the last renewal that they saw."""
    renew_deadline_s: float = 10.0
    """The holder acts for so long after it began its last renewal."""
    retry_s: float = 2.0


@dataclass(frozen=True)
class _ObservedLease:
    """A lease as it was read, and when it was first seen so, by our clock."""

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
        self.retry_s = self._timing.retry_s

    def acquire_or_renew(self) -> bool:
        """Take or renew the lease. Where the API does not answer, what is held stays held until its deadline."""
        started_at = self._clock()
        try:
            if self._try_acquire_or_renew(started_at):
                self._leader_until = started_at + self._timing.renew_deadline_s
            else:
                self._leader_until = -1.0
        except (ApiException, HTTPError) as error:
            logger.warning("lease renewal failed", extra={"lease": self._name, "error": _describe_error(error)})
        return self.is_leader()

    def is_leader(self) -> bool:
        """Whether the last renewal is recent enough."""
        return self._clock() < self._leader_until

    def release(self) -> None:
        """Write that nobody holds the lease, if it is ours."""
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

    def _try_acquire_or_renew(self, now: float) -> bool:
        """Return whether the lease is ours now; False where it is another's, or another was faster."""
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

    def _observe(self, spec: V1LeaseSpec, now: float) -> _ObservedLease:
        """Return since when another's lease has looked as it does."""
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
        self._leases.create_namespaced_lease(self._namespace, lease, _request_timeout=self._request_timeout_s)

    def _replace(self, lease: V1Lease) -> None:
        """Write the lease; it carries the resource version that was read, so a newer one is a conflict."""
        self._leases.replace_namespaced_lease(
            self._name, self._namespace, lease, _request_timeout=self._request_timeout_s
        )

    @property
    def _request_timeout_s(self) -> float:
        return self._timing.renew_deadline_s / 2


def _now() -> datetime:
    """Return the time of day, for people to read.

    Kubernetes wants six digits after the second's point, and the client drops them where all are zero.
    """
    now = datetime.now(UTC)
    return now.replace(microsecond=max(1, now.microsecond))


def _describe_error(error: ApiException | HTTPError) -> str:
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
