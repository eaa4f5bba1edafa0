"""A real Prometheus for tests: a free port, its own folder, the repository's rules, a scrape interval of one second."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.support.torchserve_process import free_ports

RULES_DIR = Path(__file__).parents[2] / "observability" / "rules"
INSTALL_HINT = "prometheus not found: apt-get install -y --no-install-recommends prometheus"
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ScrapeTarget:
    """Address and labels of a scrape target."""

    job: str
    address: str
    environment: str = "laptop"


@dataclass(frozen=True)
class PrometheusProcess:
    """A running Prometheus."""

    url: str

    def get_api(self, path: str, **parameters: str) -> Any:
        """Return the data of a response of the HTTP API. The response must be successful."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as response:
            payload = json.load(response)
        assert payload["status"] == "success", payload
        return payload["data"]

    def query(self, expr: str, **parameters: str) -> list[Any]:
        """Return the series of an instant query."""
        series = self.get_api("query", query=expr, **parameters)["result"]
        assert isinstance(series, list)
        return series


def is_installed() -> bool:
    """Return True if Prometheus is on the path."""
    return shutil.which("prometheus") is not None


@contextmanager
def run_prometheus(home: Path, targets: list[ScrapeTarget]) -> Iterator[PrometheusProcess]:
    """Run Prometheus with the repository's rules on these targets until the context ends."""
    home.mkdir()
    (home / "prometheus.yml").write_text(yaml.safe_dump(_configuration(targets)))
    [port] = free_ports(1)
    command = [
        "prometheus",
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/-/ready", process, home / "log.txt")
        yield PrometheusProcess(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(60)


def _configuration(targets: list[ScrapeTarget]) -> Mapping[str, object]:
    jobs: dict[str, list[ScrapeTarget]] = {}
    for target in targets:
        jobs.setdefault(target.job, []).append(target)
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in sorted(RULES_DIR.glob("*.yaml"))],
        "scrape_configs": [
            {
                "job_name": job,
                "honor_labels": job == "cluster",
                "static_configs": [
                    {"targets": [target.address], "labels": {"environment": target.environment}}
                    for target in job_targets
                ],
            }
            for job, job_targets in jobs.items()
        ],
    }


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Prometheus did not start:\n{log.read_text(errors='replace')[-3000:]}") from None
            time.sleep(0.05)
