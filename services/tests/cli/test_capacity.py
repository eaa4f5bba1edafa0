"""`thale capacity` says what a load takes, on what the figures rest, and what it does not know."""

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


def test_the_plan_says_how_and_when_its_figures_were_measured(benchmark_file: Path) -> None:
    text = run_capacity(benchmark_file, "--no-day")
    assert "Measured 2026-01-01 00:00 UTC on 2 cores of slide rule" in text
    assert "3.50 processor seconds" in text
    assert "30% headroom" in text
    assert "segmentation replicas" in text
    assert "USD" in text


def test_what_an_environment_does_not_allow_is_said_with_its_limit(benchmark_file: Path) -> None:
    text = run_capacity(benchmark_file, "--no-day", "--environment", "dev", rps="30")
    assert "maxReplicas is 2" in text
    assert "dev as it is configured holds" in text


def test_figures_of_a_busy_machine_are_not_passed_off_as_good_ones(tmp_path: Path) -> None:
    path = tmp_path / "busy.json"
    busy = sample_benchmark().machine.model_copy(update={"background_cpu_fraction": 0.6})
    path.write_text(sample_benchmark(machine=busy).model_dump_json())
    assert "not quiet" in run_capacity(path, "--no-day")


def test_a_day_is_told_in_rows_and_drawn(benchmark_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "day.png"
    text = run_capacity(benchmark_file, "--plot", str(picture), rps="0.05")
    assert "p99 of 4mp" in text
    assert "0.00% refused" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_no_measurement_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text("{}")
    with pytest.raises(ParameterError, match=r"benchmark\.json is no measurement"):
        run_capacity(path, "--no-day")


def test_an_environment_that_is_not_there_is_refused_with_those_that_are(benchmark_file: Path) -> None:
    with pytest.raises(ParameterError, match="dev, staging, prod"):
        run_capacity(benchmark_file, "--environment", "moon")


@pytest.mark.parametrize("wrong", ["", "4mp", "4mp=x", "4mp=0.5,4mp=0.5"])
def test_a_mix_that_cannot_be_read_says_how_to_write_one(wrong: str) -> None:
    with pytest.raises(ParameterError, match=r"1mp=0\.2"):
        read_mix(wrong)
