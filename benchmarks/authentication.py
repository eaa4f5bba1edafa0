"""Latency that authentication adds: requests with a key, with a token and without a credential, in turn.

    python benchmarks/authentication.py [REQUESTS]

Three facades without models run in processes of their own. Each round sends one GET /v1/models to each of them, over
connections that stay open, so that load from outside affects all three alike. Printed are the medians, and the median
of the paired differences from the facade without authentication.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.fake_entra import AUDIENCE, TENANT, run_entra
from tests.support.torchserve_process import free_ports
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.schemas import ReleaseState

_WARM_UP_REQUESTS = 200
_START_TIMEOUT_S = 120.0


@contextmanager
def run_facade(folder: Path, **variables: str) -> Iterator[http.client.HTTPConnection]:
    """Run a facade without models within the context, and yield a connection to it."""
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
    process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=environment)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        wait_until_live(connection)
        connection.close()  # it would time out while the other facades start; the next request opens it again
        yield connection
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


def duration_ms(connection: http.client.HTTPConnection, headers: dict[str, str]) -> float:
    """Send one request and return its duration."""
    started_s = time.perf_counter()
    connection.request("GET", "/v1/models", headers=headers)
    response = connection.getresponse()
    body = response.read()
    elapsed_ms = 1000 * (time.perf_counter() - started_s)
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {body!r}")
    return elapsed_ms


def main(requests: int) -> None:
    """Measure and print."""
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
        headers = {name: {"Authorization": f"Bearer {text}"} for name, text in credentials.items()}
        connections = {
            name: stack.enter_context(run_facade(folder / name, **settings)) for name, settings in variables.items()
        }
        durations_ms: dict[str, list[float]] = {name: [] for name in connections}
        for number in range(_WARM_UP_REQUESTS + requests):
            for name, connection in connections.items():
                elapsed_ms = duration_ms(connection, headers.get(name, {}))
                if number >= _WARM_UP_REQUESTS:
                    durations_ms[name].append(elapsed_ms)
    baseline_ms = durations_ms["no authentication"]
    result = {
        name: {
            "p50_ms": round(statistics.median(values_ms), 3),
            "added_p50_ms": round(statistics.median(a - b for a, b in zip(values_ms, baseline_ms, strict=True)), 3),
        }
        for name, values_ms in durations_ms.items()
    }
    print(json.dumps(result, indent=1))  # noqa: T201 (output of a command)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
