"""Tests of the command line `thale-models`: commands, error messages and exit status."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.tiny_models import write_tiny_model
from thale.release.registry.archive_validation import validate_archive
from thale_models import cli


@pytest.fixture(autouse=True)
def _set_malloc_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cli.MALLOC_SETTINGS.items():
        monkeypatch.setenv(name, value)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["thale-models", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


@pytest.mark.slow
def test_archive_command_writes_a_valid_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_model(tmp_path / "run")
    (tmp_path / "run" / "card.json").write_text(model.card.model_dump_json())
    assert run(monkeypatch, "archive", tmp_path / "run", "--out", tmp_path) == 0
    path = Path(capsys.readouterr().out.strip())
    assert validate_archive(path).card == model.card


def test_archive_command_names_missing_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "archive", tmp_path) == 2
    assert "no weights.safetensors and no card.json" in capsys.readouterr().err


def test_synthesize_command_rejects_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("synthesize", "--out", tmp_path, "--plates", "1", "--crop-px", "128", "--split", "train")
    assert run(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "manifest.csv")
    assert run(monkeypatch, *arguments, "--seed", "5") == 2
    assert "choose another --out" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the settings belong to glibc")
def test_training_re_executes_once_with_the_malloc_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda path, arguments, environment: started.append(environment))
    cli._restart_with_malloc_settings()
    assert not started
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "4096")
    cli._restart_with_malloc_settings()
    assert {name: started[0][name] for name in cli.MALLOC_SETTINGS} == {
        **cli.MALLOC_SETTINGS,
        "MALLOC_TOP_PAD_": "4096",
    }
    monkeypatch.setenv("MALLOC_ARENA_MAX", started[0]["MALLOC_ARENA_MAX"])
    cli._restart_with_malloc_settings()
    assert len(started) == 1
