"""Latency that authentication adds: requests with a key, with a token and without a credential, in turn.

    PYTHONPATH=. python benchmarks/authentication.py [REQUESTS]

Three facades without models run in separate processes. Each round sends one GET /v1/models to each of them in random
order, over connections that stay open. Other load of the machine then affects all three alike. The output has the
medians, the medians of the paired differences from the facade without authentication, and the CPU time of the facade
per request. CPU time depends on the load of the machine much less.
"""

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from tests.support.fake_entra import AUDIENCE, TENANT, run_entra
from tests.support.torchserve_process import free_ports
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.host.interpreter import python_command
from thale.schemas import ReleaseState

_WARM_UP_REQUESTS = 200
_START_TIMEOUT_S = 120.0


@dataclass
class MeasuredFacade:
    """A running facade, and the durations of the requests to it."""

    connection: http.client.HTTPConnection
    process: psutil.Process
    headers: dict[str, str]
    durations_ms: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        """Return the CPU time of the facade since its start."""
        times = self.process.cpu_times()
        return times.user + times.system

    def send_request(self) -> None:
        """Send one request, and record its duration."""
        started_s = time.perf_counter()
        self.connection.request("GET", "/v1/models", headers=self.headers)
        response = self.connection.getresponse()
        body = response.read()
        self.durations_ms.append(1000 * (time.perf_counter() - started_s))
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {body!r}")


@contextmanager
def run_facade(folder: Path, credential: str | None, **variables: str) -> Iterator[MeasuredFacade]:
    """Run a facade without models within the context."""
    folder.mkdir(exist_ok=True)
    state_path = folder / "release-state.json"
    state_path.write_text(ReleaseState(models={}).model_dump_json())
    port, metrics_port = free_ports(2)
    environment = {
        **os.environ,
        "THALE_RELEASE_STATE_PATH": str(state_path),
        "THALE_PORT": str(port),
        "THALE_METRICS_PORT": str(metrics_port),
        "THALE_MODEL_URL": "http://127.0.0.1:9",
        "THALE_MANAGEMENT_URL": "http://127.0.0.1:9",
        "THALE_POSTPROCESS_WORKERS": "1",
        "THALE_LOG_LEVEL": "warning",
        **variables,
    }
    process = subprocess.Popen(python_command("-m", "thale.facade"), env=environment)  # noqa: S603 (the command is ours)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        wait_until_live(connection)
        connection.close()  # it would time out while the other facades start; the next request opens it again
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        yield MeasuredFacade(connection, psutil.Process(process.pid), headers)
    finally:
        connection.close()
        process.terminate()
        process.wait()


def wait_until_live(connection: http.client.HTTPConnection) -> None:
    """Wait until the facade serves requests."""
    end = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            connection.request("GET", "/health/live")
            connection.getresponse().read()
        except OSError:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def main(requests: int) -> None:
    """Run the benchmark and print the results."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = ApiKeyFile(folder / "keys" / "api-keys.json")
        key, _ = create_key(store, "benchmark", frozenset({"read"}), timedelta(days=1), datetime.now(UTC))
        entra = stack.enter_context(run_entra(folder / "entra"))
        variables = {
            "no authentication": {},
            "API key": {"THALE_API_KEYS_PATH": str(folder / "keys" / "api-keys.json")},
            "Entra ID token": {
                "THALE_ENTRA_TENANT_ID": TENANT,
                "THALE_ENTRA_AUDIENCE": AUDIENCE,
                "AZURE_AUTHORITY_HOST": entra.url,
                "SSL_CERT_FILE": str(entra.certificate),
            },
        }
        credentials = {"API key": key.text, "Entra ID token": entra.token()}
        facades = {
            name: stack.enter_context(run_facade(folder / name, credentials.get(name), **settings))
            for name, settings in variables.items()
        }
        send_in_turn(list(facades.values()), _WARM_UP_REQUESTS)
        cpu_before_s = {name: facade.cpu_s() for name, facade in facades.items()}
        for facade in facades.values():
            facade.durations_ms.clear()
        send_in_turn(list(facades.values()), requests)
        cpu_ms = {name: 1000 * (facade.cpu_s() - cpu_before_s[name]) / requests for name, facade in facades.items()}
    baseline = "no authentication"
    baseline_ms = facades[baseline].durations_ms
    result = {}
    for name, facade in facades.items():
        differences_ms = [a - b for a, b in zip(facade.durations_ms, baseline_ms, strict=True)]
        result[name] = {
            "p50_ms": round(statistics.median(facade.durations_ms), 3),
            "added_p50_ms": round(statistics.median(differences_ms), 3),
            "cpu_ms": round(cpu_ms[name], 3),
            "added_cpu_ms": round(cpu_ms[name] - cpu_ms[baseline], 3),
        }
    print(json.dumps(result, indent=1))  # noqa: T201 (output of a command)


def send_in_turn(facades: list[MeasuredFacade], requests: int) -> None:
    """Send requests to all facades, in a random order each time."""
    for _ in range(requests):
        for facade in random.sample(facades, len(facades)):
            facade.send_request()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
