"""The real stack under load, scraped by a real Prometheus, for the tests of dashboards and rules.

TorchServe, the facade process and the rollout controller are those of `rollout_environment`, with stub models. Clients
with API keys send plates of three size classes and invalid images during a rollout, and one exceeds its limits. The
limit store is unreachable. `fake_cluster_exporter` has the cluster's metrics.
"""

import io
import itertools
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from PIL import Image

from tests.support import fake_cluster_exporter, tiny_plates
from tests.support.prometheus_process import PrometheusProcess, ScrapeTarget, run_prometheus
from tests.support.rollout_environment import (
    RolloutEnvironment,
    SimulatedUsers,
    run_rollout_environment,
    sample_plates,
    wait_until,
)
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.host.files import write_atomically
from thale.release.controller.daemon import serve_metrics
from thale.release.judge.policy import read_policy
from thale.schemas import ReleaseState

_SETTINGS = {
    "THALE_COST_PER_HOUR": "0.38",
    "THALE_CURRENCY": "EUR",
    "THALE_CANARY_TIMEOUT_S": "30",  # a busy machine must not count against the canary
    "THALE_SHADOW_DUTY_CYCLE": "0.9",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # closed port; sampled requests have exemplars nevertheless
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "THALE_LIMIT_STORE_URL": "redis://127.0.0.1:9/0",  # closed port; each facade then limits callers on its own
    "THALE_CALLER_BURST": "10",
}
_STEPS = [step / 20 for step in range(21)]
_REFERENCES = {
    "plate-seg": {
        "plants": tuple(1.0 + round(1.4 * step) for step in _STEPS),
        "root_area_mm2": tuple(9.0 + 8.0 * step for step in _STEPS),
        "shoot_area_mm2": tuple(20.0 + 16.0 * step for step in _STEPS),
        "root_confidence": tuple(0.9 + 0.1 * step for step in _STEPS),
    },
    "plate-landmarks": {"score": tuple(0.8 + 0.2 * step for step in _STEPS)},
}
_CONCURRENCY = 1  # an overloaded facade would drop shadow requests
_UPSCALE_FACTORS = (14, 30)  # of 96 px plates: 1.8 and 8.3 megapixels
_BURST = 30  # more requests at once than the burst of a caller
_INVALID_BODIES = (b"GIF89a without an image", b"", b"\x89PNG\r\n\x1a\n truncated")


@dataclass(frozen=True)
class FullStack:
    """The running stack."""

    environment: RolloutEnvironment
    prometheus: PrometheusProcess
    load: ExitStack

    def stop_load(self) -> float:
        """Stop all clients and return the time. What was scraped can still be queried, with less CPU time."""
        self.load.close()
        return time.time()

    def run_rollouts(self) -> None:
        """Roll out a landmark model, then a segmentation that fails (with and without shadow), then one without faults.

        The landmark model is first: with two shadows, the requests of the segmentation would fill the shadow queue.
        """
        self._start_rollout("plate-landmarks", 50.0, 100.0)
        self._wait_for_series('rate(thale_shadow_landmark_px_count{version="1.1.0"}[5m]) > 0')
        self._start_rollout("plate-seg", 50.0, 100.0)
        self._wait_for_series('rate(thale_shadow_dice_count{version="1.1.0"}[5m]) > 0')
        self.environment.set_fault("exception")
        wait_until(lambda: self.environment.release().canary is None)
        self.environment.set_fault("good")  # else the golden plates would reject the canary
        # The judge may have rolled back on shadow evidence alone, before a client's request fell back to stable.
        self.environment.start_canary(steps=(50.0, 100.0), shadow=False, model="plate-seg")
        self.environment.set_fault("exception")
        wait_until(lambda: self.environment.release().canary is None)
        self._wait_for_series("rate(thale_model_fallbacks_total[5m]) >= 0")
        self.environment.set_fault("good")
        self._start_rollout("plate-seg", 5.0, 25.0, 50.0, 100.0)

    def _start_rollout(self, model: str, *steps: float) -> None:
        self.environment.start_canary(steps=steps, model=model)
        self._wait_for_series(f'thale_release_step_seconds{{model="{model}",version="1.1.0"}} >= 0')

    def _wait_for_series(self, expr: str, timeout_s: float = 400.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.prometheus.query(expr):
            assert time.monotonic() < deadline, f"no series: {expr}"
            time.sleep(0.2)


@contextmanager
def run_full_stack(home: Path, rate_hz: float = 3.0) -> Iterator[FullStack]:
    """Run the stack under constant load until the context ends, or until its load is stopped."""
    home.mkdir(exist_ok=True)
    with ExitStack() as stack:
        keys = ApiKeyFile(home / "keys" / "api-keys.json")
        users, limited_client = _create_credential(keys, "users"), _create_credential(keys, "limited client")
        settings = {**_SETTINGS, "THALE_API_KEYS_PATH": str(home / "keys" / "api-keys.json")}
        environment = stack.enter_context(run_rollout_environment(home, settings))
        _add_reference_distributions(home / "release-state.json")
        stack.enter_context(environment.run_controller(read_policy()))
        controller_port = stack.enter_context(serve_metrics("127.0.0.1", 0, lambda: True))
        cluster_port = stack.enter_context(fake_cluster_exporter.serve_cluster_metrics())
        targets = [
            ScrapeTarget("thale-facade", environment.metrics_url.removeprefix("http://").removesuffix("/metrics")),
            ScrapeTarget("thale-watcher", f"127.0.0.1:{controller_port}"),
            ScrapeTarget("thale-models", f"127.0.0.1:{environment.torchserve.metrics_port}"),
            ScrapeTarget("cluster", f"127.0.0.1:{cluster_port}"),
        ]
        prometheus = stack.enter_context(run_prometheus(home / "prometheus", targets))
        # TorchServe exports the counter of a status class only after its first response.
        environment.torchserve.call_management("GET", "/models/nothing")
        _exceed_limits(environment.url, limited_client)
        _send_invalid_http(environment.url)
        simulated_users = SimulatedUsers(environment.url, rate_hz, max_in_flight=_CONCURRENCY, headers=users)
        load = stack.enter_context(ExitStack())
        load.enter_context(simulated_users.run())
        load.enter_context(_mixed_clients(environment.url, users))
        yield FullStack(environment, prometheus, load)


def _create_credential(keys: ApiKeyFile, name: str) -> dict[str, str]:
    """Create an API key, and return the header that carries it."""
    key, _ = create_key(keys, name, frozenset({"read", "predict"}), timedelta(days=1), datetime.now(UTC))
    return {"Authorization": f"Bearer {key.text}"}


def _exceed_limits(url: str, headers: Mapping[str, str]) -> None:
    """Send more requests at once than a caller may, so that the counter of limited requests exists."""
    with ThreadPoolExecutor(_BURST) as pool:
        statuses = list(pool.map(lambda _: _send(Request(f"{url}/v1/phenotype", b"", headers)), range(_BURST)))
    assert HTTPStatus.TOO_MANY_REQUESTS in statuses, statuses


def _send_invalid_http(url: str) -> None:
    """Open a connection that is not HTTP, so that the counter of rejected connections exists."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"not HTTP\r\n\r\n")
        assert b" 400 " in connection.recv(1000)


def _add_reference_distributions(path: Path) -> None:
    """Add reference distributions to the cards of the stable versions, as in the cards of trained models."""
    release_state = ReleaseState.model_validate_json(path.read_bytes())
    models = {}
    for name, release in release_state.models.items():
        [(version, manifest)] = release.versions.items()
        card_update = {"references": _REFERENCES[name], "metrics": {"plates_plates": 40.0}}
        manifest = manifest.model_copy(update={"card": manifest.card.model_copy(update=card_update)})
        models[name] = release.model_copy(update={"versions": {version: manifest}})
    write_atomically(path, ReleaseState(models=models).model_dump_json().encode())


@contextmanager
def _mixed_clients(url: str, headers: Mapping[str, str]) -> Iterator[None]:
    """Send large plates, invalid requests, and requests for single models, one of each kind at a time."""
    stop_event = threading.Event()
    plate = sample_plates()[0]
    large = [(_upscale_image(plate, times), f"mm_per_px={tiny_plates.MM_PER_PX / times}") for times in _UPSCALE_FACTORS]
    request_cycles = [
        itertools.cycle([(f"{url}/v1/phenotype?{scale}", body) for body, scale in large]),
        itertools.cycle([(f"{url}/v1/phenotype", body) for body in _INVALID_BODIES] + [(f"{url}/v1/nothing", None)]),
        itertools.cycle([(f"{url}/v1/segment", plate), (f"{url}/v1/models", None), (f"{url}/v1/phenotype", plate)]),
    ]
    with ThreadPoolExecutor(len(request_cycles)) as pool:
        waits_s = (5.0, 3.0, 2.0)
        running = [
            pool.submit(_send_until_stopped, request_cycle, headers, stop_event, wait_s)
            for request_cycle, wait_s in zip(request_cycles, waits_s, strict=True)
        ]
        try:
            yield
        finally:
            stop_event.set()
    for future in running:
        future.result()


def _send_until_stopped(
    requests: Iterator[tuple[str, bytes | None]],
    headers: Mapping[str, str],
    stop_event: threading.Event,
    wait_s: float,
) -> None:
    for url, body in requests:
        if stop_event.wait(wait_s):
            return
        _send(Request(url, body, headers))


def _send(request: Request) -> int | None:
    """Return the status of the response, or None. Errors are expected: their metrics are the purpose."""
    try:
        with urlopen(request, timeout=60) as response:
            response.read()
            return int(response.status)
    except HTTPError as error:
        return error.code
    except (URLError, HTTPException, TimeoutError):
        return None


def _upscale_image(plate: bytes, factor: int) -> bytes:
    with Image.open(io.BytesIO(plate)) as image:
        large = image.resize((image.width * factor, image.height * factor))
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
