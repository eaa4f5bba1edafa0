"""The controller as a process, with a metrics server and a graceful stop on signals."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import FrameType

from thale.errors import ParameterError
from thale.release.controller.controller import Intervals, ReleaseEnvironment, RolloutController
from thale.release.judge.policy import JudgePolicy
from thale.slo import Slo
from thale.telemetry import metrics_server
from thale.telemetry.build_info import BuildInfo, set_build_info
from thale.telemetry.controller_metrics import CONTROLLER_BUILD_INFO, CONTROLLER_REGISTRY
from thale.telemetry.metrics_server import Page

_LIVENESS_TIMEOUT_S = 300.0
"""A poll can take minutes if the Kubernetes API is slow: a change of a release repeats its requests."""


@dataclass(frozen=True)
class ListenAddress:
    """Address of the metrics and health endpoints. Port 0 selects any free port."""

    host: str
    port: int


def run_daemon(
    environment: ReleaseEnvironment,
    slo: Slo,
    policy: JudgePolicy,
    author: str,
    listen_address: ListenAddress,
    *,
    intervals: Intervals | None = None,
    until_idle: bool = False,
) -> None:
    """Run the controller until SIGTERM or SIGINT, or until no rollout is left. A second signal ends it immediately.

    Raises:
        ParameterError: If the address cannot be bound, for example because the port is in use.
    """
    controller = RolloutController(environment, slo, policy, author, intervals)
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_on_signals())
        try:
            stack.enter_context(
                serve_metrics(
                    listen_address.host, listen_address.port, lambda: controller.is_alive(_LIVENESS_TIMEOUT_S)
                )
            )
        except OSError as error:
            raise ParameterError(
                f"cannot listen on {listen_address.host}:{listen_address.port}: {error.strerror}; use another port"
            ) from error
        controller.run(stop, until_idle=until_idle)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that the first signal sets. The second signal runs the previous handler."""
    stop = threading.Event()
    previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def request_stop(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, previous_handlers[signal.Signals(number)])

    for number in previous_handlers:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


def serve_metrics(host: str, listen_port: int, is_alive: Callable[[], bool]) -> AbstractContextManager[int]:
    """Serve /metrics and /health/live until the context ends, and yield the port.

    Raises:
        OSError: If the address cannot be bound, for example because the port is in use.
    """

    def render_health() -> Page:
        return Page.from_status(HTTPStatus.OK if is_alive() else HTTPStatus.SERVICE_UNAVAILABLE)

    set_build_info(CONTROLLER_BUILD_INFO, BuildInfo())
    return metrics_server.serve(host, listen_port, CONTROLLER_REGISTRY, {"/health/live": render_health})
