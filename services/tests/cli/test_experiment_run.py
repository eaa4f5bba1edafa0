"""Tests of the options of `thale experiment run`, and of the batch engine in `thale analyze`."""

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from thale.cli.app import app
from thale.errors import MissingPackageError, ParameterError, ScaleError, ThaleError


def run_error(*options: str) -> ThaleError:
    error = CliRunner().invoke(app, ["experiment", "run", "Salt 1", *options]).exception
    assert isinstance(error, ThaleError)
    return error


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (("--workers", "2"), "add --engine dask"),
        (("--scheduler", "tls://host:8786"), "add --engine dask"),
        (("--engine", "dask", "--server", "http://127.0.0.1:1"), "omit --server"),
        (("--engine", "dask", "--workers", "2", "--scheduler", "tls://host:8786"), "pass --workers or --scheduler"),
    ],
)
def test_run_rejects_options_that_contradict(options: tuple[str, ...], remedy: str) -> None:
    error = run_error(*options)
    assert isinstance(error, ParameterError)
    assert remedy in str(error)


def test_run_names_the_package_of_the_missing_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "distributed" else find_spec(name, *rest)
    )
    error = run_error("--engine", "dask")
    assert isinstance(error, MissingPackageError)
    assert "(distributed)" in str(error)
    assert "'thale[batch]'" in str(error)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (("--workers", "2"), "add --engine dask"),
        (("--engine", "dask", "--server", "http://127.0.0.1:1"), "--server or THALE_SERVER needs a server: omit it"),
        (("--engine", "dask", "--strict", "--model", "plate-seg@1.0.0"), "--model, --strict needs a server: omit it"),
        (("--engine", "dask", "--timeout-s", "5"), "--timeout-s needs a server: omit it"),
    ],
)
def test_analyze_rejects_options_that_contradict(options: tuple[str, ...], remedy: str, tmp_path: Path) -> None:
    error = CliRunner().invoke(app, ["analyze", str(tmp_path), "--out", str(tmp_path / "out"), *options]).exception
    assert isinstance(error, ParameterError)
    assert remedy in str(error)


@pytest.mark.parametrize("command", [("watch", "{}", "--experiment", "a"), ("experiment", "add", "a", "{}")])
@pytest.mark.parametrize("option", [("--mm-per-px", "14"), ("--plate-width-mm", "12")])
def test_impossible_scale_is_refused_before_the_first_image(
    command: tuple[str, ...], option: tuple[str, str], tmp_path: Path
) -> None:
    arguments = [part.format(tmp_path) for part in command]
    result = CliRunner().invoke(app, [*arguments, *option, "--server", "http://127.0.0.1:9"])
    assert isinstance(result.exception, ScaleError)
    assert "is not possible" in str(result.exception)
