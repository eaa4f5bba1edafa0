"""Tests of `thale capacity`: plan, assumptions, simulated day and invalid options."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.sample_benchmark import sample_benchmark
from thale.cli.app import app
from thale.cli.capacity import read_mix
from thale.errors import ParameterError

WIDE = {"COLUMNS": "200"}


@pytest.fixture
def benchmark_file(tmp_path: Path) -> Path:
    path = tmp_path / "benchmark.json"
    path.write_text(sample_benchmark().model_dump_json())
    return path


def run_capacity(benchmark_file: Path, *arguments: str, rps: str = "2") -> str:
    command = ["capacity", "--rps", rps, "--mix", "4mp=1", "--benchmark", str(benchmark_file), *arguments]
    result = CliRunner().invoke(app, command, env=WIDE, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_capacity_prints_source_of_benchmark(benchmark_file: Path) -> None:
    text = run_capacity(benchmark_file, "--no-day")
    assert "Measured 2026-01-01 00:00 UTC on 2 cores of test CPU" in text
    assert "3.50 CPU seconds" in text
    assert "30% headroom" in text
    assert "segmentation replicas" in text
    assert "USD" in text


def test_capacity_prints_violated_limits_of_environment(benchmark_file: Path) -> None:
    text = run_capacity(benchmark_file, "--no-day", "--environment", "dev", rps="30")
    assert "maxReplicas is 2" in text
    assert "configured limits of dev allow" in text


def test_capacity_warns_about_benchmark_of_busy_machine(tmp_path: Path) -> None:
    path = tmp_path / "busy.json"
    busy = sample_benchmark().machine.model_copy(update={"background_cpu_fraction": 0.6})
    path.write_text(sample_benchmark(machine=busy).model_dump_json())
    assert "run `make knee` on an idle machine" in run_capacity(path, "--no-day")


@pytest.mark.slow
def test_capacity_prints_and_plots_simulated_day(benchmark_file: Path, tmp_path: Path) -> None:
    plot = tmp_path / "day.png"
    text = run_capacity(benchmark_file, "--plot", str(plot), rps="0.05")
    assert "p99 of 4mp" in text
    assert "0.00% rejected" in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_capacity_rejects_invalid_benchmark_file(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text("{}")
    with pytest.raises(ParameterError, match=r"benchmark\.json is not a benchmark"):
        run_capacity(path, "--no-day")


def test_capacity_rejects_unknown_environment(benchmark_file: Path) -> None:
    with pytest.raises(ParameterError, match="dev, staging, prod"):
        run_capacity(benchmark_file, "--environment", "moon")


@pytest.mark.parametrize("mix", ["", "4mp", "4mp=x", "4mp=0.5,4mp=0.5"])
def test_read_mix_rejects_invalid_text(mix: str) -> None:
    with pytest.raises(ParameterError, match=r"1mp=0\.2"):
        read_mix(mix)
