"""Integration tests of a load test: locust, a running platform with tiny models, and the SLO checks."""

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import image_set, samples
from tests.support.local_platform import run_platform, write_weights

ROOT = Path(__file__).parents[2]
USERS = 4


@pytest.mark.integration
@pytest.mark.exclusive
@pytest.mark.timeout(900)  # includes the creation of models and images, on a slow machine
def test_run_reports_a_violated_objective_with_status_1(tmp_path: Path) -> None:
    image_set.load_images()
    objectives = tmp_path / "slo.toml"
    toml_text = (ROOT / "services" / "thale" / "slo" / "slo.toml").read_text()
    objectives.write_text(
        toml_text.replace("p99_s = 5.0", "p99_s = 0.0001", 1).replace("p99_s = 20.0", "p99_s = 2000.0")
    )
    with run_platform(tmp_path / "home", write_weights(tmp_path / "weights")) as platform:
        arguments = [
            "--host",
            platform.url,
            "--users",
            USERS,
            "--minutes",
            0.25,
            "--slo",
            objectives,
            "--out",
            tmp_path / "out",
        ]
        command = [sys.executable, "-m", "loadtests.run", *map(str, arguments)]
        completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert completed.returncode == 1, completed.stdout + completed.stderr
    page = (tmp_path / "out" / "report.md").read_text()
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in page.splitlines() if row.startswith("| p99")}
    assert "VIOLATED" in rows["p99 of 1mp <= 0.0001 s"]
    assert "VIOLATED" not in rows["p99 of 16mp <= 2000 s"]
    assert all((tmp_path / "out" / name).stat().st_size > 10_000 for name in ("latency.png", "throughput.png"))
    recorded = samples.read_samples(tmp_path / "out" / "samples.csv")
    assert {sample.scenario for sample in recorded} == {"Researcher", "BatchUser", "BurstUser", "HostileUser"}
    assert any(sample.is_success for sample in recorded)


@pytest.mark.slow  # renders the images of the load tests if they are not cached
def test_run_ends_with_status_2_without_a_server(tmp_path: Path) -> None:
    image_set.load_images()
    command = [sys.executable, "-m", "loadtests.run", "--host", "http://127.0.0.1:9", "--out", str(tmp_path)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert completed.returncode == 2
    assert "no server is ready" in completed.stdout


@pytest.mark.slow
def test_run_rejects_an_unknown_scenario(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadtests.run", "--scenario", "unknown", "--out", str(tmp_path)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert completed.returncode == 2
    assert "scenarios" in completed.stderr
